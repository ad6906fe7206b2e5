"""Whether the verdict names what makes a training slow, and what the change that it tells brings.

    python benchmarks/slow_trainings.py [--data FOLDER] [--rounds 3] [--seconds 40] [--quick]

`slow_training.py` runs as its own process, made slow in one way after the other, under
`clary exec --profile`, which it knows nothing of; then again with the change that the first of the
verdict's causes tells (the number of workers, the size of a batch, how often to evaluate or to
save), read from its sentence. Both take turns, `--rounds` times. The measured gain is the time of
its loop for each picture before, over that after, by the script's own clock; where the batch is
changed too. A well-built training and a leak have nothing to gain: there the verdict is what
counts. `--quick` runs each once and shortly.

The pictures: `--data` is a folder with `train/`, or one that holds archives and `unpack.py`; made
ones otherwise.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from clary.profiler.diagnosis import Diagnosis, diagnose, verdict
from clary.profiler.profile import Profile
from measuring import Spread, busy_seconds, conditions
from photographs import SHARED_DATA, photographs
from rows import Rows, add_rows_option

SCRIPT = Path(__file__).with_name("slow_training.py")
WELL_BUILT = "well built"


@dataclass(frozen=True)
class Slowness:
    """A way to be slow: options of the script, the cause that is to be named, and how the number
    in the told change becomes options again.
    """

    name: str
    cause: str | None
    options: Mapping[str, float]
    told: str = ""
    """Finds the number in the sentence of the change."""
    becomes: str = ""
    """The option that takes it."""
    without: Mapping[str, float] = field(default_factory=dict)
    """Options after a change that is told without a number."""


SLOWNESSES = (
    Slowness(
        "decoding in one thread",
        "data_loading",
        {"workers": 0, "image_size": 64},
        r"num_workers=(\d+)",
        "workers",
    ),
    Slowness(
        "a sleep of 8 ms a picture in the loader",
        "data_loading",
        {"workers": 0, "sleep_ms": 8},
        r"^give the DataLoader num_workers=(\d+)",
        "workers",
        {"workers": 0, "sleep_ms": 0},
    ),
    Slowness("batches of 2", "small_batches", {"batch_size": 2}, r"batch of (\d+)", "batch_size"),
    Slowness("a leak of 4 MB a step", "memory_leak", {"leak_mb": 4}, without={"leak_mb": 0}),
    Slowness(
        "evaluation at each step",
        "evaluation",
        {"evaluate_every": 1},
        r"every ([\d,]+) step",
        "evaluate_every",
    ),
    Slowness(
        "a checkpoint at each step",
        "checkpoints",
        {"save_every": 1},
        r"every ([\d,]+) step",
        "save_every",
    ),
    Slowness(WELL_BUILT, None, {}),
)


@dataclass(frozen=True)
class Run:
    """One training: seconds of its loop for each picture, what was said, and who disturbed it."""

    picture_s: float
    steps: int
    verdict: tuple[str, str, str]
    causes: tuple[Diagnosis, ...]
    others: float
    """Cores that other programs used meanwhile."""


def train(pictures: Path, folder: Path, options: Mapping[str, float], steps: int) -> Run:
    """Run the script under the profiler, and read what it left."""
    command = [sys.executable, str(SCRIPT), str(pictures), "--steps", str(steps)]
    for name, value in options.items():
        command += [f"--{name.replace('_', '-')}", f"{value:g}"]
    watched = [sys.executable, "-m", "clary.jobs.exec", "--profile", "--output", str(folder), "--"]
    before = os.times()
    busy, began = busy_seconds(), before.elapsed
    done = subprocess.run([*watched, *command], capture_output=True, text=True, check=False)
    after = os.times()
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)} failed:\n{done.stderr[-3000:]}")
    line = next(one for one in done.stdout.splitlines() if one.startswith('{"seconds"'))
    told = json.loads(line)
    own = sum(after[2:4]) - sum(before[2:4])
    others = max(0.0, busy_seconds() - busy - own) / (after.elapsed - began)
    profile = Profile.open([folder])
    return Run(
        told["seconds"] / told["pictures"],
        told["steps"],
        verdict(profile),
        diagnose(profile),
        others,
    )


def changed(slowness: Slowness, run: Run) -> Mapping[str, float]:
    """The options with the change that the verdict tells."""
    named = next((one for one in run.causes if one.cause == slowness.cause), None)
    if named is None:
        return {**slowness.options, **slowness.without}
    found = re.search(slowness.told, named.change) if slowness.told else None
    if found is None:
        return {**slowness.options, **slowness.without}
    return {**slowness.options, slowness.becomes: float(found.group(1).replace(",", ""))}


@dataclass
class Outcome:
    """All runs of a slowness, and of what became of it."""

    slowness: Slowness
    slow: list[Run] = field(default_factory=list)
    after: list[Run] = field(default_factory=list)
    options: Mapping[str, float] = field(default_factory=dict)

    def row(self) -> str:
        """Of the table."""
        causes, wanted = self._causes(), self.slowness.cause or WELL_BUILT
        right = sum(cause == wanted for cause in causes)
        named = f"{wanted} {right}/{len(causes)}"
        if right < len(causes):
            named += f" (said {', '.join(sorted(set(causes) - {wanted}))})"
        predicted = [
            one.gain for run in self.slow for one in run.causes[:1] if one.gain is not None
        ]
        then = [run.causes[0].cause if run.causes else WELL_BUILT for run in self.after]
        change = ", ".join(
            f"{name}={value:g}"
            for name, value in self.options.items()
            if self.slowness.options.get(name) != value
        )
        others = Spread([run.others for run in (*self.slow, *self.after)])
        return (
            f"| {self.slowness.name} | {named} | {change or '–'} | {Spread(predicted)} | "
            f"{Spread(self._gains())} | {', '.join(dict.fromkeys(then)) or '–'} | {others} |"
        )

    def add_rows(self, rows: Rows) -> None:
        """Whether the first cause was the right one, and what the change has brought."""
        wanted = self.slowness.cause or WELL_BUILT
        causes = self._causes()
        right = 100 * sum(cause == wanted for cause in causes) / len(causes)
        rows.add(
            self.slowness.name, "the right cause named", [right], n=len(causes), unit="%", goal=100
        )
        if self.slowness.cause is not None and self.options != self.slowness.options:
            rows.add(self.slowness.name, "after the change", self._gains(), against="before")

    def _causes(self) -> list[str]:
        return [run.causes[0].cause if run.causes else WELL_BUILT for run in self.slow]

    def _gains(self) -> list[float]:
        return [
            slow.picture_s / after.picture_s
            for slow, after in zip(self.slow, self.after, strict=True)
        ]


def measure(
    outcomes: Sequence[Outcome], pictures: Path, work: Path, seconds: float, rounds: int
) -> None:
    """Each slowness and its change, in turns."""
    for number in range(rounds):
        for outcome in outcomes:
            slowness = outcome.slowness
            steps = _steps(seconds, slowness.options)
            run = train(pictures, work / "slow", slowness.options, steps)
            shutil.rmtree(work / "slow")
            outcome.slow.append(run)
            outcome.options = outcome.options or changed(slowness, run)
            if slowness.cause is not None:
                steps = _steps(seconds, outcome.options)
                after = train(pictures, work / "after", outcome.options, steps)
                shutil.rmtree(work / "after")
                outcome.after.append(after)
            else:
                outcome.after.append(run)
            print(f"round {number + 1}, {slowness.name}:", *run.verdict, sep="\n  ", flush=True)
            told = (
                f"{run.picture_s * 1e3:.1f} ms a picture, {outcome.after[-1].picture_s * 1e3:.1f}"
            )
            print(f"  {told} after {dict(outcome.options)}", flush=True)
            print(f"  then: {' '.join(outcome.after[-1].verdict[1:])}", flush=True)


def _steps(seconds: float, options: Mapping[str, float]) -> int:
    """About so many seconds on two cores, by what a step took there."""
    step_s = 0.012 * options.get("batch_size", 32) + 0.04
    if options.get("image_size", 96) < 96:
        step_s *= 0.6
    step_s += 0.032 * options.get("sleep_ms", 0) * (not options.get("workers", 1))
    if options.get("evaluate_every"):
        step_s += 1.0 / options["evaluate_every"]
    if options.get("save_every"):
        step_s += 0.3 / options["save_every"]
    return max(20, round(seconds / step_s))


def main(arguments: Sequence[str]) -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n", 1)[0])
    parser.add_argument("--data", type=Path, default=SHARED_DATA)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=40.0, help="of each training, about")
    parser.add_argument("--only", default="", help="those whose name holds this")
    parser.add_argument("--quick", action="store_true", help="once each, 5 s")
    add_rows_option(parser)
    options = parser.parse_args(arguments)
    rounds, seconds = (1, 5.0) if options.quick else (options.rounds, options.seconds)
    outcomes = [Outcome(one) for one in SLOWNESSES if options.only in one.name]
    head = conditions(datetime.date.today().isoformat())
    with tempfile.TemporaryDirectory(prefix="clary-slow-") as place:
        work = Path(place)
        pictures, about = photographs(options.data, work)
        measure(outcomes, pictures / "train", work, seconds, rounds)
    print(head)
    print(
        f"{about}; ResNet-18, fp32, 96 px (64 px where decoding is judged), about {seconds:.0f} s"
    )
    print(f"n = {rounds} rounds; median (min–max)")
    print(
        "| made slow by | first cause | change that was told | predicted gain | measured gain | "
        "verdict after | cores used by others |"
    )
    print("|---|---|---|---|---|---|---|")
    for outcome in outcomes:
        print(outcome.row())
        outcome.add_rows(Rows.of("slow_trainings", options))


if __name__ == "__main__":
    main(sys.argv[1:])
