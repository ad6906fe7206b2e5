"""Which GPU a replica gets: the one that the fewest have."""

from __future__ import annotations

from collections import Counter

from clary.service.state.replicas import LIVING
from clary.service.supervisor.endpoints.workplace import Workplace


class GpuChoice:
    """Owned by the rounds of the endpoints, on whose thread `choose` is called.

    Replicas of an earlier service are asked for by what they were told when they were launched.
    """

    def __init__(self, work: Workplace) -> None:
        self._work = work
        self._chosen: dict[str, int | None] = {}

    def choose(self, gpus: int, instance: str) -> int:
        """The number of the GPU for a new replica.

        Args:
            gpus: how many the machine has.
            instance: the replica's.

        Raises:
            StorageError: the database cannot be read.
        """
        living = self._work.state.replicas.select(LIVING)
        names = {endpoint.number: endpoint.name for endpoint in self._work.state.endpoints.select()}
        known: dict[str, int | None] = {}
        for one in living:
            if one.instance in self._chosen:
                known[one.instance] = self._chosen[one.instance]
            elif one.endpoint in names and one.instance != instance:
                folder = self._work.replica_folder(names[one.endpoint], one.fleet, one.instance)
                known[one.instance] = self._work.replicas.gpu(folder)
        used = Counter(gpu for gpu in known.values() if gpu is not None)
        chosen = min(range(gpus), key=lambda number: used[number])
        self._chosen = {**known, instance: chosen}
        return chosen
