"""Sentences that several parts of a verdict say."""

from __future__ import annotations

from clary.formats.tuning_record import TuningRecord
from clary.jobs.tuning_report.findings import Findings


def ending(record: TuningRecord) -> tuple[str, ...]:
    """Why the tuning job ended, as a sentence, where that is known."""
    return (full_stop(capital(record.completion)),) if record.completion else ()


def first_failure(findings: Findings) -> str:
    """What the first failed trial ended with."""
    trial = findings.failed[0]
    said = (trial.failure or "").strip().splitlines()
    if not said:
        return f"Trial {trial.number} gave no reason."
    return f"Trial {trial.number} ended with: {full_stop(said[-1])}"


def sentence_count(count: int) -> str:
    """`One trial is`, `7 trials are`."""
    return f"{'One trial is' if count == 1 else f'{count:,} trials are'}"


def capital(text: str) -> str:
    """The text with a capital in front."""
    return text[:1].upper() + text[1:]


def full_stop(text: str) -> str:
    """The text with a full stop behind it, unless it has one."""
    return text if text.endswith((".", "!", "?")) else f"{text}."
