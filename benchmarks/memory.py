"""Peak memory of a training: does it grow with the number of pictures?

Trains the same small network for one epoch on made-up folders of 10,000 and 100,000 pictures and,
where it lies beside the checkout, on CIFAR-10 in its pickled form. Prints the largest resident
memory of the training process, and how much of it was its own (anonymous) rather than files that
the system may drop.

    python benchmarks/memory.py [--quick] [--data DIR]
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image

from rows import Rows, add_rows_option

SHARED = Path(__file__).resolve().parents[2] / "shared" / "data"
CLASSES = 10
MIB = 1024
# Of the larger folder's memory to the smaller one's: of a picture its path is kept, no more.
GROWTH_GOAL = 1.1


def make_pictures(root: Path, count: int) -> Path:
    """A folder of `count` different pictures in ten classes, 64×64, coarse random patterns."""
    rng = np.random.default_rng(0)
    for label in range(CLASSES):
        folder = root / f"class_{label}"
        folder.mkdir(parents=True)
        for number in range(count // CLASSES):
            coarse = rng.integers(0, 256, (8, 8, 3), dtype=np.uint8)
            coarse[..., label % 3] //= 1 + label // 3
            picture = Image.fromarray(coarse).resize((64, 64), Image.Resampling.BILINEAR)
            picture.save(folder / f"{number:06}.jpg", quality=80)
    return root


def peak(command: list[str], home: Path) -> tuple[int, int, float, int]:
    """Peak resident and peak anonymous memory in MiB, seconds, and exit code of the training."""
    environment = {**os.environ, "CLARY_HOME": str(home)}
    started = time.monotonic()
    process = subprocess.Popen(
        command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    )
    resident = anonymous = 0
    while process.poll() is None:
        now = _memory(process.pid)
        resident, anonymous = max(resident, now[0]), max(anonymous, now[1])
        time.sleep(0.02)
    if process.returncode:
        sys.stderr.write(process.stderr.read().decode() if process.stderr else "")
    return resident, anonymous, time.monotonic() - started, process.returncode


def _memory(pid: int) -> tuple[int, int]:
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0, 0
    fields = dict(line.split(":", 1) for line in lines if ":" in line)
    values = [int(fields.get(name, "0 kB").split()[0]) for name in ("VmRSS", "RssAnon")]
    return values[0] // MIB, values[1] // MIB


def train(data: Path, home: Path, name: str) -> tuple[int, int, float, int]:
    """Train one epoch on `data` in a process of its own."""
    from clary.formats.job_directory import JobDirectory
    from clary.formats.training_options import TrainingOptions

    directory = JobDirectory(home / "jobs" / name)
    directory.create()
    options = TrainingOptions(
        model="test_resnet", weights="none", image_size=32, epochs=1, batch_size=128
    )
    directory.write_inputs(options.to_hyperparameters(), {"training": data})
    command = [sys.executable, "-m", "clary.jobs.train", "--job", str(directory.root)]
    return peak([*command, "--no-report"], home)


def main() -> int:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="1,000 and 5,000 pictures")
    parser.add_argument("--data", type=Path, help="the pickled CIFAR-10 as .tar.gz or folder")
    add_rows_option(parser)
    given = parser.parse_args()
    print(f"{'data':<28}{'pictures':>10}{'peak MiB':>10}{'own MiB':>9}{'seconds':>9}")
    peaks: list[float] = []
    with tempfile.TemporaryDirectory(prefix="clary-memory-") as folder:
        root = Path(folder)
        counts = (1_000, 5_000) if given.quick else (10_000, 100_000)
        sets = [("made-up files", each, make_pictures(root / str(each), each)) for each in counts]
        if given.data is None and SHARED.exists() and not given.quick:
            unpack = [sys.executable, str(SHARED / "unpack.py"), str(root), "cifar10-batches"]
            subprocess.run(unpack, check=True)
            given.data = root / "cifar-10-python.tar.gz"
        if given.data is not None:
            sets.append(("CIFAR-10, pickled", 60_000, given.data))
        for number, (what, count, data) in enumerate(sets):
            resident, own, seconds, code = train(data, root / "home", f"job-{number}")
            if code:
                return code
            peaks.append(resident)
            print(f"{what:<28}{count:>10,}{resident:>10,}{own:>9,}{seconds:>9.1f}", flush=True)
    Rows.of("memory", given).add(
        f"peak memory, {counts[1]:,} pictures",
        "Clary",
        [peaks[1] / peaks[0]],
        against=f"{counts[0]:,} pictures",
        goal=GROWTH_GOAL,
        less=True,
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
