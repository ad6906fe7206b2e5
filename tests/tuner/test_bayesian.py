"""What a model is shown of many trials."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clary.tuner.observations import Observation
from clary.tuner.ranges import Space, parse_range
from clary.tuner.search import Search, suggest
from clary.tuner.strategies import studies
from clary.tuner.strategies.bayesian import TPE_BEST, TPE_NEWEST, telling
from clary.tuner.trials import Trial
from tests.tuner.strategies import unhurried

MOST = TPE_BEST + TPE_NEWEST
OLDER = tuple(float(place * 37 % 400) for place in range(300))
newer = st.lists(st.one_of(st.none(), st.floats(-1e9, 1e9)), max_size=40)


def observed(losses: Sequence[float | None]) -> list[Observation]:
    return [Observation({"x": place}, loss, True) for place, loss in enumerate(losses)]


def ended(observations: Sequence[Observation]) -> list[float]:
    return [one.loss for one in observations if one.loss is not None]


@unhurried
@given(newer)
def test_the_best_the_newest_and_the_running_ones_are_told(losses: list[float | None]) -> None:
    every = observed([*OLDER, *losses])
    told = telling(every)
    assert [one for one in every if one in told] == told
    assert len(ended(told)) == MOST
    assert sorted(ended(told))[:TPE_BEST] == sorted(ended(every))[:TPE_BEST]
    newest = [one for one in every if one.loss is not None][-TPE_NEWEST:]
    assert all(one in told for one in newest)
    assert all(one in told for one in every if one.loss is None)


@given(st.lists(st.one_of(st.none(), st.floats(-1e9, 1e9)), max_size=MOST))
def test_few_are_told_all(losses: list[float | None]) -> None:
    assert telling(observed(losses)) == observed(losses)


def test_no_study_grows_with_the_tuning_job(monkeypatch: pytest.MonkeyPatch) -> None:
    built: list[int] = []
    build = studies.build

    def counting(space: Space, observations: Sequence[Observation], *others: object) -> object:
        built.append(len(observations))
        return build(space, observations, *others)  # type: ignore[arg-type]

    monkeypatch.setattr(studies, "build", counting)
    search = Search(Space((parse_range("x=0..1.0"),)), "Bayesian", "Minimize", 0)
    trials = [Trial(n, {"x": n / 1000}, "succeeded", abs(n - 300) / 7) for n in range(1, 701)]
    running = [Trial(n, {"x": n / 1000}, "running") for n in range(701, 711)]
    assert search.space.contains(suggest(search, [*trials, *running], 711))
    assert built == [MOST + len(running)]
