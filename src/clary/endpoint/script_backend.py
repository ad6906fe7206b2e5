"""Answers by people's own handlers, which run in worker processes (`clary.endpoint.worker`)."""

from __future__ import annotations

import os
import socket
import time
from pathlib import Path
from typing import Any

from clary.cores import usable_cores
from clary.endpoint.backend import Health
from clary.endpoint.invocation import Invocation, Refusal, Reply
from clary.endpoint.worker import worker_count
from clary.endpoint.workers import Workers
from clary.errors import ModelError
from clary.formats.replica import ReplicaSettings
from clary.gpus import visible_gpus

_BAD_REQUEST = 400
_NOT_FOUND = 404
# By then a worker is there again, or the model fells each one.
_REPLACED_WITHIN_S = 30.0


class ScriptBackend:
    """A `Backend` in front of workers.

    The listener is the one whose path the workers were given; it stays the parent's. A worker
    works on one request at a time; who waits is served in the order of arrival, by whichever
    worker is free, with several models by one that has the right one loaded if there is one.
    """

    def __init__(self, settings: ReplicaSettings, listener: socket.socket) -> None:
        self._settings = settings
        self._workers = Workers(
            listener,
            worker_count(settings, os.environ),
            cores=usable_cores(),
            gpus=visible_gpus(os.environ),
        )
        self._started = False

    @property
    def capacity(self) -> int:
        """As many as there are workers."""
        return self._workers.count

    @property
    def health(self) -> Health:
        """Ready while a worker is there that has loaded its model, or has tried to.

        Where the last one has died, the next one is awaited for a while.
        """
        if not self._started:
            return Health(ready=False, reason="no worker has loaded the model yet")
        if self._workers.ready:
            return Health(ready=True)
        passing = time.monotonic() - self._workers.last_ready < _REPLACED_WITHIN_S
        return Health(ready=False, reason="the last worker has died", passing=passing)

    async def start(self) -> None:
        """Wait for the first worker.

        A model that cannot be loaded is found out by whoever asks first, as with SageMaker's
        containers; only a process that dies of it is an error here.

        Raises:
            ModelError: the workers die while they load it.
        """
        try:
            await self._workers.first()
        except ChildProcessError as error:
            raise ModelError(str(error)) from error
        self._started = True

    async def answer(self, invocation: Invocation) -> Reply:
        """Have a worker answer.

        Raises:
            Refusal: no such model, no time left, or the worker died.
        """
        told: dict[str, Any] = {
            "model": self._folder(invocation.model),
            "content_type": invocation.content_type,
            "accept": invocation.accept,
            "request_id": invocation.request_id,
            "custom_attributes": invocation.custom_attributes,
        }
        frame = await self._workers.ask(told, invocation.body, deadline=invocation.deadline)
        return Reply(
            status=frame.told["status"],
            body=frame.body,
            content_type=frame.told["content_type"],
            headers=frame.told["headers"],
            model_us=frame.told["us"],
        )

    async def close(self) -> None:
        """Let what was accepted be answered, then have the workers end."""
        await self._workers.close()

    def _folder(self, model: str | None) -> str:
        if not self._settings.multi_model:
            return self._settings.model
        if not model:
            raise Refusal(
                _BAD_REQUEST, "this endpoint has several models: say which by TargetModel"
            )
        if model in {".", ".."} or "/" in model or "\0" in model:
            raise Refusal(_BAD_REQUEST, f"{model!r} cannot be the name of a model's folder")
        folder = Path(self._settings.model, model)
        if not folder.is_dir():
            raise Refusal(_NOT_FOUND, f"there is no model {model}: it has not been fetched")
        return str(folder)
