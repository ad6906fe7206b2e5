"""All looks at this machine, in the order in which they are told, and what they come to."""

from __future__ import annotations

import os
import threading
import traceback
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from queue import Empty, SimpleQueue
from time import monotonic

from clary.errors import UsageError
from clary.sdk.doctor.gpus import look_at_gpus
from clary.sdk.doctor.machine import (
    look_at_arithmetic,
    look_at_cores,
    look_at_memory,
    look_at_mounts,
    look_at_open_files,
)
from clary.sdk.doctor.networks import look_at_hub
from clary.sdk.doctor.observation import Level, Observation, Surroundings
from clary.sdk.doctor.packages import look_at_clients, look_at_packages, look_at_python
from clary.sdk.doctor.places import look_at_home, look_at_leftovers, look_at_temporary_files
from clary.sdk.doctor.services import look_at_aws, look_at_service
from clary.settings import Settings

Look = Callable[[Surroundings], Iterable[Observation]]

LOOKS: tuple[tuple[str, Look], ...] = (
    ("python", look_at_python),
    ("packages", look_at_packages),
    ("cores", look_at_cores),
    ("memory", look_at_memory),
    ("processor", look_at_arithmetic),
    ("gpu", look_at_gpus),
    ("/opt/ml", look_at_mounts),
    ("open files", look_at_open_files),
    ("home", look_at_home),
    ("temporary files", look_at_temporary_files),
    ("leftovers", look_at_leftovers),
    ("weights", look_at_hub),
    ("service", look_at_service),
    ("this shell's aws", look_at_aws),
    ("your python", look_at_clients),
)
PATIENCE_SECONDS = 20.0
NOTHING_TO_DO = "nothing stands in the way: `clary train digits` tries it all out"

_GRAVITY: tuple[Level, ...] = ("fault", "warning", "note")


@dataclass(frozen=True)
class Examination:
    """What was found on a machine."""

    observations: tuple[Observation, ...]

    @property
    def works(self) -> bool:
        """Whether nothing prevents work."""
        return all(one.level != "fault" for one in self.observations)

    @property
    def advice(self) -> Observation | None:
        """The observation whose remedy is most worth having; None where nothing goes wrong."""
        for level in _GRAVITY[:2]:
            for one in self.observations:
                if one.level == level and one.remedy is not None:
                    return one
        return None


def examine(
    environment: Mapping[str, str] | None = None,
    *,
    looks: Sequence[tuple[str, Look]] = LOOKS,
    patience_s: float = PATIENCE_SECONDS,
) -> Examination:
    """Look at this machine; nothing is changed, and nothing of Clary's is started.

    Args:
        environment: what the settings are read from; the process's own by default.
        looks: what is looked at, by name.
        patience_s: after this time a look that has not ended is told as such.
    """
    environment = dict(os.environ if environment is None else environment)
    first: list[Observation] = []
    try:
        settings = Settings.from_environment(environment)
    except UsageError as error:
        first.append(
            Observation(
                "settings", str(error), "no command works", "fault", "set or unset that variable"
            )
        )
        named = environment.get("CLARY_HOME")
        settings = Settings.from_environment({"CLARY_HOME": named} if named else {})
    around = Surroundings(settings, environment)
    found = _at_once(looks, around, patience_s)
    return Examination((*first, *(one for observations in found for one in observations)))


def _at_once(
    looks: Sequence[tuple[str, Look]], around: Surroundings, patience_s: float
) -> list[list[Observation]]:
    """What each look finds; they wait for the network and for programs, so that each has a thread.

    A look that hangs, as a name server can, keeps neither the others nor the end from coming.
    """
    told: SimpleQueue[tuple[int, list[Observation]]] = SimpleQueue()

    def run(number: int, name: str, look: Look) -> None:
        try:
            told.put((number, list(look(around))))
        except Exception as error:  # noqa: BLE001 - it is told, and the other looks are of use
            told.put((number, [_failed(name, error)]))

    for number, (name, look) in enumerate(looks):
        threading.Thread(target=run, args=(number, name, look), daemon=True).start()
    found = [
        [Observation(name, f"no answer in {patience_s:.0f} s", "not known", "note")]
        for name, _ in looks
    ]
    deadline = monotonic() + patience_s
    for _ in looks:
        try:
            number, observations = told.get(timeout=max(0.0, deadline - monotonic()))
        except Empty:
            break
        found[number] = observations
    return found


def _failed(name: str, error: Exception) -> Observation:
    """What is told of a look that has failed: where, too, for it is a mistake of Clary's."""
    *_, last = traceback.extract_tb(error.__traceback__)
    where = f"{Path(last.filename).name}, line {last.lineno}"
    return Observation(
        name,
        f"could not be looked at: {type(error).__name__}: {error} ({where})",
        "not known",
        "warning",
        "report it: this is a mistake of Clary's, and says nothing about the machine",
    )
