"""What watching costs: the same training unwatched, by Clary's hook, by the original smdebug.

    python benchmarks/debugger.py [--models resnet18 resnet50] [--rounds N | --minutes M] [--quick]

| contestant      | what is kept                                                              |
|-----------------|---------------------------------------------------------------------------|
| nothing         | no hook                                                                   |
| default         | losses of every step                                                      |
| statistics      | of weights, gradients and biases, every 5 steps, and losses of every step |
| raw             | these tensors whole, every 5 steps, and losses of every step              |
| smdebug default | losses every 500 steps, by smdebug 1.0.34: here in the warm-up alone      |
| smdebug         | weights, gradients, biases whole and losses, every 5 steps, by the same   |

Forward and backward in bf16, channels_last, on made pictures. All contestants take turns in one
run; a ratio compares the turns of a round. Clary's first ten captures hold histograms of gradients,
too: with fewer than 50 steps all of them do. After a turn the disk is synchronized off the clock,
so that nobody pays for what another has written. Where not all contestants fit into memory at once,
some race first and the others after them, against the same unwatched training.

smdebug runs in an environment of its own, beside the same torch: see `smdebug_environment.py`.
Ctrl-C or SIGTERM prints what has been measured so far.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import shutil
import signal
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import smdebug_environment
from measuring import Contestant, available_bytes, conditions
from rows import Rows, add_rows_option
from watching_costs import EVERY, Kept, Round, add_rows, table

HERE = Path(__file__).resolve().parent
NOTHING = "nothing"
OURS = ("default", "statistics", "raw")
THEIRS = ("smdebug default", "smdebug")
WARM_UP = EVERY
ROUNDS = 10
# Shares of the minutes: how long a network's steps, and its start, take beside another's.
WEIGHTS = {"resnet18": 2.4, "resnet34": 3.5, "resnet50": 4.1}
SECONDS_TO_END = 20.0
# Beyond what the unwatched one has had: what a hook holds back while the disk is slow.
HELD_BACK = 1 << 30
LEFT_FREE = 1 << 30


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--models", nargs="+", default=["resnet18", "resnet50"])
    parser.add_argument("--contestants", nargs="+", choices=[*OURS, *THEIRS])
    parser.add_argument("--rounds", type=int, help=f"{ROUNDS}, or as many as --minutes allow")
    parser.add_argument("--minutes", type=float, help="for all of it: there are fewer rounds")
    parser.add_argument("--batches", type=int, help="steps a turn: 20, with --minutes 10")
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--image-size", type=int, default=224)
    parser.add_argument("--quick", action="store_true", help="tries the program: measures nothing")
    parser.add_argument("--smdebug", type=Path, default=smdebug_environment.default_folder())
    parser.add_argument("--date", default=datetime.date.today().isoformat())
    add_rows_option(parser)
    args = parser.parse_args()
    args.contestants = args.contestants or [*OURS, *THEIRS]
    if args.quick:
        args.rounds, args.batches, args.batch_size, args.image_size = 2, 10, 4, 64
    if args.batches is None:
        args.batches = 20 if args.minutes is None else 10
    if args.rounds is None and args.minutes is None:
        args.rounds = ROUNDS
    if args.batches % EVERY:
        parser.error(f"--batches is {args.batches}: give a multiple of {EVERY}")
    return args


@dataclass
class Race:
    """One network's contestants; `until` is when its last round should have ended."""

    args: argparse.Namespace
    model: str
    work: Path
    smdebug: Path
    until: float | None
    rounds: list[Round] = field(default_factory=list)

    def run(self) -> None:
        """Let them take turns, in as many groups as memory asks for, and print the tables."""
        args = self.args
        print(
            f"\n## {self.model}, batch {args.batch_size}, {args.image_size} px, "
            f"{args.batches} steps a turn",
            flush=True,
        )
        bare = self._contestant(NOTHING)
        try:
            self._say("starts unwatched")
            bare.start()
            groups = list(self._groups(bare))
            for index, names in enumerate(groups):
                turns = [len(group) + 1 for group in groups[index:]]
                self._race(bare, names, share=turns[0] / sum(turns))
        finally:
            bare.close()

    def _groups(self, bare: Contestant) -> Iterator[Sequence[str]]:
        need = bare.peak_bytes * 5 // 4 + HELD_BACK
        room = (available_bytes() - LEFT_FREE) // need
        if room < 1:
            raise RuntimeError(
                f"{available_bytes() >> 20} MiB are left and a contestant of {self.model} takes "
                f"{need >> 20}: give a smaller --batch-size"
            )
        names = self.args.contestants
        text = f"{need >> 20} MiB for each: {min(room, len(names))} watched ones at a time"
        self._say(text)
        yield from (names[start : start + room] for start in range(0, len(names), room))

    def _race(self, bare: Contestant, names: Sequence[str], *, share: float) -> None:
        watched = []
        self.rounds = []
        until = self.until
        if until is not None:
            until = time.monotonic() + (until - time.monotonic()) * share
        try:
            for name in names:
                contestant = self._contestant(name)
                watched.append(contestant)
                contestant.launch()
            for contestant in watched:
                contestant.start()
                self._say(f"{contestant.name} is warm")
            self._take_turns([bare, *watched], until)
        finally:
            for contestant in watched:
                contestant.ask_to_end()
            for contestant in watched:
                contestant.close(patience=SECONDS_TO_END)
            self._print_table(names)

    def _take_turns(self, contestants: Sequence[Contestant], until: float | None) -> None:
        took = 0.0
        while self.args.rounds is None or len(self.rounds) < self.args.rounds:
            began = time.monotonic()
            if until is not None and self.rounds and began + took > until:
                return
            order = contestants if len(self.rounds) % 2 == 0 else contestants[::-1]
            for contestant in order:
                contestant.take_turn()
                os.sync()
                turn = contestant.sections[-1]
                step = 1e3 * statistics.fmean(turn.steps)
                self._say(f"round {len(self.rounds) + 1}: {contestant.name} {step:.0f} ms a step")
            self.rounds.append({one.name: one.sections[-1] for one in contestants})
            took = max(took, time.monotonic() - began)

    def _print_table(self, names: Sequence[str]) -> None:
        kept = {name: Kept.read(self._folder(name)) for name in names}
        if self.rounds:
            print(table(self.rounds, NOTHING, kept, WARM_UP), flush=True)
            add_rows(Rows.of("debugger", self.args), self.model, self.rounds, NOTHING, kept)
        else:
            print("ended before the first round", flush=True)
        for name in names:
            shutil.rmtree(self._folder(name), ignore_errors=True)

    def _contestant(self, name: str) -> Contestant:
        given = {
            "model": self.model,
            "watched": name,
            "folder": str(self._folder(name)),
            "batch_size": self.args.batch_size,
            "image_size": self.args.image_size,
            # Of whole periods too: every turn holds as many captures as all others.
            "warm_up": WARM_UP,
            "batches": self.args.batches,
        }
        file = self._folder(name).with_suffix(".json")
        file.write_text(json.dumps(given))
        python = self.smdebug if name in THEIRS else Path(sys.executable)
        return Contestant(name, [str(python), str(HERE / "watched_training.py"), str(file)])

    def _folder(self, name: str) -> Path:
        return self.work / f"{self.model}-{name.replace(' ', '-')}"

    def _say(self, text: str) -> None:
        left = "" if self.until is None else f" · {self.until - time.monotonic():.0f} s left for it"
        print(f"{self.model} · {text}{left}", file=sys.stderr, flush=True)


def main() -> None:
    args = parse_arguments()
    began = time.monotonic()
    # Contestants that stand still would stay for ever: leave through the `finally` blocks.
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))
    python = Path(sys.executable)
    if set(args.contestants) & set(THEIRS):
        python = smdebug_environment.python_of(args.smdebug)
    failed = False
    with tempfile.TemporaryDirectory(prefix="clary-bench-") as work:
        print(conditions(args.date), flush=True)
        for index, model in enumerate(args.models):
            until = None
            if args.minutes is not None:
                now = time.monotonic()
                weights = [WEIGHTS.get(one, 4.0) for one in args.models[index:]]
                share = (began + 60 * args.minutes - now) * weights[0] / sum(weights)
                until = now + share
            try:
                Race(args, model, Path(work), python, until).run()
            except RuntimeError as error:
                failed = True
                print(error, file=sys.stderr, flush=True)
    sys.exit(int(failed))


if __name__ == "__main__":
    main()
