"""What turns of servers came to: n, medians and spread."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

from measuring import Spread

CONCURRENCIES = (1, 8, 32)


@dataclass
class Turn:
    """One contestant in one round. Rates in answers a second, by concurrency."""

    first_answer_s: float
    rates: dict[int, float] = field(default_factory=dict)
    latencies_ms: dict[int, list[float]] = field(default_factory=dict)
    cpu_ms: dict[int, float] = field(default_factory=dict)
    others: float = 0.0
    memory: int = 0
    failed: int = 0
    not_a_picture: str = "–"


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
        ratios = [
            Spread([a.rates[c] / b.rates[c] for a, b in zip(one.turns, base.turns, strict=False)])
            for c in CONCURRENCIES
        ]
        most = CONCURRENCIES[-1]
        p50 = Spread([quantile(turn.latencies_ms[most], 0.5) for turn in one.turns])
        p99 = Spread([quantile(turn.latencies_ms[most], 0.99) for turn in one.turns])
        cells = [
            *(str(rate) for rate in rates),
            *(str(ratio) for ratio in ratios),
            *(str(p50), str(p99)),
            str(Spread([turn.cpu_ms[most] for turn in one.turns])),
            str(Spread([turn.first_answer_s for turn in one.turns])),
            f"{max(turn.memory for turn in one.turns) / 1e6:.0f}",
            one.turns[-1].not_a_picture,
            str(sum(turn.failed for turn in one.turns)),
            f"{max(turn.others for turn in one.turns):.2f}",
        ]
        lines.append(f"| {one.name} | {' | '.join(cells)} |")
    return "\n".join(lines)


def quantile(values: Sequence[float], share: float) -> float:
    """The value that this share of all stays under."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]
