"""Hypothesis strategies that make ranges, spaces and trials, and how long they may take."""

from __future__ import annotations

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from clary.tuner.ranges import CategoricalRange, ContinuousRange, IntegerRange, Range, Space
from clary.tuner.trials import Trial

# A test must hold on a machine that is slow and busy.
unhurried = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])

NAMES = ("lr", "momentum", "batch_size", "epochs", "dropout")
finite = st.floats(-1e9, 1e9, allow_nan=False)


@st.composite
def continuous(draw: st.DrawFn, name: str = "lr") -> ContinuousRange:
    scaling = draw(st.sampled_from(["Auto", "Linear", "Logarithmic", "ReverseLogarithmic"]))
    bounds = {
        "Logarithmic": st.floats(1e-9, 1e9),
        "ReverseLogarithmic": st.floats(0.0, 1 - 1e-9),
    }.get(scaling, finite)
    low, high = sorted((draw(bounds), draw(bounds)))
    return ContinuousRange(name, low, high, scaling)


@st.composite
def integer(draw: st.DrawFn, name: str = "epochs") -> IntegerRange:
    scaling = draw(st.sampled_from(["Auto", "Linear", "Logarithmic"]))
    bounds = st.integers(1 if scaling == "Logarithmic" else -(10**9), 10**9)
    low, high = sorted((draw(bounds), draw(bounds)))
    return IntegerRange(name, low, high, scaling)


@st.composite
def categorical(draw: st.DrawFn, name: str = "optimizer") -> CategoricalRange:
    values = draw(st.lists(st.text(max_size=8), min_size=1, max_size=6, unique=True))
    return CategoricalRange(name, tuple(values))


@st.composite
def few(draw: st.DrawFn, name: str) -> IntegerRange:
    """A range of one to four whole numbers."""
    low = draw(st.integers(-3, 3))
    return IntegerRange(name, low, low + draw(st.integers(0, 3)))


def ranges(name: str = "lr") -> st.SearchStrategy[Range]:
    return st.one_of(continuous(name), integer(name), categorical(name))


@st.composite
def spaces(draw: st.DrawFn, max_size: int = 4) -> Space:
    names = NAMES[: draw(st.integers(1, max_size))]
    return Space(tuple(draw(ranges(name)) for name in names))


@st.composite
def listed_spaces(draw: st.DrawFn) -> Space:
    """Spaces of a few listed combinations, as Grid takes them."""
    names = NAMES[: draw(st.integers(1, 3))]
    return Space(
        tuple(CategoricalRange(name, tuple("abc"[: draw(st.integers(1, 3))])) for name in names)
    )


@st.composite
def small_spaces(draw: st.DrawFn) -> Space:
    """Spaces of a few combinations, numbers among them."""
    names = NAMES[: draw(st.integers(1, 2))]
    return Space(tuple(draw(st.one_of(few(name), categorical(name))) for name in names))


@st.composite
def trials(draw: st.DrawFn, space: Space, number: int) -> Trial:
    """A trial somewhere in the space, in any state and with any figures, NaN among them."""
    state = draw(st.sampled_from(["running", "succeeded", "failed"]))
    figures = st.one_of(finite, st.just(float("nan")), st.just(float("inf")))
    return Trial(
        number,
        {r.name: r.at(draw(st.floats(0.0, 1.0))) for r in space.ranges},
        state,
        draw(figures) if state == "succeeded" else None,
        tuple(draw(st.lists(figures, max_size=4))),
    )


@st.composite
def histories(draw: st.DrawFn, space: Space, max_size: int = 12) -> list[Trial]:
    return [draw(trials(space, number)) for number in range(1, draw(st.integers(1, max_size)))]
