"""Find out whether networks can be trained: `python -m clary.jobs.check_networks [--fetch] NAME…`.

Prints a sentence about the first one that timm does not have or, with --fetch, whose pretrained
weights can neither be found nor fetched; then the exit code is 1.
"""

from __future__ import annotations

from collections.abc import Sequence

from clary.errors import ModelError
from clary.formats.known_networks import is_surely_known
from clary.jobs.program import ProgramParser, run_program

_DEFAULT_SIDE = 224


def main(arguments: Sequence[str]) -> int:
    """Look at the networks that the arguments name.

    Returns:
        1 when one of them cannot be trained, else 0.

    Raises:
        UsageError: an argument is not understood.
    """
    parser = ProgramParser("check_networks", __doc__)
    parser.add_argument("names", nargs="+", help="timm's names, perhaps with a tag")
    parser.add_argument("--fetch", action="store_true", help="their pretrained weights, too")
    given = parser.parse_args(arguments)
    if not given.fetch and all(is_surely_known(name) for name in given.names):
        return 0  # without the seconds that loading timm takes

    from clary.vision.models.architectures import require_known
    from clary.vision.models.pretrained import find_pretrained

    try:
        for name in given.names:
            require_known(name)
        for name in given.names if given.fetch else ():
            find_pretrained(name, _DEFAULT_SIDE)
    except ModelError as error:
        print(error)
        return 1
    return 0


if __name__ == "__main__":
    run_program(main)
