"""What profiling costs: the same training unwatched, at the cheap level, and at the full one.

    python benchmarks/profiler.py [--through script clary] [--rounds N] [--steps N] [--quick]

| contestant | what is recorded                                                            |
|------------|-----------------------------------------------------------------------------|
| off        | nothing                                                                     |
| cheap      | the machine every 500 ms, and of each step its phases                       |
| full       | also torch's operators, in all steps of a turn but its first and its last   |

`script` is a loop that knows nothing of being watched, over a DataLoader; `clary` is Clary's own
training, of made pictures. Both fine-tune in bf16 with channels_last where the machine computes in
it. Contestants take turns within one process, so that they share the network, the memory and the
temperature of the machine; a ratio compares the turns of one round. `steps` are those of a turn
which a look at operators neither begins nor ends; `all time` has these too. What is written at the
end of a turn is off the clock.

Ctrl-C prints what has been measured so far.
"""

from __future__ import annotations

import argparse
import datetime
import statistics
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from clary.vision.before_torch import prepare_process

prepare_process()

from measuring import Spread, conditions  # noqa: E402
from profiled_training import CHEAP, FULL, LEVELS, OFF, Turn, clarys_own, scripts  # noqa: E402
from rows import Rows, add_rows_option  # noqa: E402

QUIET_BELOW = 0.25
GOALS = {CHEAP: 1.005, FULL: 1.10}
Round = Mapping[str, Turn]
RACES: dict[str, Callable[[argparse.Namespace, Path, Callable[[Round], bool]], None]] = {
    "script": scripts,
    "clary": clarys_own,
}


NAMES = {"script": "a script", "clary": "Clary's own training"}


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--through", nargs="+", choices=list(RACES), default=list(RACES))
    parser.add_argument("--model", default="resnet18")
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--steps", type=int, default=12, help="a turn: its first two warm it up")
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--image-size", type=int, default=224)
    parser.add_argument("--workers", type=int, default=0, help="of the script's DataLoader")
    parser.add_argument("--quick", action="store_true", help="tries the program: measures nothing")
    parser.add_argument("--date", default=datetime.date.today().isoformat())
    add_rows_option(parser)
    args = parser.parse_args()
    if args.quick:
        args.rounds, args.steps, args.batch_size, args.image_size = 2, 6, 4, 64
    if args.steps < 6:
        parser.error(f"--steps is {args.steps}: give 6 or more")
    return args


def table(rounds: Sequence[Round]) -> str:
    """Compare with what nobody watches, round by round."""
    quiet = [turns for turns in rounds if max(one.others for one in turns.values()) < QUIET_BELOW]
    lines = [
        f"{len(rounds)} rounds, {len(quiet)} of them quiet; median (min–max)",
        "| level | ms a step | ratio, steps | ratio, quiet rounds | ratio, all time "
        "| own ms a step | cores of others |",
        "|---|---|---|---|---|---|---|",
    ]
    for name in LEVELS:
        steps = Spread([1e3 * statistics.fmean(turns[name].steps) for turns in rounds])
        others = Spread([turns[name].others for turns in rounds])
        own = Spread([1e3 * turns[name].own_s for turns in rounds])
        whole = _precise([turns[name].seconds / turns[OFF].seconds for turns in rounds])
        lines.append(
            f"| {name} | {steps} | {_precise(_ratios(rounds, name))} "
            f"| {_precise(_ratios(quiet, name))} | {whole} "
            f"| {own} | {others} |"
        )
    return "\n".join(lines)


def _ratios(rounds: Sequence[Round], name: str) -> list[float]:
    return [
        statistics.fmean(turns[name].steps) / statistics.fmean(turns[OFF].steps) for turns in rounds
    ]


def _precise(values: Sequence[float]) -> str:
    """With three digits behind the point, for costs of less than a per cent."""
    if not values:
        return "–"
    return f"{statistics.median(values):.3f} ({min(values):.3f}–{max(values):.3f})"


def main() -> None:
    args = parse_arguments()
    print(conditions(args.date), flush=True)
    with tempfile.TemporaryDirectory(prefix="clary-bench-") as work:
        for name in args.through:
            print(
                f"\n## {name}: {args.model}, batch {args.batch_size}, {args.image_size} px, "
                f"{args.steps} steps a turn",
                flush=True,
            )
            rounds: list[Round] = []

            def done(turns: Round, rounds: list[Round] = rounds) -> bool:
                rounds.append(turns)
                print(f"round {len(rounds)}/{args.rounds}", file=sys.stderr, flush=True)
                return len(rounds) >= args.rounds

            try:
                RACES[name](args, Path(work) / name, done)
            except KeyboardInterrupt:
                print("interrupted", file=sys.stderr)
            if rounds:
                print(table(rounds), flush=True)
                what = f"{args.model}, a profiled step of {NAMES[name]}"
                for level, goal in GOALS.items():
                    Rows.of("profiler", args).add(
                        what, level, _ratios(rounds, level), against=OFF, goal=goal, less=True
                    )


if __name__ == "__main__":
    main()
