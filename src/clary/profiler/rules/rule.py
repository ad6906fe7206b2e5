"""What a rule of the profiler is."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

from clary.formats.findings import Finding
from clary.formats.profiler_rule_parameters import ProfilerParameters
from clary.profiler.profile import Profile


@dataclass(frozen=True)
class Moment:
    """When a profile is judged: `seconds` since 1970, and whether nothing will follow."""

    seconds: float
    ended: bool = False


@dataclass(frozen=True)
class Judgement:
    """What a rule says of a profile.

    `triggered` is how often its condition held, `datapoints` how many values it looked at.
    `figures` is what a report shows of it, and what stands in `profiler-reports/<Rule>.json`:
    numbers, texts, lists and objects that JSON can hold.
    """

    triggered: int = 0
    datapoints: int = 0
    findings: tuple[Finding, ...] = ()
    figures: Mapping[str, Any] = field(default_factory=dict)


class ProfilerRule(ABC):
    """Judges where the time of a job went.

    Who owns it: the program that checks rules, on one thread.

    `judge` is a function of the profile, the moment and the parameters alone: it keeps nothing
    between two calls, reads no clock and no file. It sees all that is known so far each time.
    """

    parameters_model: ClassVar[type[ProfilerParameters]] = ProfilerParameters
    description: ClassVar[str] = ""
    """What it looks for, in one sentence."""
    recommendation: ClassVar[str] = ""
    """What to do in general where it fires, in one sentence; findings say it of the case."""

    def __init__(self, parameters: ProfilerParameters | None = None) -> None:
        self.parameters = parameters or self.parameters_model.parse({}, type(self).__name__)

    @classmethod
    def configured(cls, given: Mapping[str, str]) -> ProfilerRule:
        """With parameters as strings.

        Raises:
            UsageError: one line per parameter that is unknown, missing or out of bounds.
        """
        return cls(cls.parameters_model.parse(given, cls.__name__))

    @property
    def name(self) -> str:
        """What it is called in requests and findings."""
        return type(self).__name__

    @abstractmethod
    def judge(self, profile: Profile, moment: Moment) -> Judgement:
        """What the profile shows so far."""
