"""What replicas leave behind: their logs, and that they were there, for as long as is of use."""

from __future__ import annotations

import shutil
from pathlib import Path

from clary.formats.files import storage_errors
from clary.service.state.endpoints import EndpointRecord
from clary.service.state.replicas import ENDED
from clary.service.supervisor.endpoints.workplace import LOG_GROUP, Workplace

# Of an endpoint's replicas: one that keeps dying would fill the disk with its logs.
KEPT = 50


def discard(work: Workplace, endpoint: EndpointRecord, folder: Path) -> None:
    """Delete the folder of a replica that has ended, and all that is left of the oldest ones.

    Args:
        work: the parts to work with.
        endpoint: whose replica it was.
        folder: the replica's.

    Raises:
        StorageError: something cannot be deleted, or the database cannot be written.
    """
    work.replicas.discard(folder)
    ended = work.state.replicas.select((ENDED,), endpoint.number)
    for replica in ended[:-KEPT]:
        name = f"{replica.variant}/{replica.instance}"
        left = work.replica_folder(endpoint.name, replica.fleet, replica.instance)
        if left.exists():
            with storage_errors(left):
                shutil.rmtree(left)
        work.state.logs.remove_stream(LOG_GROUP + endpoint.name, name)
        work.state.replicas.remove(replica.number)
