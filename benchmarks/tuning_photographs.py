"""Bayesian search against random search on photographs, at equal trials.

    python benchmarks/tuning_photographs.py [FOLDER --weights FILE] [--seeds 20] [--trials 20]
        [--space lr=1e-4..1e-1:log dropout=0..0.8 …] [--quick]

FOLDER and the weights are those beside the checkout where none are given.

A trial trains the head of a frozen backbone on features that are computed once, with what
`clary tune --objective valid_loss` would choose for it: its default space, 10 epochs, four trials
at once. What a search has found is the least validation loss of its trials; accuracy would tell
little, for a few hundred photographs leave most good heads level. Every search seed gets one search
of each strategy; heads with the same batch size train in one bank, those of all seeds together.
"""

from __future__ import annotations

import argparse
import datetime
import statistics
import tempfile
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from clary.formats.training_options import TrainingOptions
from clary.sdk.training_space import default_space, own_space
from clary.settings import Settings
from clary.tuner.scaling import Value
from clary.tuner.search import Search, Strategy, suggest
from clary.tuner.trials import Trial
from clary.vision.before_torch import prepare_process
from measuring import Spread, conditions
from photographs import shared_set, shared_weights
from rows import Rows, add_rows_option

prepare_process()

import torch  # noqa: E402

from clary.vision.datasets import open_dataset  # noqa: E402
from clary.vision.features import Features, HeadBank, HeadOptions, extract_features  # noqa: E402
from clary.vision.models import build_classifier, build_head  # noqa: E402
from clary.vision.optimizers import learning_rate_factor  # noqa: E402
from clary.vision.sampling import epoch_order  # noqa: E402

STRATEGIES: tuple[Strategy, ...] = ("Random", "Bayesian")


@dataclass
class Race:
    """One search: its trials so far."""

    search: Search
    trials: list[Trial] = field(default_factory=list)

    def ask(self, count: int) -> list[dict[str, Value]]:
        """What to try next, at once."""
        asked: list[dict[str, Value]] = []
        running = list(self.trials)
        for _ in range(count):
            number = len(running) + 1
            asked.append(suggest(self.search, running, number))
            running.append(Trial(number, asked[-1], "running"))
        return asked

    def tell(self, asked: Sequence[Mapping[str, Value]], values: Sequence[float]) -> None:
        """How those have gone."""
        for parameters, value in zip(asked, values, strict=True):
            number = len(self.trials) + 1
            self.trials.append(Trial(number, dict(parameters), "succeeded", value))

    def best_after(self, count: int) -> float:
        """The least objective of the first trials."""
        return min(trial.value for trial in self.trials[:count] if trial.value is not None)


class Heads:
    """Trains heads on the features of one data set."""

    def __init__(self, train: Features, valid: Features, classes: int, options: TrainingOptions):
        self.options = options
        self.classes = classes
        self.train = torch.from_numpy(np.array(train.views[0]))
        self.train_labels = torch.from_numpy(train.labels)
        self.valid = torch.from_numpy(np.array(valid.views[0]))
        self.valid_labels = torch.from_numpy(valid.labels)

    def losses(self, combinations: Sequence[Mapping[str, Value]]) -> list[float]:
        """The least validation loss of each combination, over the epochs."""
        by_batch: dict[int, list[int]] = defaultdict(list)
        given = self.options.model_dump(exclude_unset=True)
        chosen = [TrainingOptions.parse({**given, **one}) for one in combinations]
        for place, options in enumerate(chosen):
            by_batch[options.batch_size].append(place)
        found = [0.0] * len(chosen)
        for places in by_batch.values():
            together = self._train([chosen[place] for place in places])
            for place, loss in zip(places, together, strict=True):
                found[place] = loss
        return found

    def _train(self, options: Sequence[TrainingOptions]) -> list[float]:
        width, batch = self.train.shape[1], options[0].batch_size
        torch.manual_seed(self.options.seed)
        head = build_head(width, self.classes, (), 0.0)
        heads = [
            HeadOptions(
                weight_decay=o.weight_decay,
                eps=o.eps,
                betas=(o.beta1, o.beta2),
                dropout=o.dropout,
                label_smoothing=o.label_smoothing,
            )
            for o in options
        ]
        bank = HeadBank([head] * len(options), heads)
        steps = -(-len(self.train) // batch)
        best = torch.full((len(options),), torch.inf, dtype=torch.float64)
        for epoch in range(1, self.options.epochs + 1):
            order = epoch_order(len(self.train), seed=self.options.seed, epoch=epoch, shuffle=True)
            rows = torch.from_numpy(order.indices)
            for step in range(steps):
                picked = rows[step * batch : (step + 1) * batch]
                done = (epoch - 1) * steps + step
                factor = learning_rate_factor(self.options, done, steps, self.options.epochs)
                rates = [(o.lr or 0.0) * factor for o in options]
                bank.step(self.train[picked], self.train_labels[picked], rates)
            best = torch.minimum(best, bank.evaluate(self.valid, self.valid_labels).losses)
        return best.tolist()


def features_of(arguments: argparse.Namespace, options: TrainingOptions) -> Heads:
    settings = Settings.from_environment()
    dataset = open_dataset(arguments.folder, settings=settings, seed=options.seed)
    classifier, preprocessing, report = build_classifier(
        arguments.model, dataset.classes, weights=arguments.weights
    )
    extracted = [
        extract_features(
            classifier,
            dataset.splits[name],
            preprocessing=preprocessing,
            settings=settings,
            weights_fingerprint=report.fingerprint,
        )
        for name in ("train", "valid")
    ]
    print(
        f"{dataset.name}: {len(dataset.train)} photographs to train on, "
        f"{len(dataset.splits['valid'])} to judge, {len(dataset.classes)} classes; frozen "
        f"{arguments.model}, {options.epochs} epochs"
    )
    return Heads(extracted[0], extracted[1], len(dataset.classes), options)


def report(races: Mapping[Strategy, Sequence[Race]], trials: Sequence[int]) -> str:
    lines = [
        "| trials | least valid loss × 1000, Random | Bayesian | mean of the differences | won by "
        "Bayesian |",
        "|---|---|---|---|---|",
    ]
    for count in trials:
        random, bayesian = (
            [1000 * race.best_after(count) for race in races[strategy]] for strategy in STRATEGIES
        )
        gains = [before - after for before, after in zip(random, bayesian, strict=True)]
        error = statistics.stdev(gains) / len(gains) ** 0.5
        lines.append(
            f"| {count} | {Spread(random)} | {Spread(bayesian)} | "
            f"{-statistics.mean(gains):+.2f} ± {error:.2f} | "
            f"{sum(gain > 0 for gain in gains)} of {len(gains)} |"
        )
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path, nargs="?")
    parser.add_argument("--weights", type=Path)
    parser.add_argument("--model", default="mobilenetv2_100")
    parser.add_argument("--space", nargs="+", help="ranges, as `clary tune` takes them")
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--trials", type=int, default=20)
    parser.add_argument("--parallel", type=int, default=4)
    parser.add_argument("--quick", action="store_true", help="3 seeds, 4 trials, 2 epochs")
    add_rows_option(parser)
    arguments = parser.parse_args()
    options = TrainingOptions()
    if arguments.quick:
        arguments.seeds, arguments.trials = 3, 4
        options = TrainingOptions(epochs=2)
    with tempfile.TemporaryDirectory(prefix="clary-bench-") as work:
        if arguments.folder is None:
            arguments.folder = shared_set("dogs", "dogImages", Path(work))
        if arguments.weights is None:
            arguments.weights = shared_weights("mobilenet_v2.pth")
        race(arguments, options)


def race(arguments: argparse.Namespace, options: TrainingOptions) -> None:
    """Let the strategies search, and print what they found."""
    print(conditions(datetime.date.today().isoformat()))
    heads = features_of(arguments, options)
    given = {"weights": str(arguments.weights), "trainable_layers": "0"}
    space = own_space(arguments.space, given, 0) if arguments.space else default_space(given, 0)
    began = time.monotonic()
    races = {
        strategy: [
            Race(Search(space, strategy, "Minimize", seed, max_trials=arguments.trials))
            for seed in range(arguments.seeds)
        ]
        for strategy in STRATEGIES
    }
    everyone = [race for strategy in STRATEGIES for race in races[strategy]]
    for done in range(0, arguments.trials, arguments.parallel):
        count = min(arguments.parallel, arguments.trials - done)
        asked = [race.ask(count) for race in everyone]
        losses = iter(heads.losses([one for some in asked for one in some]))
        for race, some in zip(everyone, asked, strict=True):
            race.tell(some, [next(losses) for _ in some])
    print(f"n = {arguments.seeds} seeds, {', '.join(map(str, space.names))}")
    print(report(races, sorted({arguments.trials // 2, arguments.trials})))
    print(f"{len(everyone) * arguments.trials} heads in {time.monotonic() - began:.0f} s")
    won = [
        after.best_after(arguments.trials) < before.best_after(arguments.trials)
        for before, after in zip(races["Random"], races["Bayesian"], strict=True)
    ]
    Rows.of("tuning_photographs", arguments).add(
        f"{arguments.folder.name}, least valid loss of {arguments.trials} trials: seeds won",
        "Bayesian",
        [100 * sum(won) / len(won)],
        n=len(won),
        unit="%",
        against="Random",
    )


if __name__ == "__main__":
    main()
