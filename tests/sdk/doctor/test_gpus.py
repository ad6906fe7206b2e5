"""What `clary doctor` says of GPUs, with a made driver that NVIDIA's own bindings load."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from clary.gpus import Gpu, GpuDriver
from clary.sdk.doctor.gpus import look_at_gpus
from clary.sdk.doctor.observation import Surroundings
from clary.settings import Settings

# What `libnvidia-ml.so.1` is asked for: four GPUs, of which the last has fallen off the bus.
MADE_DRIVER = r"""
#include <string.h>
#define LOST 15
typedef struct { unsigned long long total, free, used; } memory_t;
static int gpus[4] = {0, 1, 2, 3};
#define NUMBER (*(int *)gpu)
int nvmlInitWithFlags(unsigned f) { return INIT; }
int nvmlInit_v2(void) { return INIT; }
int nvmlShutdown(void) { return 0; }
int nvmlDeviceGetCount_v2(unsigned *n) { *n = 4; return 0; }
int nvmlDeviceGetHandleByIndex_v2(unsigned i, void **gpu) { *gpu = &gpus[i]; return 0; }
int nvmlDeviceGetName(void *gpu, char *name, unsigned length) {
  if (NUMBER == 3) return LOST;
  strcpy(name, NUMBER == 2 ? "NVIDIA T4" : "NVIDIA H200"); return 0;
}
int nvmlDeviceGetMemoryInfo(void *gpu, memory_t *m) {
  m->total = NUMBER == 2 ? 16000000000ULL : 151000000000ULL; return 0;
}
int nvmlSystemGetCudaDriverVersion(int *v) { *v = 12080; return 0; }
int nvmlSystemGetDriverVersion(char *v, unsigned length) { strcpy(v, "570.86.15"); return 0; }
const char *nvmlErrorString(int code) { return "an error"; }
"""
LOOK = """
import json, os
from dataclasses import asdict
from pathlib import Path
from clary.sdk.doctor.gpus import look_at_gpus
from clary.sdk.doctor.observation import Surroundings
from clary.settings import Settings
around = Surroundings(Settings(home=Path("home")), os.environ)
print(json.dumps([asdict(one) for one in look_at_gpus(around)]))
"""


def look(folder: Path, init: int, **environment: str) -> list[dict[str, str]]:
    compiler = shutil.which("cc")
    if compiler is None or sys.platform != "linux":
        pytest.skip("there is no C compiler to make a driver with")
    source, library = folder / "driver.c", folder / "libnvidia-ml.so.1"
    source.write_text(MADE_DRIVER)
    subprocess.run(
        [compiler, "-shared", "-fPIC", f"-DINIT={init}", "-o", str(library), str(source)],
        check=True,
    )
    done = subprocess.run(
        [sys.executable, "-c", LOOK],
        env={**os.environ, "LD_LIBRARY_PATH": str(folder), **environment},
        capture_output=True,
        text=True,
        check=True,
    )
    seen: list[dict[str, str]] = json.loads(done.stdout)
    return seen


def test_gpus_are_named_and_a_broken_one_is_told(tmp_path: Path) -> None:
    lost, rest = look(tmp_path, 0)
    assert (lost["level"], lost["found"]) == ("warning", "GPU 3 does not answer (GPU is lost)")
    assert rest["found"] == (
        "2 × NVIDIA H200 (151 GB each), NVIDIA T4 (16.0 GB); driver 570.86.15, CUDA 12.8"
    )


@pytest.mark.parametrize(
    ("init", "level", "found"),
    [
        (9, "note", "none"),
        (
            18,
            "warning",
            "the driver does not answer (RM has detected an NVML/RM version mismatch)",
        ),
    ],
)
def test_a_driver_that_does_not_answer_is_told_unless_there_is_none(
    tmp_path: Path, init: int, level: str, found: str
) -> None:
    (seen,) = look(tmp_path, init)
    assert (seen["level"], seen["found"]) == (level, found)


@pytest.mark.parametrize(
    ("environment", "level"),
    [
        ({}, "ok"),
        ({"CUDA_VISIBLE_DEVICES": "0"}, "ok"),
        ({"CUDA_VISIBLE_DEVICES": ""}, "warning"),
        ({"CUDA_VISIBLE_DEVICES": "-1"}, "warning"),
        ({"CUDA_VISIBLE_DEVICES": "-1,0"}, "warning"),
    ],
)
def test_a_gpu_that_is_hidden_is_told(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, environment: dict[str, str], level: str
) -> None:
    driver = GpuDriver("580.1", (13, 0), (Gpu("NVIDIA T4", 16_000_000_000),))
    monkeypatch.setattr("clary.sdk.doctor.gpus.describe_gpus", lambda: driver)
    monkeypatch.setattr("clary.sdk.doctor.gpus.cuda_of_torch", lambda: (13, 0))
    (found,) = look_at_gpus(Surroundings(Settings(home=tmp_path), environment))
    assert found.level == level
    assert ("hides it" in found.meaning) == (level == "warning")
