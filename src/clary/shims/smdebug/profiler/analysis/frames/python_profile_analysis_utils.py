"""Python functions of chosen steps, and what each of them took."""

from __future__ import annotations

import pstats
from enum import Enum
from typing import Any

from ..libraries import library


class Metrics(Enum):
    """What functions are sorted by."""

    TOTAL_TIME = "tottime"
    CUMULATIVE_TIME = "cumtime"
    PRIMITIVE_CALLS = "pcalls"
    TOTAL_CALLS = "ncalls"


class cProfileFunctionStats:  # noqa: N801 - AWS's name
    """One function: `function_name` is `file:line(name)`, times are in seconds."""

    def __init__(self, key: tuple[str, int, str], value: tuple[Any, ...]) -> None:
        self.function_name = pstats.func_std_string(key)  # type: ignore[attr-defined]
        self.prim_calls, self.total_calls, self.total_time, self.cumulative_time, callers = value
        self.callers = [pstats.func_std_string(one) for one in callers]  # type: ignore[attr-defined]

    def __repr__(self) -> str:
        return (
            f"{self.function_name}: {self.total_calls} calls, {self.total_time:.6f} s itself, "
            f"{self.cumulative_time:.6f} s with what it called"
        )


class cProfileStats:  # noqa: N801 - AWS's name
    """Functions of the steps that were asked for: `ps`, of `pstats`, and a list of all."""

    def __init__(self, ps: pstats.Stats) -> None:
        self.ps = ps
        held = ps.stats  # type: ignore[attr-defined]
        self.function_stats_list = [cProfileFunctionStats(*item) for item in held.items()]

    def print_top_n_functions(self, by: Metrics, n: int = 10) -> None:
        """Print those that took most.

        Args:
            by: what counts.
            n: how many.
        """
        self.ps.sort_stats(Metrics(by).value).print_stats(n)

    def get_function_stats(self) -> Any:
        """All functions as a table.

        Raises:
            ImportError: there is no pandas.
        """
        return library("pandas", "tables").DataFrame(
            [
                {
                    "function name": one.function_name,
                    "# of primitive calls": one.prim_calls,
                    "# of total calls": one.total_calls,
                    "total time": one.total_time,
                    "cumulative time": one.cumulative_time,
                }
                for one in self.function_stats_list
            ]
        )
