"""The recorder of a job, as its `profilerconfig.json` asks for it."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from clary.errors import FormatError
from clary.formats.files import read_json
from clary.formats.job_directory import JobDirectory
from clary.formats.profiler_configuration import NODE_VARIABLE, ProfilerConfiguration
from clary.jobs.profiling.training_profiler import TrainingProfiler
from clary.profiler.recording.process import process_facts
from clary.profiler.recording.step_recorder import StepRecorder

CONFIGURATION_FILE = "profilerconfig.json"
FOLDER = Path("output/profiler")
_SCRIPT_WATCH = "clary.profiler.scripts.script_watch"


def is_profiled(directory: JobDirectory) -> bool:
    """Whether the job asks for the profiler; it may be switched off, and on again later."""
    return (directory.config / CONFIGURATION_FILE).exists()


def profiler_for(directory: JobDirectory) -> TrainingProfiler:
    """An observer that records what the job asks for, into its `output/profiler`.

    Raises:
        UsageError: a value of the configuration cannot be used.
        FormatError: the file is missing or damaged.
    """
    file = directory.config / CONFIGURATION_FILE
    configuration = ProfilerConfiguration.read(file)
    watch = sys.modules.get(_SCRIPT_WATCH)
    if watch is not None:
        watch.stop_watching()  # what it sees is seen here, and better
    recorder = StepRecorder(
        directory.root / FOLDER,
        configuration=configuration,
        configuration_file=file,
        node=_node(directory),
        **{**process_facts(), "program": "clary train"},
    )
    return TrainingProfiler(recorder)


def _node(directory: JobDirectory) -> str:
    """The name of this host among those of the job."""
    named = os.environ.get(NODE_VARIABLE)
    if named:
        return named
    try:
        return str(read_json(directory.config / "resourceconfig.json")["current_host"])
    except (FormatError, KeyError, TypeError):
        return "algo-1"
