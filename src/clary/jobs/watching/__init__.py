"""Watching Clary's own training with the debugger's hook, where a job asks for it."""

from clary.jobs.watching.job_hook import is_watched, watcher_for
from clary.jobs.watching.training_watcher import TrainingWatcher

__all__ = ["TrainingWatcher", "is_watched", "watcher_for"]
