"""Recording where the time of Clary's own training goes, where a job asks for it."""

from clary.jobs.profiling.job_profiler import is_profiled, profiler_for
from clary.jobs.profiling.training_profiler import TrainingProfiler

__all__ = ["TrainingProfiler", "is_profiled", "profiler_for"]
