"""What watching costs: the same training unwatched, by Clary's hook, by the original smdebug.

    python benchmarks/debugger.py [--models resnet18 resnet50] [--rounds N] [--quick]

| contestant      | what is kept                                                              |
|-----------------|---------------------------------------------------------------------------|
| nothing         | no hook                                                                   |
| default         | losses of every step                                                      |
| statistics      | of weights, gradients and biases, every 5 steps                           |
| raw             | these tensors whole, every 5 steps                                        |
| smdebug default | losses every 500 steps, by smdebug 1.0.34                                 |
| smdebug         | weights, gradients and biases whole, every 5 steps, by smdebug 1.0.34     |

Forward and backward in bf16, channels_last, on made pictures. All contestants take turns in one
run; a ratio compares the turns of a round. smdebug runs in an environment of its own, beside the
same torch: it needs an older numpy.
"""

from __future__ import annotations

import argparse
import datetime
import json
import shutil
import signal
import site
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from measuring import Contestant, Spread, conditions, interleave

HERE = Path(__file__).resolve().parent
EVERY = 5
SMDEBUG = ("smdebug==1.0.34", "numpy<2.3", "pandas", "requests", "setuptools<80")
OURS = ("nothing", "default", "statistics", "raw")
THEIRS = ("smdebug default", "smdebug")
KEEPING = ("statistics", "raw", "smdebug")
QUIET_BELOW = 0.25


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--models", nargs="+", default=["resnet18", "resnet50"])
    parser.add_argument("--contestants", nargs="+", default=[*OURS, *THEIRS])
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--batches", type=int, default=20, help="steps a turn, a multiple of 5")
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--image-size", type=int, default=224)
    parser.add_argument("--quick", action="store_true", help="three rounds of ten steps")
    parser.add_argument("--date", default=datetime.date.today().isoformat())
    args = parser.parse_args()
    if args.quick:
        args.rounds, args.batches = 3, 10
    if args.batches % EVERY:
        parser.error(f"--batches is {args.batches}: give a multiple of {EVERY}")
    return args


def environment_of_smdebug(folder: Path) -> Path:
    """A Python with smdebug and an older numpy, which finds torch where this one has it."""
    python = folder / "bin" / "python"
    subprocess.run(["uv", "venv", "-q", "--python", sys.executable, str(folder)], check=True)
    subprocess.run(["uv", "pip", "install", "-q", "--python", str(python), *SMDEBUG], check=True)
    (own,) = (folder / "lib").glob("python*/site-packages")
    # Read after the environment's own packages, so that those come first.
    (own / "torch_of_the_caller.pth").write_text("\n".join(site.getsitepackages()) + "\n")
    return python


def race(args: argparse.Namespace, model: str, work: Path, pythons: dict[str, Path]) -> None:
    contestants: list[Contestant] = []
    folders: list[Path] = []
    for name in args.contestants:
        folder = work / f"{model}-{name.replace(' ', '-')}"
        given = {
            "model": model,
            "watched": name,
            "folder": str(folder),
            "batch_size": args.batch_size,
            "image_size": args.image_size,
            # A multiple too: every turn holds as many captures as all others.
            "warm_up": 2 * EVERY,
            "batches": args.batches,
        }
        file = work / f"{folder.name}.json"
        file.write_text(json.dumps(given))
        command = [str(pythons[name]), str(HERE / "watched_training.py"), str(file)]
        contestants.append(Contestant(name, command))
        folders.append(folder)
    print(
        f"\n## {model}, batch {args.batch_size}, {args.image_size} px, {args.batches} steps a turn"
    )
    interleave(contestants, rounds=args.rounds)
    captures = -(-(2 * EVERY + args.rounds * args.batches) // EVERY)
    sizes = [
        size_of(folder) / captures if name in KEEPING else None
        for name, folder in zip(args.contestants, folders, strict=True)
    ]
    print(table(contestants, sizes, args.batch_size), flush=True)
    for folder in folders:
        shutil.rmtree(folder, ignore_errors=True)


def size_of(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())


def table(
    contestants: list[Contestant], bytes_a_capture: list[float | None], batch_size: int
) -> str:
    rounds = list(zip(*(contestant.sections for contestant in contestants), strict=True))
    quiet = [turns for turns in rounds if max(turn.others for turn in turns) < QUIET_BELOW]
    lines = [
        f"n = {len(rounds)} rounds, {len(quiet)} quiet; median (min–max); the ratio is that of "
        f"step times to {contestants[0].name!r} in the same round",
        "| watched | ms a step | ratio | ratio, quiet rounds | KB a capture | cores of others |",
        "|---|---|---|---|---|---|",
    ]
    for index, contestant in enumerate(contestants):
        own = [turns[index] for turns in rounds]
        milliseconds = Spread([1e3 * batch_size / turn.rate for turn in own])
        ratio = Spread([turns[0].rate / turns[index].rate for turns in rounds])
        calm = Spread([turns[0].rate / turns[index].rate for turns in quiet])
        size = bytes_a_capture[index]
        kilobytes = "–" if size is None else f"{size / 1e3:,.1f}"
        others = Spread([turn.others for turn in own])
        lines.append(
            f"| {contestant.name} | {milliseconds} | {precise(ratio)} | {precise(calm)} "
            f"| {kilobytes} | {others} |"
        )
    return "\n".join(lines)


def precise(spread: Spread) -> str:
    """With three digits behind the point, for costs of less than a per cent."""
    if not spread.values:
        return "–"
    low, high = min(spread.values), max(spread.values)
    return f"{statistics.median(spread.values):.3f} ({low:.3f}–{high:.3f})"


def main() -> None:
    args = parse_arguments()
    # Contestants that stand still would stay for ever: leave through the `finally` blocks.
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))
    with tempfile.TemporaryDirectory(prefix="clary-bench-") as work:
        pythons = dict.fromkeys(args.contestants, Path(sys.executable))
        if any(name in THEIRS for name in args.contestants):
            python = environment_of_smdebug(Path(work) / "smdebug")
            pythons |= {name: python for name in args.contestants if name in THEIRS}
        print(conditions(args.date), flush=True)
        for model in args.models:
            race(args, model, Path(work), pythons)


if __name__ == "__main__":
    main()
