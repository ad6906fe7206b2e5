"""What turns of servers came to: n, medians and spread."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

from measuring import Spread
from rows import Rows

CONCURRENCIES = (1, 8, 32)
MOST = CONCURRENCIES[-1]
# Of answers a second, to FastAPI + torch; told for a processor with AMX.
BASELINE = "FastAPI + torch"
RATIO_GOALS = {("resnet18", "Clary bf16", MOST): 8.0, ("resnet18", "Clary int8", MOST): 12.0}
P99_GOAL_MS = 150.0
LIMIT_GOAL_PERCENT = 90.0


@dataclass
class Turn:
    """One contestant in one round. Rates in answers a second, by concurrency.

    `limit` is what Clary's server does in a second without HTTP.
    """

    first_answer_s: float
    rates: dict[int, float] = field(default_factory=dict)
    latencies_ms: dict[int, list[float]] = field(default_factory=dict)
    cpu_ms: dict[int, float] = field(default_factory=dict)
    others: float = 0.0
    memory: int = 0
    failed: int = 0
    not_a_picture: str = "–"
    limit: float | None = None


class Racer(Protocol):
    """What a row is about."""

    name: str
    turns: list[Turn]


def table(racing: Sequence[Racer]) -> str:
    """Who answered how much: n, medians and spread."""
    base = racing[0]
    rounds = len(base.turns)
    lines = [
        f"n = {rounds} rounds; answers a second: median (min–max); ratios to {base.name}",
        "| server | 1 client | 8 | 32 | ratio at 1 | at 8 | at 32 | p50 at 32, ms | p99 at 32, ms "
        "| CPU ms an answer | first answer, s | memory, MB | no picture | failed | others' cores |",
        "|" + "---|" * 15,
    ]
    for one in racing:
        rates = [Spread([turn.rates[c] for turn in one.turns]) for c in CONCURRENCIES]
        ratios = [Spread(_ratios(one, base, clients)) for clients in CONCURRENCIES]
        p50 = Spread(_quantiles(one, 0.5))
        p99 = Spread(_quantiles(one, 0.99))
        cells = [
            *(str(rate) for rate in rates),
            *(str(ratio) for ratio in ratios),
            *(str(p50), str(p99)),
            str(Spread([turn.cpu_ms[MOST] for turn in one.turns])),
            str(Spread([turn.first_answer_s for turn in one.turns])),
            f"{max(turn.memory for turn in one.turns) / 1e6:.0f}",
            one.turns[-1].not_a_picture,
            str(sum(turn.failed for turn in one.turns)),
            f"{max(turn.others for turn in one.turns):.2f}",
        ]
        lines.append(f"| {one.name} | {' | '.join(cells)} |")
    return "\n".join(lines)


def limits(racing: Sequence[Racer]) -> list[str]:
    """What Clary's servers could do without HTTP, and how much of it they do at 32 clients."""
    return [
        f"limit of {one.name} without HTTP: {Spread([turn.limit or 0.0 for turn in one.turns])} "
        f"pictures a second; of it at {MOST} clients: {Spread(_percents(one))} %"
        for one in racing
        if _percents(one)
    ]


def add_rows(rows: Rows, racing: Sequence[Racer], network: str) -> None:
    """What can be held against a goal."""
    for one in racing[1:]:
        for clients in CONCURRENCIES:
            goal = RATIO_GOALS.get((network, one.name, clients))
            rows.add(
                f"{network}, answers a second, {clients} client{'s' if clients > 1 else ''}",
                one.name,
                _ratios(one, racing[0], clients),
                against=racing[0].name,
                goal=goal if racing[0].name == BASELINE else None,
            )
    for one in racing:
        if percents := _percents(one):
            p99 = f"{network}, p99 at {MOST} clients"
            rows.add(p99, one.name, _quantiles(one, 0.99), unit="ms", goal=P99_GOAL_MS, less=True)
            share = f"{network}, share of the limit without HTTP, {MOST} clients"
            rows.add(share, one.name, percents, unit="%", goal=LIMIT_GOAL_PERCENT)


def _ratios(one: Racer, base: Racer, clients: int) -> list[float]:
    pairs = zip(one.turns, base.turns, strict=False)
    return [own.rates[clients] / other.rates[clients] for own, other in pairs]


def _quantiles(one: Racer, share: float) -> list[float]:
    return [quantile(turn.latencies_ms[MOST], share) for turn in one.turns]


def _percents(one: Racer) -> list[float]:
    return [100 * turn.rates[MOST] / turn.limit for turn in one.turns if turn.limit]


def quantile(values: Sequence[float], share: float) -> float:
    """The value that this share of all stays under."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]
