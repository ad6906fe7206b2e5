"""Fetches the models of multi-model endpoints, each when it is first asked for.

On the disk those of a variant take as much together as caches may (`CLARY_CACHE_GB`): then one that
nobody has asked for in a while makes room for the next, and is fetched again when it is wanted.
"""

from __future__ import annotations

import hashlib
import logging
import re
import shutil
import threading
import time
from collections import OrderedDict
from concurrent.futures import Future, wait
from pathlib import Path
from secrets import token_hex

from clary.errors import ClaryError
from clary.formats.files import storage_errors
from clary.service.executors.served_models import MODEL, ModelSource
from clary.service.state.endpoints import EndpointRecord, model_request
from clary.service.supervisor.endpoints.spare_models import LEAST_FREE_BYTES, spare_models
from clary.service.supervisor.endpoints.workplace import Workplace

logger = logging.getLogger(__name__)

_FETCHING = ".fetching"
_READABLE = 40
_KNOWN_LIMIT = 4096


class ManyModels:
    """Any thread may call; who asks for a model that is being fetched waits for it, for a while.

    Owned by the endpoints' supervisor.
    """

    def __init__(self, work: Workplace) -> None:
        self._work = work
        self._lock = threading.Lock()
        # By the folder that is to be there.
        self._fetching: dict[Path, Future[None]] = {}
        # Where what a service that was killed had half fetched is gone.
        self._cleared: set[Path] = set()
        self._version = -1
        # What was found since the endpoints last changed: asked for by every invocation.
        self._known: OrderedDict[tuple[str, str, str], Path] = OrderedDict()
        # When each folder was last asked for, by `time.monotonic()`; before that, an earlier
        # service may have been.
        self._asked: dict[Path, float] = {}
        self._began = time.monotonic()

    def fetch(self, endpoint: str, variant: str, target: str) -> str | None:
        """The name of a model's folder among those that the variant's replicas see.

        None where it takes longer than who asks waits: ask again.

        Args:
            endpoint: by its name.
            variant: of it.
            target: the archive's key under ModelDataUrl, as TargetModel says.

        Raises:
            ClaryError: there is no such archive, it cannot be unpacked, or the endpoint serves
                one model only.
        """
        version = self._work.state.endpoints.version
        with self._lock:
            if version != self._version:
                self._known.clear()
                self._version = version
            known = self._known.get((endpoint, variant, target))
            if known is not None:
                self._asked[known] = time.monotonic()
                return known.name
        record = self._work.state.endpoints.find(endpoint)
        if record is None or record.variant(variant) is None:
            raise ClaryError(f"there is no variant {variant} of an endpoint {endpoint}")
        folder = self._bring(record, variant, target)
        if folder is None:
            return None
        with self._lock:
            if version == self._version:
                self._known[endpoint, variant, target] = folder
                if len(self._known) > _KNOWN_LIMIT:
                    self._known.popitem(last=False)
        return folder.name

    def _bring(self, record: EndpointRecord, variant: str, target: str) -> Path | None:
        """Have a model's folder there; None where it is not by now."""
        source = ModelSource(
            identity=f"{record.arn} {record.created_ms} {record.fleet} {variant} {target}",
            arn=record.arn,
            request=model_request(record.config, variant),
        )
        if not source.multi_model:
            raise ClaryError(
                f"the variant {variant} of {record.name} serves one model only: leave TargetModel "
                "out, or create the model with Mode MultiModel"
            )
        shared = self._work.model_folder(record.name, record.fleet, variant)
        folder = shared / MODEL / folder_name(target)
        with self._lock:
            self._asked[folder] = time.monotonic()
            fetching = self._fetching.get(folder)
            if fetching is None:
                if folder.exists():
                    return folder
                fetching = self._work.preparing.submit(self._fetch, source, target, shared, folder)
                self._fetching[folder] = fetching
        wait([fetching], self._work.timing.fetch_s)
        if not fetching.done():
            return None
        fetching.result()
        return folder

    def _fetch(self, source: ModelSource, target: str, shared: Path, folder: Path) -> None:
        half = shared / _FETCHING / token_hex(8)
        try:
            self._clear(half.parent)
            self._make_room(folder.parent, half.parent)
            with storage_errors(half):
                half.mkdir(parents=True)
            self._work.replicas.preparation.bring_one(source, target, half)
            with storage_errors(folder):
                folder.parent.mkdir(parents=True, exist_ok=True)
                half.rename(folder)
        finally:
            shutil.rmtree(half, ignore_errors=True)
            with self._lock:
                self._fetching.pop(folder, None)
                if not folder.exists():
                    self._asked.pop(folder, None)

    def _make_room(self, models: Path, halves: Path) -> None:
        """Delete what nobody has asked for in a while, where there is too much."""
        with self._lock:
            # An endpoint that was deleted took its models along.
            self._asked = {
                one: at_s
                for one, at_s in self._asked.items()
                if one in self._fetching or one.exists()
            }
        try:
            for folder in spare_models(
                models,
                limit_bytes=self._work.settings.cache_limit_bytes,
                least_free_bytes=LEAST_FREE_BYTES,
                last_asked=lambda one: self._asked.get(one, self._began),
            ):
                self._delete(folder, halves / token_hex(8))
        except OSError as error:
            # Whether there is room, the fetching finds out.
            logger.warning("No model of %s can be deleted to make room: %s", models, error)

    def _delete(self, folder: Path, aside: Path) -> None:
        """Delete a model, unless it was asked for lately: a replica may be about to load it."""
        with self._lock:
            last = self._asked.get(folder, self._began)
            if time.monotonic() - last < self._work.timing.unasked_s or not folder.exists():
                return
            aside.parent.mkdir(parents=True, exist_ok=True)
            # At once, so that no replica finds a part of it.
            folder.rename(aside)
            self._asked.pop(folder, None)
            self._known = OrderedDict(
                (asked, known) for asked, known in self._known.items() if known != folder
            )
        shutil.rmtree(aside)

    def _clear(self, halves: Path) -> None:
        """Delete what an earlier service had half fetched."""
        with self._lock:
            if halves not in self._cleared:
                self._cleared.add(halves)
                with storage_errors(halves):
                    if halves.exists():
                        shutil.rmtree(halves)


def folder_name(target: str) -> str:
    """A name that any file system takes: what can be read of the key, and a digest of it."""
    readable = re.sub(r"[^A-Za-z0-9]+", "-", target.removesuffix(".tar.gz")).strip("-")
    digest = hashlib.sha256(target.encode()).hexdigest()[:12]
    return f"{readable[-_READABLE:]}-{digest}".lstrip("-")
