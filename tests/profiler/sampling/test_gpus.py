"""GPUs: where there is no driver, and with a made one that NVIDIA's own bindings load."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from clary.profiler.sampling.gpus import Gpus

# What `libnvidia-ml.so.1` is asked for. GPU 0 tells all; 1, a part of one, neither its utilisation
# nor its power; 2 has fallen off the bus.
MADE_DRIVER = r"""
#include <stdint.h>
#define OK 0
#define NOT_SUPPORTED 3
#define LOST 15
typedef struct { unsigned gpu, memory; } utilization_t;
typedef struct { unsigned long long total, free, used; } memory_t;
static int gpus[3] = {0, 1, 2};
#define NUMBER (*(int *)gpu)
int nvmlInitWithFlags(unsigned f) { return OK; }
int nvmlInit_v2(void) { return OK; }
int nvmlShutdown(void) { return OK; }
int nvmlDeviceGetCount_v2(unsigned *n) { *n = 3; return OK; }
int nvmlDeviceGetHandleByIndex_v2(unsigned i, void **gpu) { *gpu = &gpus[i]; return OK; }
int nvmlDeviceGetUtilizationRates(void *gpu, utilization_t *u) {
  if (NUMBER == 1) return NOT_SUPPORTED;
  if (NUMBER == 2) return LOST;
  u->gpu = 87; u->memory = 5; return OK;
}
int nvmlDeviceGetMemoryInfo(void *gpu, memory_t *m) {
  if (NUMBER == 2) return LOST;
  m->total = 80ULL << 30; m->used = 20ULL << 30; m->free = 60ULL << 30; return OK;
}
int nvmlDeviceGetPowerUsage(void *gpu, unsigned *mw) {
  if (NUMBER == 1) return NOT_SUPPORTED;
  if (NUMBER == 2) return LOST;
  *mw = 312500; return OK;
}
int nvmlDeviceGetTemperature(void *gpu, int sensor, unsigned *c) {
  if (NUMBER == 2) return LOST;
  *c = 61; return OK;
}
const char *nvmlErrorString(int code) { return code == LOST ? "GPU is lost" : "an error"; }
"""
LOOK_TWICE = """
import json
from clary.profiler.sampling.gpus import Gpus
told = []
gpus = Gpus(told.append)
first, second = gpus.look(), gpus.look()
gpus.close()
print(json.dumps([first, second, told, gpus.look()]))
"""


def test_without_a_driver_nothing_is_measured_and_nothing_is_told() -> None:
    if Path("/proc/driver/nvidia").exists():
        pytest.skip("this machine has a driver")
    told: list[str] = []
    gpus = Gpus(told.append)
    assert gpus.look() == []
    gpus.close()
    assert told == []


def test_the_real_driver_is_asked() -> None:
    if not Path("/proc/driver/nvidia").exists():
        pytest.skip("this machine has no GPU")
    told: list[str] = []
    gpus = Gpus(told.append)
    seen = {(one.dimension, one.name): one.value for one in gpus.look()}
    gpus.close()
    assert told == []
    assert 0 <= seen["GPUUtilization", "gpu0"] <= 100
    assert 0 < seen["GPUMemoryUtilization", "gpu0"] <= 100
    assert 0 < seen["PowerWatts", "power0"] < 5000
    assert 0 < seen["TemperatureCelsius", "temperature0"] < 150


@pytest.mark.skipif(sys.platform != "linux", reason="the made driver is Linux's")
def test_each_gpu_tells_what_it_can(tmp_path: Path) -> None:
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip("there is no C compiler to make a driver with")
    source, library = tmp_path / "driver.c", tmp_path / "libnvidia-ml.so.1"
    source.write_text(MADE_DRIVER)
    subprocess.run([compiler, "-shared", "-fPIC", "-o", str(library), str(source)], check=True)
    done = subprocess.run(
        [sys.executable, "-c", LOOK_TWICE],
        env={**os.environ, "LD_LIBRARY_PATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
    )
    first, second, told, closed = json.loads(done.stdout)
    assert first == [
        ["gpu", "gpu0", "GPUUtilization", 87.0],
        ["gpu", "gpu0", "GPUMemoryUtilization", 25.0],
        ["device", "power0", "PowerWatts", 312.5],
        ["device", "temperature0", "TemperatureCelsius", 61.0],
        ["gpu", "gpu1", "GPUMemoryUtilization", 25.0],
        ["device", "temperature1", "TemperatureCelsius", 61.0],
    ]
    assert second == first
    assert len(told) == 4
    assert told[0] == (
        "the utilisation of GPU 2 is not measured, because the driver says: GPU is lost"
    )
    assert closed == []


@pytest.mark.skipif(sys.platform != "linux", reason="the made driver is Linux's")
@pytest.mark.parametrize(
    ("code", "told"),
    [
        (9, []),  # the driver is not loaded
        (
            18,
            [
                "the GPUs are not measured, because the driver says: RM has detected an NVML/RM "
                "version mismatch"
            ],
        ),
    ],
)
def test_a_driver_that_does_not_answer_is_told_of_unless_it_is_none(
    tmp_path: Path, code: int, told: list[str]
) -> None:
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip("there is no C compiler to make a driver with")
    source, library = tmp_path / "driver.c", tmp_path / "libnvidia-ml.so.1"
    source.write_text(
        f"int nvmlInitWithFlags(unsigned f) {{ return {code}; }}\n"
        f"int nvmlInit_v2(void) {{ return {code}; }}\n"
        'const char *nvmlErrorString(int c) { return "unasked"; }\n'
    )
    subprocess.run([compiler, "-shared", "-fPIC", "-o", str(library), str(source)], check=True)
    done = subprocess.run(
        [sys.executable, "-c", LOOK_TWICE],
        env={**os.environ, "LD_LIBRARY_PATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert json.loads(done.stdout) == [[], [], told, []]
