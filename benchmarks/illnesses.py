"""Which rule finds which illness of a training, after how many steps, and who cries wolf.

    python benchmarks/illnesses.py [--data CIFAR_FOLDER] [--dogs DOGS --weights WEIGHTS]
        [--seeds 10] [--quick]

Every training of `ill_trainings.py` runs with each seed under a hook; then all rules judge its log
with their defaults. An illness is found when a rule that is named for it fires; a rule that fires
for a healthy training is a false alarm. Other rules that fire for an illness are its consequences
and are listed. Steps count training batches before the finding. `--quick` takes one seed. Without
`--data` the pictures beside the checkout are taken.

With `--dogs` (a folder with train/ and valid/) and `--weights` (torchvision's mobilenet_v2.pth) a
fine-tuning of the whole network is judged as well.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

from clary.debugger.history import History
from clary.debugger.rules import BUILT_IN
from clary.debugger.rules.recorded import Recorded
from clary.formats.tensor_log.entries import Mode
from clary.rules.runner import Now, Runner
from dog_finetune import finetune
from ill_trainings import HEALTHY, ILL, Training, run
from photographs import shared_set
from rows import Rows, add_rows_option

# Every rule that can judge a training by itself, with its defaults; tensors are named where a rule
# would take all of them.
RULES: Mapping[str, Mapping[str, str]] = {
    "VanishingGradient": {},
    "ExplodingTensor": {},
    "DeadRelu": {},
    "SaturatedActivation": {},
    "PoorWeightInitialization": {},
    "WeightUpdateRatio": {},
    "AllZero": {"collection_names": "weights,biases,gradients"},
    "UnchangedTensor": {"collection_names": "weights"},
    "LossNotDecreasing": {},
    "Overfit": {},
    "Overtraining": {},
    "ClassImbalance": {},
    "CheckInputImages": {},
}


@dataclass(frozen=True)
class Found:
    """A rule fired after so many training steps."""

    rule: str
    steps: int
    message: str


def judge(folder: Path, published: bool = False) -> list[Found]:
    """What all rules find in a log."""
    history = History.open(folder)
    source = Recorded(history, history.workers[0])
    found = []
    for name, given in RULES.items():
        extra = {"published_defaults": "true"} if published else {}
        runner = Runner(BUILT_IN[name].configured({**given, **extra}), 0.0)
        runner.look([source], Now(time.time(), ended=True))
        if runner.fired is not None:
            number = runner.fired_step if runner.fired_step is not None else 0
            steps = sum(
                step.mode is not Mode.EVAL and step.number <= number for step in source.steps()
            )
            found.append(Found(name, steps, runner.fired.message))
    return found


def spread(values: Sequence[int]) -> str:
    if not values:
        return "–"
    return f"{statistics.median(values):g} ({min(values)}–{max(values)})"


class Table:
    """Counts by training, in the order they came."""

    def __init__(self, rows: Rows) -> None:
        self._summary = rows
        self._rows: list[str] = []
        self.missed = 0
        self.false_alarms = 0

    def ill(self, training: Training, all_found: Sequence[Sequence[Found]]) -> None:
        right: dict[str, list[int]] = defaultdict(list)
        beside: Counter[str] = Counter()
        for found in all_found:
            for one in found:
                if one.rule in training.rules:
                    right[one.rule].append(one.steps)
                else:
                    beside[one.rule] += 1
        caught = sum(any(one.rule in training.rules for one in found) for found in all_found)
        self.missed += len(all_found) - caught
        share = 100 * caught / len(all_found)
        self._summary.add(
            training.name, "caught by the right rule", [share], n=len(all_found), unit="%", goal=100
        )
        told = "; ".join(
            f"{rule} {len(right[rule])}/{len(all_found)}, {spread(right[rule])}"
            for rule in training.rules
        )
        others = ", ".join(f"{rule} {count}" for rule, count in beside.most_common())
        self._rows.append(
            f"| {training.name} | {caught}/{len(all_found)} | {told} | {others or '–'} |"
        )

    def healthy(self, name: str, all_found: Sequence[Sequence[Found]]) -> None:
        alarms = Counter(one.rule for found in all_found for one in found)
        count = sum(bool(found) for found in all_found)
        self.false_alarms += count
        share = 100 * count / len(all_found)
        self._summary.add(
            name, "false alarms", [share], n=len(all_found), unit="%", goal=0, less=True
        )
        told = ", ".join(f"{rule} {times}" for rule, times in alarms.most_common())
        self._rows.append(f"| {name} | {count}/{len(all_found)} false | {told or 'nothing'} | |")

    def __str__(self) -> str:
        head = [
            "| training | caught | by the right rule: times, steps median (min–max) | also said |",
            "|---|---|---|---|",
        ]
        return "\n".join([*head, *self._rows])


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else None)
    parser.add_argument("--data", type=Path, help="CIFAR-10's batch files")
    parser.add_argument("--dogs", type=Path)
    parser.add_argument("--weights", type=Path)
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--only", default="", help="trainings whose name holds this")
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--published", action="store_true", help="with SageMaker's bare thresholds")
    parser.add_argument("--verbose", action="store_true", help="print each finding")
    add_rows_option(parser)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="clary-bench-") as work:
        if options.data is None:
            options.data = shared_set("cifar10-batches", "cifar-10-batches-py", Path(work))
        compare(options)
    return 0


def compare(options: argparse.Namespace) -> None:
    """Train, judge, and print the table."""
    seeds = 1 if options.quick else options.seeds
    table = Table(Rows.of("illnesses", options))

    def all_of(name: str, train: object) -> list[list[Found]]:
        everything = []
        for seed in range(seeds):
            with tempfile.TemporaryDirectory(prefix="clary-illness-") as folder:
                began = time.monotonic()
                steps = train(Path(folder), seed)  # type: ignore[operator]
                found = judge(Path(folder), options.published)
                everything.append(found)
            rules = ", ".join(f"{one.rule}@{one.steps}" for one in found)
            seconds = time.monotonic() - began
            print(f"{name}, seed {seed}: {steps} steps, {seconds:.0f} s: {rules}", file=sys.stderr)
            if options.verbose:
                for one in found:
                    print(f"    {one.rule}: {one.message}", file=sys.stderr)
        return everything

    for training in (*ILL, *HEALTHY):
        if options.only not in training.name:
            continue
        found = all_of(
            training.name,
            lambda folder, seed, training=training: run(training, folder, options.data, seed),
        )
        if training.rules:
            table.ill(training, found)
        else:
            table.healthy(training.name, found)
    name = "healthy: fine-tuning of mobilenet_v2 on dogs"
    if options.dogs and options.weights and options.only in name:
        table.healthy(
            name,
            all_of(
                name,
                lambda folder, seed: finetune(
                    folder, options.dogs, options.weights, seed, quick=options.quick
                ),
            ),
        )
    print(f"n = {seeds} seeds; gradients, weights and units every 5 steps, losses at each")
    print(table)
    print(f"missed: {table.missed}; false alarms: {table.false_alarms}")


if __name__ == "__main__":
    sys.exit(main())
