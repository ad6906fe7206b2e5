"""The hook of a job, as its `debughookconfig.json` asks for it."""

from __future__ import annotations

from pathlib import Path

from clary.debugger import Hook, HookConfiguration
from clary.formats.job_directory import JobDirectory
from clary.jobs.watching.training_watcher import TrainingWatcher

CONFIGURATION_FILE = "debughookconfig.json"
OPT_ML = Path("/opt/ml")
TENSORS = Path("output/tensors")


def is_watched(directory: JobDirectory) -> bool:
    """Whether the job asks for the debugger's hook."""
    return (directory.config / CONFIGURATION_FILE).exists()


def watcher_for(directory: JobDirectory) -> TrainingWatcher:
    """An observer that captures what the job asks for, into its `output/tensors`.

    Raises:
        UsageError: a parameter of the hook is unknown, or its value cannot be used.
        FormatError: the file is missing or damaged.
    """
    configuration = HookConfiguration.read(directory.config / CONFIGURATION_FILE)
    folder = tensors_folder(directory, configuration)
    return TrainingWatcher(Hook(folder, configuration, find_losses=False))


def tensors_folder(directory: JobDirectory, configuration: HookConfiguration) -> Path:
    """Where the tensor log goes: `/opt/ml` is the job's directory."""
    folder = configuration.folder
    if folder is None:
        return directory.root / TENSORS
    return directory.root / folder.relative_to(OPT_ML) if folder.is_relative_to(OPT_ML) else folder
