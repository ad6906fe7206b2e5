"""Search: training jobs, tuning jobs and endpoints by any of their properties."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime, timezone
from functools import partial
from typing import Any, NamedTuple

from clary.service.call import Call
from clary.service.faults import validation
from clary.service.office import Handler, Office
from clary.service.operations import endpoint_describing, tuning_describing
from clary.service.operations.describing import description
from clary.service.operations.pages import page
from clary.service.operations.times import milliseconds
from clary.service.state.rule_evaluations import RuleEvaluation
from clary.service.state.state import State

PAGE_SIZE = 10


class _Known(NamedTuple):
    """A resource: what is quickly said of it, and what tells the rest."""

    record: dict[str, Any]
    rest: Callable[[], Mapping[str, Any]]


class _Kind(NamedTuple):
    """A kind of resource: how its ARN and its name are called, and all of them.

    `late` are the members of the rest; `not_shown` are those which a description has and a
    search's record has not.
    """

    arn: str
    name: str
    know_all: Callable[[State], Iterable[_Known]]
    late: frozenset[str]
    not_shown: frozenset[str]


def _know_training_jobs(state: State) -> Iterator[_Known]:
    rules: dict[int, list[RuleEvaluation]] = {}
    for one in state.rule_evaluations.select():
        rules.setdefault(one.job, []).append(one)
    for job in state.training_jobs.select():
        yield _Known(description(job, rules.get(job.number, ())), dict)


def _know_tuning_jobs(state: State) -> Iterator[_Known]:
    for job in state.tuning_jobs.select():
        yield _Known(
            tuning_describing.description_without_trials(job),
            partial(tuning_describing.description_of_trials, state, job),
        )


def _know_endpoints(state: State) -> Iterator[_Known]:
    for endpoint in state.endpoints.select():
        serving = state.replicas.select(("Serving",), endpoint.number)
        yield _Known(endpoint_describing.description(endpoint, serving), dict)


_KINDS: Mapping[str, _Kind] = {
    "TrainingJob": _Kind(
        "TrainingJobArn",
        "TrainingJobName",
        _know_training_jobs,
        frozenset(),
        frozenset(
            {
                "InfraCheckConfig",
                "MlflowConfig",
                "ProfilerRuleConfigurations",
                "ProfilerRuleEvaluationStatuses",
                "ProfilingStatus",
                "RemoteDebugConfig",
            }
        ),
    ),
    "HyperParameterTuningJob": _Kind(
        "HyperParameterTuningJobArn",
        "HyperParameterTuningJobName",
        _know_tuning_jobs,
        tuning_describing.OF_TRIALS,
        frozenset({"Autotune"}),
    ),
    "Endpoint": _Kind(
        "EndpointArn",
        "EndpointName",
        _know_endpoints,
        frozenset(),
        frozenset(
            {
                "AsyncInferenceConfig",
                "LastDeploymentConfig",
                "MetricsConfig",
                "PendingDeploymentSummary",
            }
        ),
    ),
}


def search(office: Office, call: Call) -> Mapping[str, Any]:
    """Show the training jobs, tuning jobs or endpoints that a search expression chooses."""
    asked = call.parameters
    resource = asked["Resource"]
    kind = _KINDS.get(resource)
    if kind is None:
        raise validation(f"Search for {resource} is not offered by Clary: {', '.join(_KINDS)} are.")
    expression = asked.get("SearchExpression") or {}
    sort_by = asked.get("SortBy", "LastModifiedTime")
    whole = any(name.partition(".")[0] in kind.late for name in (sort_by, *_names(expression)))
    tags = office.state.tags.of_all()
    found: list[_Known] = []
    for known in kind.know_all(office.state):
        record = known.record
        if whole:
            record.update(known.rest())
        record["Tags"] = [
            {"Key": key, "Value": value} for key, value in tags.get(record[kind.arn], {}).items()
        ]
        if _chosen(record, expression):
            found.append(known)
    descending = asked.get("SortOrder", "Descending") == "Descending"

    def place(known: _Known) -> tuple[Any, ...]:
        return (*_sortable(_property(known.record, sort_by)), known.record[kind.name])

    found.sort(key=place, reverse=descending)
    size = asked.get("MaxResults", PAGE_SIZE)
    try:
        chosen, token = page(found, place, asked.get("NextToken"), size, descending=descending)
    except ValueError as error:
        raise validation(f"Invalid NextToken: {error}.") from error
    answer: dict[str, Any] = {
        "Results": [{resource: _shown(known, kind, whole=whole)} for known in chosen],
        "TotalHits": {"Value": len(found), "Relation": "EqualTo"},
    }
    if token is not None:
        answer["NextToken"] = token
    return answer


def _names(expression: Mapping[str, Any]) -> Iterator[str]:
    """The properties that an expression asks for."""
    for one in expression.get("Filters", ()):
        yield one["Name"]
    for nested in expression.get("NestedFilters", ()):
        yield nested["NestedPropertyName"]
    for inner in expression.get("SubExpressions", ()):
        yield from _names(inner)


def _shown(known: _Known, kind: _Kind, *, whole: bool) -> dict[str, Any]:
    record = known.record if whole else {**known.record, **known.rest()}
    return {name: value for name, value in record.items() if name not in kind.not_shown}


def _chosen(record: Mapping[str, Any], expression: Mapping[str, Any]) -> bool:
    verdicts = [
        _passes(_property(record, one["Name"]), one) for one in expression.get("Filters", ())
    ]
    for nested in expression.get("NestedFilters", ()):
        path = nested["NestedPropertyName"]
        items = _property(record, path)
        verdicts.append(
            any(
                all(
                    _passes(_property(item, one["Name"].removeprefix(f"{path}.")), one)
                    for one in nested["Filters"]
                )
                for item in (items if isinstance(items, list) else ())
            )
        )
    verdicts.extend(_chosen(record, inner) for inner in expression.get("SubExpressions", ()))
    if not verdicts:
        return True
    return any(verdicts) if expression.get("Operator") == "Or" else all(verdicts)


def _property(record: Any, path: str) -> Any:
    """What a property name leads to: members by dots, tags and metrics by their names."""
    if isinstance(record, Mapping):
        if path in record:
            return record[path]
        if path.startswith("Tags."):
            return _tag(record, path.removeprefix("Tags."))
        if path.startswith("Metrics."):
            metrics = record.get("FinalMetricDataList", ())
            name = path.removeprefix("Metrics.").removesuffix(".Last")
            return next((one["Value"] for one in metrics if one["MetricName"] == name), None)
        head, _, rest = path.partition(".")
        return _property(record.get(head), rest) if rest else None
    if isinstance(record, list):
        values = [_property(item, path) for item in record]
        return [value for value in values if value is not None] or None
    return None


def _tag(record: Mapping[str, Any], name: str) -> Any:
    tags = {tag["Key"]: tag["Value"] for tag in record.get("Tags", ())}
    if name == "Key":
        return list(tags)
    if name == "Value":
        return list(tags.values())
    return tags.get(name)


_COMPARISONS: Mapping[str, Callable[[Any, Any], Any]] = {
    "Equals": lambda found, given: found == given,
    "GreaterThan": lambda found, given: found > given,
    "GreaterThanOrEqualTo": lambda found, given: found >= given,
    "LessThan": lambda found, given: found < given,
    "LessThanOrEqualTo": lambda found, given: found <= given,
    "Contains": lambda found, given: str(given).lower() in str(found).lower(),
}


def _passes(found: Any, asked: Mapping[str, Any]) -> bool:
    operator: str = asked.get("Operator", "Equals")
    given: str = asked.get("Value", "")
    if operator in {"Exists", "NotExists"}:
        return (found is not None) == (operator == "Exists")
    if operator == "NotEquals":
        return not _passes(found, {"Operator": "Equals", "Value": given})
    if operator == "In":
        return any(_passes(found, {"Operator": "Equals", "Value": one}) for one in given.split(","))
    candidates = found if isinstance(found, list) else [found]
    compare = _COMPARISONS[operator]
    pairs = (_alike(one, given) for one in candidates)
    return any(bool(compare(*pair)) for pair in pairs if pair is not None)


def _alike(found: Any, given: str) -> tuple[Any, Any] | None:
    """Both sides of a comparison as one kind; None when they cannot be compared."""
    if found is None:
        return None
    try:
        if isinstance(found, datetime):
            moment = datetime.fromisoformat(given.replace("Z", "+00:00"))
            return found, moment if moment.tzinfo else moment.replace(tzinfo=timezone.utc)
        if isinstance(found, bool):
            return found, given.lower() == "true"
        if isinstance(found, int | float):
            return float(found), float(given)
    except ValueError as error:
        raise validation(f"The value {given!r} cannot be compared with {found!r}.") from error
    return str(found), given


def _sortable(value: Any) -> tuple[int, float, str]:
    if isinstance(value, datetime):
        return 1, milliseconds(value), ""
    if isinstance(value, int | float):
        return 1, float(value), ""
    return (0, 0.0, "") if value is None else (2, 0.0, str(value))


OPERATIONS: dict[str, Handler] = {"Search": search}
