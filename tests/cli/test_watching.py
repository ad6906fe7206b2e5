"""Asking on a thread: what goes wrong there is told where the result is asked for."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from clary.cli.watching import Watch
from clary.errors import ServiceError


@dataclass(frozen=True)
class Moment:
    ended: bool


def watched(*moments: Moment | Exception) -> Watch[Moment]:
    left = list(moments)

    def ask() -> Moment:
        moment = left.pop(0)
        if isinstance(moment, Exception):
            raise moment
        return moment

    watch = Watch(ask, pause_seconds=0.001)
    assert watch.over.wait(60)
    return watch


def test_it_asks_until_the_end() -> None:
    assert watched(Moment(ended=False), Moment(ended=True)).result().ended


@pytest.mark.parametrize("error", [ServiceError("it is gone"), KeyError("TrainingJobName")])
def test_whatever_goes_wrong_is_raised_rather_than_a_moment_before_it(error: Exception) -> None:
    watch = watched(Moment(ended=False), error)
    with pytest.raises(type(error)) as raised:
        watch.result()
    assert raised.value is error
