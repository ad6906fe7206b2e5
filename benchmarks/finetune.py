"""Clary against the usual torchvision script, interleaved, on the photographs of hymenoptera.

    python benchmarks/finetune.py [--data DIR] [--parts full frozen curves] [--quick]

| part   | what is compared                                                                  |
|--------|-----------------------------------------------------------------------------------|
| full   | images a second while all layers of a ResNet-18 and a ResNet-50 learn, JPEG decoding |
|        | included; Clary with an empty picture cache and with a filled one                   |
| frozen | seconds of a whole run: frozen ResNet-50, 976 photographs, 10 epochs, from an empty |
|        | cache, with one view and with four                                                 |
| curves | losses an epoch in bf16 and fp32 from the same seed, and in fp32 from another seed:  |
|        | what bf16 changes, next to what chance changes                                      |
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from measuring import Contestant, Spread, conditions, interleave, race_table
from photographs import SHARED_DATA, photographs, repeated
from rows import Rows, add_rows_option

HERE = Path(__file__).resolve().parent
PHOTOGRAPHS, QUICK_PHOTOGRAPHS = 976, 160
FROZEN_EPOCHS = 10
FULL_GOAL = 3.5
FROZEN_GOALS = {1: 30.0, 4: 8.0}
LIKE_THE_SCRIPT: dict[str, Any] = {
    "optimizer": "adam",
    "lr": 1e-3,
    "weight_decay": 0.0,
    "schedule": "constant",
    "batch_size": 32,
    "augmentation": "standard",
    "class_balance": "off",
    "test_fraction": 0.0,
}


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, default=SHARED_DATA, help="photographs or archives")
    parser.add_argument("--parts", nargs="+", default=["full", "frozen", "curves"])
    parser.add_argument("--models", nargs="+", help="resnet18 and resnet50, with --quick one")
    parser.add_argument("--rounds", type=int, help="rounds of the interleaved parts")
    parser.add_argument("--quick", action="store_true", help="few photographs, rounds and epochs")
    parser.add_argument("--date", default=datetime.date.today().isoformat())
    add_rows_option(parser)
    args = parser.parse_args()
    args.models = args.models or ["resnet18", "resnet50"][: 1 if args.quick else 2]
    return args


class Bench:
    """One call of this program: its options, its photographs, its folder for everything else."""

    def __init__(self, args: argparse.Namespace, work: Path) -> None:
        self.args = args
        self.work = work
        self.rows = Rows.of("finetune", args)
        self.count = QUICK_PHOTOGRAPHS if args.quick else PHOTOGRAPHS
        self.source, about = photographs(args.data, work)
        print(conditions(args.date), f"data: {about}", sep="\n", flush=True)
        self._files = 0

    def command(self, part: str, given: dict[str, Any]) -> list[str]:
        self._files += 1
        file = self.work / f"given-{self._files}.json"
        file.write_text(json.dumps(given, default=str))
        return [sys.executable, str(HERE / "contestants.py"), part, str(file)]

    def home(self) -> dict[str, str]:
        """An environment with empty caches."""
        self._files += 1
        return {"CLARY_HOME": str(self.work / f"home-{self._files}")}

    def weights(self, model: str) -> Path:
        """Random weights that both sides start from; their values change no speed."""
        file = self.work / f"{model}.pth"
        if not file.exists():
            code = (
                "import sys, torch, torchvision; torch.manual_seed(0); "
                "model = getattr(torchvision.models, sys.argv[1])(weights=None); "
                "torch.save(model.state_dict(), sys.argv[2])"
            )
            subprocess.run([sys.executable, "-c", code, model, str(file)], check=True)
        return file

    def run(self, command: list[str], environment: dict[str, str]) -> tuple[float, Any]:
        """Run to the end: wall seconds, and the JSON of the last line."""
        started = time.perf_counter()
        done = subprocess.run(
            command, env={**os.environ, **environment}, capture_output=True, text=True, check=False
        )
        seconds = time.perf_counter() - started
        if done.returncode:
            raise RuntimeError(f"{command[2]} ended with {done.returncode}:\n{done.stderr[-4000:]}")
        return seconds, json.loads(done.stdout.splitlines()[-1])

    def full(self, model: str) -> None:
        data = repeated(self.source, self.work / f"full-{model}", self.count, valid=4)
        batches, rounds = (2, 1) if self.args.quick else (6, self.args.rounds or 10)
        few = {"warm_up": 3, "batches": batches}
        epoch = {"warm_up": self.count // 32 + 3, "batches": batches}
        usual = [str(data), "--model", model, "--weights", str(self.weights(model))]
        options = {
            **LIKE_THE_SCRIPT,
            "model": model,
            "weights": str(self.weights(model)),
            "trainable_layers": "all",
        }
        contestants = [
            Contestant(
                f"usual script, {workers} workers",
                self.command(
                    "usual-race",
                    {"sections": few, "arguments": [*usual, "--workers", str(workers)]},
                ),
            )
            for workers in (0, 2)
        ]
        contestants += [
            Contestant(
                name,
                self.command("clary-race", {"sections": warm, "data": data, "options": options}),
                self.home(),
            )
            for name, warm in (("Clary, first epoch", few), ("Clary, later epochs", epoch))
        ]
        print(f"\n## full fine-tune, {model}, batch 32, 224 px, {batches} batches a turn")
        interleave(contestants, rounds=rounds)
        # Workers help on some machines and hurt on others: Clary meets the better choice.
        faster = max(
            contestants[:2], key=lambda one: statistics.median(turn.rate for turn in one.sections)
        )
        print(race_table(contestants, faster))
        print(f"ratio: to {faster.name}, the faster of the two", flush=True)
        for one in contestants[2:]:
            ratios = [
                own.rate / script.rate
                for own, script in zip(one.sections, faster.sections, strict=True)
            ]
            what = f"{model}, all layers learn, img/s"
            self.rows.add(what, one.name, ratios, against=faster.name, goal=FULL_GOAL)

    def frozen(self, model: str) -> None:
        valid = 4 if self.args.quick else None
        data = repeated(self.source, self.work / "frozen", self.count, valid=valid)
        rounds = 1 if self.args.quick else self.args.rounds or 3
        usual = [str(data), "--model", model, "--weights", str(self.weights(model)), "--freeze"]
        options = {
            **LIKE_THE_SCRIPT,
            "model": model,
            "weights": str(self.weights(model)),
            "trainable_layers": 0,
            "epochs": FROZEN_EPOCHS,
        }
        script: list[float] = []
        seconds: dict[int, list[float]] = {1: [], 4: []}
        ratios: dict[int, list[float]] = {1: [], 4: []}
        print(f"\n## frozen {model}, {self.count} photographs, {FROZEN_EPOCHS} epochs")
        for _ in range(rounds):
            # Every epoch of the script is the same work, so one stands for ten.
            command = self.command("usual-epochs", {"arguments": [*usual, "--epochs", "1"]})
            _, told = self.run(command, {})
            script.append(told["start"] + FROZEN_EPOCHS * told["epochs"][0])
            for views, walls in seconds.items():
                given = {"data": data, "options": {**options, "views": views}}
                home = self.home()
                wall, _ = self.run(self.command("clary-run", given), home)
                shutil.rmtree(home["CLARY_HOME"], ignore_errors=True)
                walls.append(wall)
                ratios[views].append(script[-1] / wall)
        print(f"n = {rounds} rounds; median (min–max); whole processes, imports included")
        print("| contestant | seconds | ratio |\n|---|---|---|")
        print(f"| usual script (start + {FROZEN_EPOCHS} × one epoch) | {Spread(script)} | 1 |")
        for views, walls in seconds.items():
            print(f"| Clary, {views} view(s) | {Spread(walls)} | {Spread(ratios[views])} |")
            self.rows.add(
                f"frozen {model}, {self.count} photographs, {FROZEN_EPOCHS} epochs",
                f"Clary, {views} view(s)",
                ratios[views],
                against="usual script",
                goal=FROZEN_GOALS[views],
            )
        sys.stdout.flush()

    def curves(self, model: str) -> None:
        epochs, data = 8, self.source
        if self.args.quick:
            epochs, data = 2, repeated(self.source, self.work / "curves", self.count, valid=4)
        options = {
            **LIKE_THE_SCRIPT,
            # At 1e-3 random weights make the first epochs a lottery, whatever the precision.
            "lr": 1e-4,
            "model": model,
            "weights": str(self.weights(model)),
            "trainable_layers": "all",
            "epochs": epochs,
        }
        runs = {"fp32": ("fp32", 0), "bf16": ("bf16", 0), "fp32, seed 1": ("fp32", 1)}
        losses: dict[str, list[dict[str, float]]] = {}
        for name, (precision, seed) in runs.items():
            given = {
                "data": data,
                "options": {**options, "precision": precision, "seed": seed},
            }
            _, losses[name] = self.run(self.command("clary-run", given), self.home())
        print(f"\n## losses of {model}, train / valid, the same seed in bf16 and fp32")
        print(f"| epoch | {' | '.join(runs)} |\n|---|{'---|' * len(runs)}")
        for epoch in range(epochs):
            cells = [
                f"{run[epoch]['train']:.4f} / {run[epoch]['valid']:.4f}" for run in losses.values()
            ]
            print(f"| {epoch + 1} | {' | '.join(cells)} |")
        for name in ("bf16", "fp32, seed 1"):
            apart = [
                abs(run["train"] - reference["train"]) / reference["train"]
                for run, reference in zip(losses[name], losses["fp32"], strict=True)
            ]
            print(f"largest relative difference of the training loss, {name}: {max(apart):.2%}")
            self.rows.add(
                f"{model}, all layers learn, largest change of the loss",
                name,
                [100 * max(apart)],
                unit="%",
                against="fp32, the same seed",
            )
        sys.stdout.flush()


def main() -> None:
    args = parse_arguments()
    # Contestants that stand still would stay for ever: leave through the `finally` blocks.
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))
    with tempfile.TemporaryDirectory(prefix="clary-bench-") as work:
        bench = Bench(args, Path(work))
        if "full" in args.parts:
            for model in args.models:
                bench.full(model)
        if "frozen" in args.parts:
            bench.frozen(args.models[-1])
        if "curves" in args.parts:
            bench.curves(args.models[0])


if __name__ == "__main__":
    main()
