"""Python functions of chosen steps, and where their time went."""

from __future__ import annotations

import os
import pstats
from collections.abc import Sequence
from typing import Any

from ..place import ProfilerPlace
from ..python_profile_utils import PythonProfileModes, StepPhase, python_profile_mode_to_str
from .frames.python_profile_analysis_utils import cProfileStats
from .libraries import library
from .recorded_functions import StepPythonProfileStats, recorded_functions

_ANY = "any"


class cProfileAnalysis:  # noqa: N801 - AWS's name
    """Functions of the steps that a job's profiler was asked to look at. One thread uses it.

    What is asked for is the sum over all recordings that fit; None where there are none, which is
    said.
    """

    name = "cprofile"

    def __init__(
        self,
        local_profile_dir: str | os.PathLike[str] = "/tmp/python_stats",
        s3_path: str | None = None,
    ) -> None:
        """Read what there is.

        Args:
            local_profile_dir: a `profiler-output`, or its folder of functions; not used where
                there is an `s3_path`.
            s3_path: such as `TrainingJob(name).profiler_s3_output_path`.

        Raises:
            SMDebugRuntimeError: S3 refuses, or its copy cannot be written.
        """
        self._place = ProfilerPlace(s3_path or local_profile_dir, "framework", "timeline")
        self.python_profile_stats: list[StepPythonProfileStats] = []
        self._refresh(True)

    def fetch_profile_stats_by_step(  # noqa: PLR0917 - AWS's arguments
        self,
        start_step: int,
        end_step: int | None = None,
        mode: PythonProfileModes = PythonProfileModes.TRAIN,
        start_phase: StepPhase = StepPhase.STEP_START,
        end_phase: StepPhase = StepPhase.STEP_END,
        node_id: str = _ANY,
        refresh_stats: bool = True,
    ) -> cProfileStats | None:
        """Of recordings within some steps.

        Args:
            start_step: the first one.
            end_step: the last one; the first one where it is None.
            mode: whose steps.
            start_phase: recordings that begin later in the first step, only.
            end_phase: recordings that end earlier in the last step, only.
            node_id: of one process, as `list_available_node_ids` says; `any` for the first.
            refresh_stats: whether new ones are looked for.
        """
        last = start_step if end_step is None else end_step
        order = list(StepPhase)
        return self._summed(
            [
                one
                for one in self._of(node_id, refresh_stats)
                if one.start_mode == one.end_mode == mode
                and (start_step, order.index(start_phase))
                <= (one.start_step, order.index(one.start_phase))
                and (one.end_step, order.index(one.end_phase)) <= (last, order.index(end_phase))
            ]
        )

    def fetch_profile_stats_by_time(
        self,
        start_time_since_epoch_in_secs: float,
        end_time_since_epoch_in_secs: float,
        node_id: str = _ANY,
        refresh_stats: bool = True,
    ) -> cProfileStats | None:
        """Of recordings that a time touches.

        Args:
            start_time_since_epoch_in_secs: when it begins.
            end_time_since_epoch_in_secs: when it ends.
            node_id: of one process; `any` for the first.
            refresh_stats: whether new ones are looked for.
        """
        return self._summed(
            [
                one
                for one in self._of(node_id, refresh_stats)
                if one.start_time_since_epoch_in_micros <= end_time_since_epoch_in_secs * 1e6
                and start_time_since_epoch_in_secs * 1e6 <= one.end_time_since_epoch_in_micros
            ]
        )

    def fetch_profile_stats_between_modes(
        self,
        start_mode: PythonProfileModes,
        end_mode: PythonProfileModes,
        node_id: str = _ANY,
        refresh_stats: bool = True,
    ) -> cProfileStats | None:
        """Of recordings that begin in a mode and end in another one, or the same."""
        found = [
            one
            for one in self._of(node_id, refresh_stats)
            if (one.start_mode, one.end_mode) == (start_mode, end_mode)
        ]
        return self._summed(found)

    def fetch_pre_step_zero_profile_stats(
        self, node_id: str = _ANY, refresh_stats: bool = True
    ) -> cProfileStats | None:
        """Of what was before the first step; Clary's profiler looks at steps alone."""
        recordings = self._of(node_id, refresh_stats)
        return self._summed([one for one in recordings if one.start_phase is StepPhase.START])

    def fetch_post_hook_close_profile_stats(
        self, node_id: str = _ANY, refresh_stats: bool = True
    ) -> cProfileStats | None:
        """Of what was after the last step; Clary's profiler looks at steps alone."""
        recordings = self._of(node_id, refresh_stats)
        return self._summed([one for one in recordings if one.end_phase is StepPhase.END])

    def fetch_profile_stats_by_training_phase(
        self, node_id: str = _ANY, refresh_stats: bool = True
    ) -> dict[tuple[PythonProfileModes, PythonProfileModes], cProfileStats]:
        """By the modes in which recordings begin and end."""
        recordings = self._of(node_id, refresh_stats)
        modes = sorted({(one.start_mode, one.end_mode) for one in recordings})
        return {pair: _sum([one for one in recordings if _modes(one) == pair]) for pair in modes}

    def fetch_profile_stats_by_job_phase(
        self, node_id: str = _ANY, refresh_stats: bool = True
    ) -> dict[str, cProfileStats]:
        """By `initialization`, `training_loop` and `finalization`, of those that there are."""
        parts: dict[str, list[StepPythonProfileStats]] = {}
        for one in self._of(node_id, refresh_stats):
            name = "training_loop"
            if one.start_mode is PythonProfileModes.PRE_STEP_ZERO:
                name = "initialization"
            elif one.end_mode is PythonProfileModes.POST_HOOK_CLOSE:
                name = "finalization"
            parts.setdefault(name, []).append(one)
        return {name: _sum(held) for name, held in parts.items()}

    def list_profile_stats(self, refresh_stats: bool = True) -> Any:
        """All recordings, as a table.

        Raises:
            ImportError: there is no pandas.
        """
        self._refresh(refresh_stats)
        rows = [
            {
                **{name: value for name, value in vars(one).items() if name != "functions"},
                "start_mode": python_profile_mode_to_str(one.start_mode),
                "end_mode": python_profile_mode_to_str(one.end_mode),
            }
            for one in self.python_profile_stats
        ]
        return library("pandas", "tables").DataFrame(rows)

    def list_available_node_ids(self, refresh_stats: bool = True) -> list[str]:
        """The processes of which functions were recorded."""
        self._refresh(refresh_stats)
        return list(dict.fromkeys(one.node_id for one in self.python_profile_stats))

    def _refresh(self, wanted: bool) -> None:
        if wanted:
            self._place.update()
            self.python_profile_stats = recorded_functions(self._place.folder)

    def _of(self, node_id: str, refresh: bool) -> list[StepPythonProfileStats]:
        self._refresh(refresh)
        held = self.python_profile_stats
        wanted = held[0].node_id if held and node_id == _ANY else node_id
        return [one for one in held if one.node_id == wanted]

    @staticmethod
    def _summed(found: Sequence[StepPythonProfileStats]) -> cProfileStats | None:
        if not found:
            print("No functions were recorded there: give the ProfilerConfig a FrameworkProfile")
            return None
        return _sum(found)


def _modes(one: StepPythonProfileStats) -> tuple[PythonProfileModes, PythonProfileModes]:
    return one.start_mode, one.end_mode


def _sum(recordings: Sequence[StepPythonProfileStats]) -> cProfileStats:
    together = pstats.Stats()
    for one in recordings:
        held: Any = _Held(one.functions)
        together.add(held)
    return cProfileStats(together)


class _Held:
    """Functions as `pstats` takes them from a profiler."""

    def __init__(self, functions: dict[Any, Any]) -> None:
        self.stats = functions

    def create_stats(self) -> None:
        """They are there already."""


def __getattr__(name: str) -> Any:
    if name == "PyinstrumentAnalysis":
        raise ImportError(
            "PyinstrumentAnalysis is not offered: Clary's profiler records functions for "
            "cProfileAnalysis"
        )
    raise AttributeError(f"smdebug.profiler.analysis.python_profile_analysis has no {name}")
