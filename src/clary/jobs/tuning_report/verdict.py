"""What won, by how much, what mattered, and what to try next: computed from the trials.

Each rule of `RULES` looks at the trials and gives advice or nothing; the page shows the first few.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable

from clary.formats.text import counted
from clary.jobs.pages.verdict import Advice, Verdict
from clary.jobs.pages.wording import listed, percent
from clary.jobs.tuning_report.axes import space
from clary.jobs.tuning_report.findings import Findings, Judged
from clary.jobs.tuning_report.sentences import (
    capital,
    first_failure,
    sentence_count,
)
from clary.jobs.tuning_report.widening import widened
from clary.jobs.tuning_report.without_best import without_best

MOST_ADVICE = 4
# A parameter with less of the differences hardly matters; with more it is worth a sentence.
HARDLY = 0.05
# Of the way from the middle trial to the best one: less is no progress worth waiting for.
PROGRESS = 0.05
FEW = 5
# Two trials that differ by so few pictures may differ by chance.
CHANCE = 2


def judge(findings: Findings) -> Verdict:
    """Say what came of a tuning job."""
    best = findings.best
    if best is None:
        return without_best(findings)
    sentences = (
        _by_how_much(findings, best),
        _what_mattered(findings),
        _would_more_help(findings),
        _how_sure(findings, best),
        _other_pictures(findings),
    )
    found = (rule(findings, best) for rule in RULES)
    return Verdict(
        headline=f"{capital(findings.objective.readable)} {findings.objective.text(best.value)}: "
        f"trial {best.trial.number} of {len(findings.record.trials)}",
        sentences=tuple(sentence for sentence in sentences if sentence),
        advice=tuple(advice for advice in found if advice)[:MOST_ADVICE],
    )


def _by_how_much(findings: Findings, best: Judged) -> str:
    if len(findings.judged) == 1:
        return "It is the only trial with a value, so there is nothing to compare it with."
    objective, first = findings.objective, findings.judged[0]
    others = [_against(findings, best, findings.median or best.value, "the trial in the middle")]
    if first is not best:
        others.append(_against(findings, best, first.value, f"trial {first.trial.number}"))
    equal = sum(objective.gain(best.value, one.value) == 0 for one in findings.judged) - 1
    if equal == len(findings.judged) - 1:
        return "All trials came out equal: what was tuned makes no difference here."
    alike = f" {sentence_count(equal)} as good as it." if equal else _lead(findings, best)
    return f"It is {' and '.join(others)}.{alike}"


def _lead(findings: Findings, best: Judged) -> str:
    """A sentence where the best trial is ahead by so few pictures that it may be chance."""
    if findings.pictures is None:
        return ""
    lead = min(findings.objective.gain(best.value, o.value) for o in findings.judged if o != best)
    pictures = round(lead * findings.pictures)
    if pictures > CHANCE:
        return ""
    return (
        f" It leads by {'one picture' if pictures == 1 else f'{pictures} pictures'}, "
        "which may be chance."
    )


def _against(findings: Findings, best: Judged, value: float, whom: str) -> str:
    size = findings.objective.gain(best.value, value)
    if size == 0:
        return f"no better than {whom}"
    text = findings.objective.difference(size)
    return f"{text} better than {whom} ({findings.objective.text(value)})"


def _what_mattered(findings: Findings) -> str:
    shares = [(axis.name, findings.record.importances.get(axis.name)) for axis in findings.axes]
    known = [(name, share) for name, share in shares if share is not None]
    if not known and len(findings.axes) > 1 and 1 < len(findings.judged) < FEW:
        return "Too few trials tell what mattered."
    if not known:
        return ""
    if len(known) == 1:
        return ""
    matters = [(name, share) for name, share in known if share >= HARDLY]
    hardly = [name for name, share in known if share < HARDLY]
    (first, share), *rest = matters
    more = [f"{name} ({percent(part, 0)})" for name, part in rest]
    sentence = f"What mattered most is {first} ({percent(share, 0)} of the differences)"
    if more:
        sentence += f", then {listed(more)}"
    return f"{sentence}; {listed(hardly)} hardly mattered." if hardly else f"{sentence}."


def _would_more_help(findings: Findings) -> str:
    count = len(findings.judged)
    if findings.running:
        return f"{sentence_count(len(findings.running))} still running."
    if _every_combination(findings):
        return "Every combination was tried, so this search has nothing left to find."
    if count == 1:
        return ""
    if count < FEW:
        return f"{counted(count, 'trial')} are too few to say whether more would find better."
    late = _late_progress(findings)
    last = findings.best_so_far()[-1]
    since = count - 1 - findings.judged.index(last)
    if late is None:
        return (
            f"The last {counted(since, 'trial')} found nothing better, so more of the same "
            "search would hardly help."
        )
    if late < PROGRESS:
        return (
            "The last third of the trials found hardly anything better, so more of the same "
            "search would hardly help."
        )
    return (
        "The last third of the trials still found better values, so more trials may well "
        "find better ones."
    )


def _late_progress(findings: Findings) -> float | None:
    """What the last third of the trials won, as a part of the way from the middle to the best.

    None where they won nothing; 0 where it may be chance.
    """
    early = findings.judged[: -(len(findings.judged) // 3)]
    best = findings.best_so_far()[-1].value
    before = [one.value for one in findings.best_so_far() if one in early][-1]
    won = findings.objective.gain(best, before)
    if findings.pictures is not None and round(won * findings.pictures) <= CHANCE:
        won = 0.0
    whole = findings.objective.gain(best, findings.median or best)
    return won / whole if before != best and whole > 0 else None


def _every_combination(findings: Findings) -> bool:
    sizes = 1
    for tuned in findings.record.ranges:
        sizes *= len(tuned.values) if tuned.kind == "categorical" else 0
    ended = len(findings.judged) + len(findings.failed) + len(findings.silent)
    return findings.record.strategy == "Grid" and ended >= sizes > 0


def _how_sure(findings: Findings, best: Judged) -> str:
    if len(findings.judged) < FEW:
        return ""
    name = findings.objective.name.lower()
    if "valid" in name or "val_" in name or "val:" in name:
        pictures = "the validation pictures that chose it"
    elif "test" in name:
        pictures = "the test pictures, which thereby chose it"
    else:
        return ""
    return (
        f"As the best of {len(findings.judged)} on {pictures}, trial {best.trial.number} looks "
        "a little better than it is: judge it on pictures that no trial saw."
    )


def _other_pictures(findings: Findings) -> str:
    changed_at = findings.record.pictures_changed_at
    if changed_at is None:
        return ""
    return (
        f"The pictures changed before trial {changed_at}: its value and those of the trials before "
        "it cannot be compared."
    )


def _train_with_the_best(findings: Findings, best: Judged) -> Advice | None:
    if findings.record.command is None:
        return None
    if best.trial.status == "Completed":
        why = (
            f"The model of trial {best.trial.number} is kept as {best.trial.job}; this trains "
            "anew, with a report."
        )
    else:
        why = (
            f"Trial {best.trial.number} was stopped before its end and has left no model: this "
            f"trains its values to the end.{_model_instead(findings)}"
        )
    return Advice("Train with the best values", why, findings.record.command)


def _model_instead(findings: Findings) -> str:
    other = findings.best_completed
    if other is None:
        return ""
    return (
        f" The best of those that were not stopped is trial {other.trial.number} "
        f"({findings.objective.text(other.value)}), whose model is kept as {other.trial.job}."
    )


def _look_beyond_the_edge(findings: Findings, best: Judged) -> Advice | None:
    if len(findings.judged) < FEW:
        return None
    for axis in findings.axes:
        if findings.record.importances.get(axis.name, 1.0) < HARDLY:
            continue
        found = widened(axis, best.trial.parameters.get(axis.name))
        if found is not None:
            return Advice(
                f"Look beyond the {found.end} end of {axis.name}",
                f"The best value, {found.value}, lies at the {found.end} end of its range, "
                f"{found.range}: better ones may lie beyond.",
                _tune(findings, {axis.name: found.space}),
            )
    return None


def _go_on(findings: Findings, best: Judged) -> Advice | None:
    del best
    record = findings.record
    enough = len(findings.judged) >= FEW and not findings.running
    if not enough or _every_combination(findings):
        return None
    late = _late_progress(findings)
    if late is None or late < PROGRESS:
        return None
    return Advice(
        "Go on searching",
        "New trials learn from those of this tuning job.",
        f"clary tune --resume {record.name} --trials {2 * len(record.trials)}",
    )


def _tune(findings: Findings, changed: dict[str, str]) -> str | None:
    """The command that searches again, with other ranges for some parameters.

    Everything else is as in the command that trains with the best values.
    """
    words = shlex.split(findings.record.command or "")
    if words[:2] != ["clary", "train"]:
        return None
    tuned = {f"--{axis.name.replace('_', '-')}" for axis in findings.axes}
    pairs = zip(words[2:], ["", *words[2:]], strict=False)
    kept = [word for word, before in pairs if not {word, before} & tuned]
    spaces = [changed.get(a.name) or space(a.tuned) for a in findings.axes if a.varies]
    trials = str(len(findings.record.trials))
    return shlex.join(["clary", "tune", *kept, "--trials", trials, "--space", *spaces])


def _leave_out(findings: Findings, best: Judged) -> Advice | None:
    del best
    shares = findings.record.importances
    hardly = [axis.name for axis in findings.axes if shares.get(axis.name, 1.0) < HARDLY]
    if not hardly or len(hardly) == len(findings.axes) or len(findings.judged) < 2 * FEW:
        return None
    return Advice(
        f"Leave {listed(hardly)} as {'it is' if len(hardly) == 1 else 'they are'}",
        f"{'It explains' if len(hardly) == 1 else 'Each explains'} less than "
        f"{percent(HARDLY, 0)} of the differences: without {'it' if len(hardly) == 1 else 'them'} "
        "the same number of trials searches the rest more closely.",
    )


def _failures(findings: Findings, best: Judged) -> Advice | None:
    del best
    if not findings.failed:
        return None
    count = len(findings.failed)
    return Advice(
        f"Find out why {'a trial' if count == 1 else f'{count:,} trials'} failed",
        first_failure(findings),
        f"clary jobs logs {findings.failed[0].job}",
    )


def _tune_something_else(findings: Findings, best: Judged) -> Advice | None:
    spread = {one.value for one in findings.judged}
    if len(spread) > 1 or len(findings.judged) < FEW:
        return None
    return Advice(
        "Tune something else, or on more pictures",
        f"{counted(len(findings.judged), 'trial')} ended with exactly "
        f"{findings.objective.text(best.value)}: the objective does not tell them apart.",
    )


RULES: tuple[Callable[[Findings, Judged], Advice | None], ...] = (
    _train_with_the_best,
    _tune_something_else,
    _look_beyond_the_edge,
    _go_on,
    _failures,
    _leave_out,
)
