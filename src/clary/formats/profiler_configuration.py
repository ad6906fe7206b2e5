"""What a profiler records and when, as SageMaker's `ProfilerConfig` says it.

The standard library alone: it is read in anybody's training.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar, cast

from clary.errors import FormatError, UsageError
from clary.formats.files import read_json
from clary.formats.regular_expression import is_regular_expression

CONFIGURATION_VARIABLE = "CLARY_PROFILER_FILE"
FOLDER_VARIABLE = "CLARY_PROFILER_FOLDER"
NODE_VARIABLE = "CLARY_PROFILER_NODE"
DEFAULT_FOLDER = Path("/opt/ml/output/profiler")
INTERVALS_MS = (100, 200, 500, 1000, 5000, 60000)
DEFAULT_INTERVAL_MS = 500

FunctionsBy = Literal["cprofile", "sampling"]

_OPERATORS = "DetailedProfilingConfig"
_FUNCTIONS = "PythonProfilingConfig"
_LOADING = "DataloaderProfilingConfig"
# The SDK sends them with every FrameworkProfile; what they say of does not exist here.
_WITHOUT_EFFECT = (
    "HorovodProfilingConfig",
    "SMDataParallelProfilingConfig",
    "RotateMaxFileSizeInBytes",
    "RotateFileCloseIntervalInSeconds",
    "FileOpenFailThreshold",
)
_WINDOWS = (_OPERATORS, _FUNCTIONS, _LOADING)
_KNOWN = {name.lower(): name for name in ("LocalPath", *_WINDOWS, *_WITHOUT_EFFECT)}
_DEEP = ("CPUProfilingDuration", "SMPFileRotationSecs")
_TIMERS = ("total_time", "cpu_time", "off_cpu_time", "default")
_PROFILERS: dict[str, FunctionsBy] = {
    "cprofile": "cprofile",
    "pyinstrument": "sampling",
    "sampling": "sampling",
}
_WINDOW_KEYS = {
    "startstep": "StartStep",
    "numsteps": "NumSteps",
    "starttimeinsecsinceepoch": "StartTimeInSecSinceEpoch",
    "duration": "Duration",
    "durationinseconds": "Duration",
    "metricsregex": "MetricsRegex",
    "profilername": "ProfilerName",
    "cprofiletimer": "cProfileTimer",
}

_Value = TypeVar("_Value")


@dataclass(frozen=True)
class StepWindow:
    """Chosen steps: by their number, or by when they are.

    Args:
        first: the first step, counted from 0 among those of the training; None takes the one that
            runs when the window is read, or the one that `start_s` names.
        steps: how many; without meaning where `seconds` is given.
        start_s: seconds since 1970 from which on steps are chosen.
        seconds: for how long.
    """

    first: int | None = None
    steps: int = 1
    start_s: float | None = None
    seconds: float | None = None

    def has_begun(self, step: int, now_s: float) -> bool:
        """Whether a step that begins now is the first of the window, or after it."""
        if self.first is not None and step < self.first:
            return False
        return self.start_s is None or now_s >= self.start_s

    def is_over(self, step: int, now_s: float, *, first: int, started_s: float) -> bool:
        """Whether a step that begins now comes after the window.

        Args:
            step: its number.
            now_s: seconds since 1970.
            first: the step with which the window began.
            started_s: when it began, in seconds since 1970.
        """
        if self.seconds is not None:
            return now_s >= (started_s if self.start_s is None else self.start_s) + self.seconds
        return step >= (first if self.first is None else self.first) + self.steps

    def as_parameter(self, **more: str) -> str:
        """As `ProfilingParameters` take it."""
        content: dict[str, Any] = {}
        if self.start_s is None and self.seconds is None:
            content = {"StartStep": self.first or 0, "NumSteps": self.steps}
        if self.start_s is not None:
            content["StartTimeInSecSinceEpoch"] = self.start_s
        if self.seconds is not None:
            content["Duration"] = self.seconds
        return json.dumps({**content, **more})


FULL_OPERATORS = StepWindow(first=5, steps=10)
"""What level `full` looks into: ten steps once the first ones have warmed everything up."""


@dataclass(frozen=True)
class ProfilerConfiguration:
    """What a profiler records and when. Times of steps and batches it always does.

    Args:
        disabled: record nothing.
        interval_ms: between two looks at the machine.
        operators: steps of which torch's operators are recorded; None: of no step.
        functions: steps of which Python's functions are.
        functions_by: by every call, or by samples.
        loading: steps whose loading a caller asks for; batches are recorded at all steps.
        folder: the host's folder of the profiler; None leaves it to the caller.
    """

    disabled: bool = False
    interval_ms: int = DEFAULT_INTERVAL_MS
    operators: StepWindow | None = None
    functions: StepWindow | None = None
    functions_by: FunctionsBy = "cprofile"
    loading: StepWindow | None = None
    folder: Path | None = None

    @classmethod
    def read(cls, path: Path) -> ProfilerConfiguration:
        """Read SageMaker's `profilerconfig.json`.

        Raises:
            UsageError: one line for each value that cannot be used.
            FormatError: the file is missing or damaged.
        """
        content = read_json(path)
        if not isinstance(content, dict):
            raise FormatError(f"{path} is not a JSON object: start the job again")
        return cls.from_request(content)

    @classmethod
    def from_request(cls, content: Mapping[str, Any]) -> ProfilerConfiguration:
        """From SageMaker's `ProfilerConfig`.

        Raises:
            UsageError: one line for each value that cannot be used.
        """
        reading = _Reading()
        given = content.get("ProfilingParameters") or {}
        if not isinstance(given, Mapping):
            raise UsageError(f"ProfilingParameters is {given!r}: give an object of texts")
        given = reading.by_name(given)
        windows = {name: reading.window(name, given.get(name)) for name in _WINDOWS}
        functions = windows[_FUNCTIONS]
        configuration = cls(
            disabled=reading.flag("DisableProfiler", content.get("DisableProfiler")),
            interval_ms=reading.interval(content.get("ProfilingIntervalInMilliseconds")),
            operators=windows[_OPERATORS],
            functions=functions,
            functions_by=reading.functions_by,
            loading=windows[_LOADING],
            folder=reading.folder(given.get("LocalPath")),
        )
        if reading.problems:
            raise UsageError("\n".join(reading.problems))
        return configuration

    def as_request(self) -> dict[str, Any]:
        """As SageMaker's `ProfilerConfig`, without a place in S3."""
        parameters: dict[str, str] = {}
        if self.folder is not None:
            parameters["LocalPath"] = str(self.folder)
        if self.operators is not None:
            parameters[_OPERATORS] = self.operators.as_parameter()
        if self.loading is not None:
            parameters[_LOADING] = self.loading.as_parameter()
        if self.functions is not None:
            name = "pyinstrument" if self.functions_by == "sampling" else "cprofile"
            parameters[_FUNCTIONS] = self.functions.as_parameter(ProfilerName=name)
        return {
            "DisableProfiler": self.disabled,
            "ProfilingIntervalInMilliseconds": self.interval_ms,
            **({"ProfilingParameters": parameters} if parameters else {}),
        }


class _Reading:
    """Turns what was given into values, and keeps a sentence for each that is none."""

    def __init__(self) -> None:
        self.problems: list[str] = []
        self.functions_by: FunctionsBy = "cprofile"

    def by_name(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """Parameters by our names; AWS writes them in more than one case, and reads any."""
        found: dict[str, Any] = {}
        for spelled, value in given.items():
            name = _KNOWN.get(str(spelled).lower())
            if spelled in _DEEP:
                self.problems.append(
                    f"ProfilingParameters has {spelled}, of SageMaker Profiler, which is not "
                    "offered: give framework_profile_params=FrameworkProfile(…) in place of "
                    "profile_params"
                )
            elif name is None:
                self.problems.append(
                    f"ProfilingParameters has the parameter {spelled!r}, which is unknown: choose "
                    f"among {', '.join(_KNOWN.values())}"
                )
            elif name in found:
                self.problems.append(
                    f"ProfilingParameters has {name} twice, once as {spelled!r}: give it once"
                )
            else:
                found[name] = value
        return found

    def flag(self, name: str, value: Any) -> bool:
        if value is None or isinstance(value, bool):
            return bool(value)
        self.problems.append(f"{name} is {value!r}: give true or false")
        return False

    def interval(self, value: Any) -> int:
        if value is None:
            return DEFAULT_INTERVAL_MS
        if isinstance(value, bool) or value not in INTERVALS_MS:
            self.problems.append(
                f"ProfilingIntervalInMilliseconds is {value!r}: give one of "
                f"{', '.join(map(str, INTERVALS_MS))}"
            )
            return DEFAULT_INTERVAL_MS
        return int(value)

    def folder(self, value: Any) -> Path | None:
        if value is None:
            return None
        if not isinstance(value, str) or not Path(value).is_absolute():
            self.problems.append(
                f"LocalPath is {value!r}: give the absolute path of a folder, such as "
                f"{DEFAULT_FOLDER}"
            )
            return None
        return Path(value)

    def window(self, name: str, text: Any) -> StepWindow | None:
        if text is None:
            return None
        try:
            entries = _entries(text)
        except ValueError:
            self.problems.append(
                f'{name} is {text!r}: give a JSON object such as {{"StartStep": 5, "NumSteps": 10}}'
            )
            return None
        known: dict[str, Any] = {}
        for key, value in entries.items():
            if key.lower() not in _WINDOW_KEYS:
                self.problems.append(
                    f"{name} has the key {key!r}, which is unknown: choose among "
                    f"{', '.join(dict.fromkeys(_WINDOW_KEYS.values()))}"
                )
            elif value is not None:
                known[_WINDOW_KEYS[key.lower()]] = value
        self._check_texts(name, known)
        return self._window(name, known)

    def _check_texts(self, name: str, known: Mapping[str, Any]) -> None:
        pattern = known.get("MetricsRegex", ".*")
        if not is_regular_expression(pattern):
            self.problems.append(
                f"MetricsRegex of {name} is {pattern!r}: give a regular expression, such as .*"
            )
        profiler = str(known.get("ProfilerName", "cprofile")).lower()
        if profiler not in _PROFILERS:
            self.problems.append(
                f"ProfilerName of {name} is {profiler!r}: give {' or '.join(list(_PROFILERS)[:2])}"
            )
        elif "ProfilerName" in known:
            self.functions_by = _PROFILERS[profiler]
        timer = str(known.get("cProfileTimer", "total_time")).lower()
        if timer not in _TIMERS:
            self.problems.append(
                f"cProfileTimer of {name} is {timer!r}: give one of {', '.join(_TIMERS)}"
            )

    def _window(self, name: str, known: Mapping[str, Any]) -> StepWindow | None:
        by_step = known.keys() & {"StartStep", "NumSteps"}
        by_time = known.keys() & {"StartTimeInSecSinceEpoch", "Duration"}
        if by_step and by_time:
            self.problems.append(
                f"{name} chooses steps by number ({', '.join(sorted(by_step))}) and by time "
                f"({', '.join(sorted(by_time))}): give one of the two"
            )
            return None
        if not by_step and not by_time:
            return None

        def number(
            key: str, kind: Callable[[Any], _Value], bound: str, holds: Callable[[Any], bool]
        ) -> _Value | None:
            value = known.get(key)
            return (
                None
                if value is None
                else self._number(f"{key} of {name}", value, kind, bound, holds)
            )

        first = number("StartStep", _whole, "a whole number from 0 on", lambda one: one >= 0)
        steps = number("NumSteps", _whole, "a whole number from 1 on", lambda one: one >= 1)
        start_s = number(
            "StartTimeInSecSinceEpoch", float, "seconds since 1970", lambda one: 0 <= one < 1e11
        )
        seconds = number("Duration", float, "seconds above 0", lambda one: 0 < one < 1e9)
        return StepWindow(first, 1 if steps is None else steps, start_s, seconds)

    def _number(
        self,
        name: str,
        value: Any,
        kind: Callable[[Any], _Value],
        bound: str,
        holds: Callable[[Any], bool],
    ) -> _Value | None:
        try:
            number = kind(value)
            if isinstance(value, bool) or not holds(number):
                raise ValueError
        except (TypeError, ValueError, OverflowError):
            self.problems.append(f"{name} is {value!r}: give {bound}")
            return None
        return number


def _whole(value: Any) -> int:
    number = float(value)
    if not number.is_integer():
        raise ValueError
    return int(number)


_ENTRY = re.compile(
    r"""\s*(?P<quote>["'])(?P<key>[^"']*)(?P=quote)\s*:\s*
    (?:(?P<mark>["'])(?P<text>(?:(?!(?P=mark))[\s\S])*)(?P=mark)|(?P<word>[^\s,"'{}\[\]:]+))
    \s*(?:,|$)""",
    re.VERBOSE,
)
_WORDS = {"null": None, "none": None, "true": True, "false": False}


def _entries(text: Any) -> dict[str, Any]:
    """A flat object as the SDK writes it: like JSON, with a comma at its end and bare backslashes.

    Or as Python prints one, in single quotes.

    Raises:
        ValueError: it is something else.
    """
    inside = str(text).strip() if isinstance(text, str) else ""
    if not (inside.startswith("{") and inside.endswith("}")):
        raise ValueError
    inside = inside[1:-1].strip()
    entries: dict[str, Any] = {}
    place = 0
    while place < len(inside):
        match = _ENTRY.match(inside, place)
        if match is None:
            raise ValueError
        entries[match["key"]] = match["text"] if match["word"] is None else _word(match["word"])
        place = match.end()
    return entries


def _word(word: str) -> Any:
    if word.lower() in _WORDS:
        return _WORDS[word.lower()]
    return cast("Any", _whole(word) if word.lstrip("+-").isdigit() else float(word))
