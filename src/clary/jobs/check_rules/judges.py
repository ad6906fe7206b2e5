"""What judges a job's tensors for one rule configuration."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol, TypeVar

from clary.debugger.history import History
from clary.debugger.rules import BUILT_IN
from clary.debugger.rules.recorded import Nothing, Recorded
from clary.errors import ClaryError, UsageError
from clary.formats.findings import Finding
from clary.formats.rule_parameters import NOT_OFFERED
from clary.formats.rule_request import RuleConfiguration, RuleRequest
from clary.jobs.check_rules.custom import load_class
from clary.jobs.check_rules.smdebug_rule import SmdebugJudge, is_smdebug_rule
from clary.rules.rule import Rule
from clary.rules.runner import Now, Runner
from clary.rules.source import Source

Seen_contra = TypeVar("Seen_contra", contravariant=True)


class Judge(Protocol[Seen_contra]):
    """Looks at what is new; owned by one thread.

    `fired` is the issue that was found, `fired_step` its step over all modes, `judged` how many
    values were looked at, `last_step` the newest step that was.
    """

    fired: Finding | None
    fired_step: int | None
    judged: int
    last_step: int | None

    def look(self, seen: Seen_contra, now: Now) -> list[Finding]:
        """Judge what is new; nothing once an issue was found."""

    def lacks(self, seen: Seen_contra, now: Now) -> Finding | None:
        """What has kept it from judging anything at all; None where it has judged something."""


class Watched(Protocol):
    """What the judges of a request look at; one thread uses it.

    `noun` is what it is called in a sentence, `seen` what the judges are given, `failures` what
    went wrong with the watching itself.
    """

    noun: str

    @property
    def seen(self) -> Any:
        """For the judges."""

    @property
    def failures(self) -> tuple[str, ...]:
        """What went wrong with the watching itself."""

    def refresh(self) -> bool:
        """Take in what was written since; True when there is something new.

        Raises:
            ClaryError: a file is damaged, or of a later version; a copy from S3 cannot be had.
            OSError: a file cannot be read.
        """


class Tensors:
    """The tensors of all hosts of a job, as sources; one thread uses it."""

    noun = "tensors"

    def __init__(self, places: Sequence[str | Path]) -> None:
        """Nothing is read before the first refresh.

        Args:
            places: a folder or `s3://…` for each host.
        """
        self._places = tuple(places)
        self._histories: dict[int, History] = {}
        self._known: dict[tuple[int, str], Recorded] = {}
        self.sources: Sequence[Source] = (Nothing(),)

    def refresh(self) -> bool:
        """Take in what was written since; True when there is something new.

        What can be read of any host is taken in before an error is raised.

        Raises:
            ClaryError: a file is damaged, or of a later version; a copy from S3 cannot be had.
            OSError: a file cannot be read.
        """
        news = False
        trouble: ClaryError | OSError | None = None
        for place in range(len(self._places)):
            try:
                news = self._refresh_host(place) or news
            except (ClaryError, OSError) as error:
                trouble = trouble or error
        if self._known:
            self.sources = tuple(self._known[key] for key in sorted(self._known))
        if trouble is not None:
            raise trouble
        return news

    @property
    def seen(self) -> Sequence[Source]:
        """One source for each worker."""
        return self.sources

    def _refresh_host(self, place: int) -> bool:
        history = self._histories.get(place)
        if history is None:
            history = self._histories[place] = History.open(self._places[place])
        if not history.refresh() and all((place, one) in self._known for one in history.workers):
            return False
        for worker in history.workers:
            known = self._known.get((place, worker))
            if known is not None:
                known.update()
                continue
            label = f"algo-{place + 1}/{worker}" if len(self._places) > 1 else worker
            self._known[place, worker] = Recorded(history, worker, label)
        return True

    @property
    def failures(self) -> tuple[str, ...]:
        """What went wrong with the watching itself."""
        histories = self._histories.values()
        return tuple(dict.fromkeys(text for one in histories for text in one.failures))


def make_judge(
    configuration: RuleConfiguration, request: RuleRequest, began: float
) -> Judge[Sequence[Source]]:
    """What the configuration asks for, of a request that judges tensors.

    Args:
        configuration: the rule.
        request: the job.
        began: when the rule was started first, in seconds since 1970.

    Raises:
        UsageError: there is no such rule, its file holds no rule, or a parameter cannot be used.
        StorageError: the tensors of another run cannot be had.
    """
    if configuration.source is None:
        found = BUILT_IN.get(configuration.rule)
        if found is None:
            why = NOT_OFFERED.get(configuration.rule, "there is no built-in rule of that name")
            raise UsageError(f"rule {configuration.rule!r} is not offered: {why}")
        return _runner(found, configuration, request.learning, began)
    loaded = load_class(configuration.source, configuration.rule)
    if is_smdebug_rule(loaded):
        return SmdebugJudge(loaded, configuration, request.tensors[0])
    if not (isinstance(loaded, type) and issubclass(loaded, Rule)):
        raise UsageError(
            f"{configuration.rule} of {configuration.source.name} is no rule: derive it from "
            "clary.rules.Rule or smdebug.rules.rule.Rule"
        )
    return _runner(loaded, configuration, request.learning, began)


def _runner(
    rule: type[Rule], configuration: RuleConfiguration, learning: Mapping[str, Any], began: float
) -> Runner:
    others = Tensors(configuration.others)
    others.refresh()
    compared = others.sources if configuration.others else ()
    made = rule.configured(configuration.parameters)
    return Runner(made, began, learning, tuple(compared))
