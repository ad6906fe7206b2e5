"""Answer one question of a tuning job by a Gaussian process: `python -m clary.jobs.suggest`.

The question comes as JSON on stdin and the answer goes to stdout, both as `clary.tuner.exchange`
writes them. It is a program of its own because the Gaussian process brings torch, which the
service does without.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from clary.errors import SpaceExhausted
from clary.jobs.program import ProgramParser, end_with, run_program
from clary.tuner.exchange import read_question, write_answer
from clary.tuner.search import suggest

__all__ = ["main"]


def main(arguments: Sequence[str]) -> int:
    """Read the question, find the answer and print it.

    Returns:
        0, also when there is no combination left, which is an answer.

    Raises:
        FormatError: stdin holds no question.
        UsageError: an argument is not understood, or the question asks for what a search cannot be.
    """
    parser = ProgramParser("suggest", __doc__)
    parser.add_argument("--parent", type=int, metavar="PID", help="end when this process ends")
    parent = parser.parse_args(arguments).parent
    if parent is not None:
        end_with(parent)
    question = read_question(sys.stdin.read())
    try:
        answer = write_answer(
            suggest(
                question.search,
                question.trials,
                question.number,
                question.parents,
                engine="gp",
            )
        )
    except SpaceExhausted as exhausted:
        answer = write_answer(exhausted)
    print(answer)
    return 0


if __name__ == "__main__":
    run_program(main)
