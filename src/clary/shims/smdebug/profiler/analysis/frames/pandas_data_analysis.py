"""Statistics of the tables of `PandasFrame`."""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum
from typing import Any

from ....exceptions import SMDebugTypeError, SMDebugValueError
from ..libraries import library

_STEP = "Step:ModeKeys"
_BEGINS = ("Step:ModeKeys.TRAIN", "Step:ModeKeys.GLOBAL")
_USAGE = ((90.0, 100.0), (10.0, 90.0), (0.0, 10.0))
_DESCRIBED = {
    "mean": "mean",
    "min": "min",
    "max": "max",
    "50%": "p50",
    "95%": "p95",
    "99%": "p99",
}


class StatsBy(Enum):
    """What statistics are grouped by."""

    TRAINING_PHASE = "training_phase"
    FRAMEWORK_METRICS = "framework_metric"
    PROCESS = "process"


class Resource(Enum):
    """A part of a machine, as the type of its metrics says it."""

    CPU = "cpu"
    GPU = "gpu"
    IO = "i/o"
    NETWORK = "network"
    MEMORY = "memory"


# What says how busy a resource is, by dimension or by name. SageMaker's own statistics are of all
# metrics of a type together, percentages of waiting among them.
_MEASURE = {
    Resource.CPU: ("CPUUtilization", None),
    Resource.GPU: ("GPUUtilization", None),
    Resource.IO: ("I/OWaitPercentage", None),
    Resource.NETWORK: ("Algorithm", None),
    Resource.MEMORY: (None, "MemoryUsedPercent"),
}


class JobStats(dict[str, Any]):
    """Times of a job by name; shown as a table."""

    def __repr__(self) -> str:
        return "\n".join(f"{name:24} {value}" for name, value in self.items())


class PandasFrameAnalysis:
    """Answers questions about the two tables of a job."""

    def __init__(self, system_df: Any, framework_df: Any) -> None:
        """Complete the tables: durations, and steps of what has none.

        Args:
            system_df: of `PandasFrame.get_all_system_metrics()`.
            framework_df: of `PandasFrame.get_all_framework_metrics()`.

        Raises:
            ImportError: there is no pandas.
        """
        self._pandas = library("pandas", "tables")
        self.sys_metrics_df = system_df.copy()
        self.framework_metrics_df = framework_df.copy()
        table = self.framework_metrics_df
        table["duration_us"] = table["end_time_us"] - table["start_time_us"]
        steps = table[table["framework_metric"].str.contains(_STEP) & (table["step"] != -1)]
        self.step_time_df = steps[["step", "start_time_us", "end_time_us"]].sort_values(
            "start_time_us", ignore_index=True
        )
        self._give_steps()

    def get_job_statistics(self) -> JobStats:
        """How long the job took, before, in and after its training loop; in microseconds.

        Raises:
            SMDebugValueError: there are no steps, or no metrics of a machine.
        """
        system, framework = self.sys_metrics_df, self.framework_metrics_df
        first = framework[framework["framework_metric"].isin(_BEGINS)]
        if system.empty or first.empty:
            raise SMDebugValueError(
                f"a job's statistics need its steps and its machine's metrics, and there are "
                f"{len(first)} steps and {len(system)} metrics"
            )
        begin = first.loc[first["start_time_us"].idxmin()]
        last = framework.loc[framework["end_time_us"].idxmax()]
        job_begin, job_end = system["timestamp_us"].min(), system["timestamp_us"].max()
        duration = int(job_end - job_begin)
        parts = {
            "initialization": max(0, int(begin["start_time_us"] - job_begin)),
            "training_loop": int(last["end_time_us"] - begin["start_time_us"]),
            "finalization": max(0, int(job_end - last["end_time_us"])),
        }
        return JobStats(
            start_time=system["timestamp"].min(),
            end_time=system["timestamp"].max(),
            job_duration=duration,
            training_loop_start=begin["start_time"],
            training_loop_end=last["end_time"],
            training_loop_duration=parts["training_loop"],
            initialization=parts["initialization"],
            finalization=parts["finalization"],
            **{f"{name}_%": 100 * value / (duration or 1) for name, value in parts.items()},
        )

    def get_step_statistics(self, by: StatsBy = StatsBy.TRAINING_PHASE) -> Any:
        """How long steps took: mean, least, most and percentiles, in microseconds.

        Args:
            by: by mode, by event, or by phase.

        Raises:
            SMDebugTypeError: `by` is no `StatsBy`.
        """
        _check(by, StatsBy)
        table, column = self.framework_metrics_df, by.value
        if by is StatsBy.TRAINING_PHASE:
            column = "framework_metric"
            table = table[table[column].str.contains(_STEP)]
        found = self._described(table.groupby(column)["duration_us"])
        found.columns = [by.value, *(f"duration_{name}_us" for name in _DESCRIBED.values())]
        return found

    def get_utilization_stats(
        self,
        resource: Resource | Sequence[Resource] | None = None,
        by: StatsBy | None = None,
        phase: str | Sequence[str] | None = None,
    ) -> Any:
        """How busy the machines were, for each host.

        Args:
            resource: one or several; None for all.
            by: `StatsBy.TRAINING_PHASE` for each part of the training by itself.
            phase: modes that parts are made of, such as `"Step:ModeKeys.TRAIN"`; None for all.

        Raises:
            SMDebugTypeError: an argument is of another kind.
        """
        if by is not None:
            _check(by, StatsBy)
        table, groups = self.sys_metrics_df, ["nodeID"]
        if by is StatsBy.TRAINING_PHASE:
            table, groups = self._with_phases(phase), ["phase", "nodeID"]
        parts = []
        for one in _resources(resource, tuple(Resource)):
            dimension, name = _MEASURE[one]
            rows = table[(table["dimension"] == dimension) | (table["system_metric"] == name)]
            if not rows.empty:
                found = self._described(rows.groupby(groups)["value"])
                found.insert(0, "Resource", one.value)
                parts.append(found)
        columns = ["Resource", *(["Training_phase"] if len(groups) > 1 else []), "nodeID"]
        columns += [f"utilization_{name}" for name in _DESCRIBED.values()]
        if not parts:
            return self._pandas.DataFrame(columns=columns)
        together = self._pandas.concat(parts).reset_index(drop=True)
        together.columns = columns
        return together

    def get_device_usage_stats(
        self,
        device: Resource | Sequence[Resource] | None = None,
        utilization_ranges: Sequence[tuple[float, float]] | None = None,
    ) -> Any:
        """How many samples of each type and host lie in which range of percent.

        Args:
            device: one or several; None for CPUs and GPUs.
            utilization_ranges: lower and upper ends, (90, 100), (10, 90) and (0, 10) by default;
                a value on a border belongs to the range named first.

        Raises:
            SMDebugTypeError: an argument is of another kind.
            SMDebugValueError: a range has no two ends.
        """
        ranges = [tuple(one) for one in (utilization_ranges or _USAGE)]
        if any(len(one) != 2 for one in ranges):
            raise SMDebugValueError(
                f"utilization_ranges is {ranges}: give pairs of a lower and an upper end"
            )
        wanted = {_MEASURE[one][0] for one in _resources(device, (Resource.CPU, Resource.GPU))}
        table = self.sys_metrics_df[self.sys_metrics_df["dimension"].isin(wanted)]
        rows = []
        for (kind, node), held in table.groupby(["type", "nodeID"]):
            counts, left = {}, held["value"]
            for low, high in ranges:
                inside = left.between(low, high)
                counts[low, high] = int(inside.sum())
                left = left[~inside]
            rows.append([kind, node, *counts.values()])
        return self._pandas.DataFrame(rows, columns=["type", "nodeID", *ranges])

    def get_training_phase_intervals(self, phase: str | Sequence[str] | None = None) -> Any:
        """The job cut into times: before, in, between and after stretches of steps of one mode.

        Args:
            phase: modes, such as `["Step:ModeKeys.TRAIN"]`; None for all that there are.

        Returns:
            A table of `start_time_us`, `end_time_us` and `phase`; None where there are no such
            steps.
        """
        table = self.framework_metrics_df
        steps = table[table["framework_metric"].str.contains(_STEP)]
        wanted = [phase] if isinstance(phase, str) else phase
        if wanted is not None:
            steps = steps[steps["framework_metric"].isin(wanted)]
        if steps.empty:
            print(f"There are no steps of {wanted or 'any mode'}")
            return None
        steps = steps.sort_values("start_time_us")
        stretch = steps["framework_metric"].ne(steps["framework_metric"].shift()).cumsum()
        times = [
            (held["start_time_us"].min(), held["end_time_us"].max(), name)
            for (_, name), held in steps.groupby([stretch, steps["framework_metric"]], sort=False)
        ]
        rows = [
            (self.sys_metrics_df["timestamp_us"].min(), times[0][0] - 1, f"Before {times[0][2]}")
        ]
        for here, following in zip(times, [*times[1:], None], strict=True):
            rows.append(here)
            if following is not None:
                names = " and ".join(sorted([here[2], following[2]]))
                rows.append((here[1] + 1, following[0] - 1, f"Between {names}"))
        end = self.sys_metrics_df["timestamp_us"].max()
        rows.append((times[-1][1] + 1, end, f"After {times[-1][2]}"))
        return self._pandas.DataFrame(rows, columns=["start_time_us", "end_time_us", "phase"])

    def _give_steps(self) -> None:
        """To what has none, the number of the step that it lies within; -1 outside of all."""
        table, steps = self.framework_metrics_df, self.step_time_df
        if steps.empty:
            return
        place = steps["start_time_us"].searchsorted(table["start_time_us"], side="right") - 1
        inside = (place >= 0) & (
            table["end_time_us"].to_numpy() <= steps["end_time_us"].to_numpy()[place]
        )
        fitting = inside & (table["step"].to_numpy() == -1)
        table.loc[fitting, "step"] = steps["step"].to_numpy()[place[fitting]]

    def _with_phases(self, phase: str | Sequence[str] | None) -> Any:
        table = self.sys_metrics_df.copy()
        table["phase"] = None
        intervals = self.get_training_phase_intervals(phase)
        if intervals is not None:
            for begin, end, name in intervals.itertuples(index=False):
                table.loc[table["timestamp_us"].between(begin, end), "phase"] = name
        return table[table["phase"].notna()]

    def _described(self, groups: Any) -> Any:
        found = groups.describe(percentiles=[0.5, 0.95, 0.99])
        return found[list(_DESCRIBED)].reset_index()


def _check(value: Any, kind: type[Enum]) -> None:
    if not isinstance(value, kind):
        names = ", ".join(f"{kind.__name__}.{one.name}" for one in kind)
        raise SMDebugTypeError(f"{value!r} is no {kind.__name__}: give one of {names}")


def _resources(
    given: Resource | Sequence[Resource] | None, usual: Sequence[Resource]
) -> Sequence[Resource]:
    if given is None:
        return usual
    found = [given] if isinstance(given, Resource) else list(given)
    for one in found:
        _check(one, Resource)
    return found
