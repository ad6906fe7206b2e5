"""Models of Clary's, answered by threads: decode, crop, through the network, encode."""

from __future__ import annotations

import asyncio
import io
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image

from clary.endpoint.backend import Health
from clary.endpoint.batching import Batcher
from clary.endpoint.codecs import (
    AnswerForm,
    Limits,
    Picture,
    decode_request,
    encode_answer,
    negotiate,
)
from clary.endpoint.invocation import Invocation, Refusal, Reply
from clary.endpoint.picture_models import LoadedModel, OpenRuntime, PictureModels
from clary.endpoint.runtimes import Stream, open_runtime
from clary.errors import ModelError
from clary.formats.replica import ReplicaSettings

# A host that keeps a request from being answered takes a thread of these, not of the model.
_FETCHERS = 16
_FAILURES = 3
_TRIAL_S = 60.0
_HEALING_S = 1.0
_NO_NUMBERS = "it answers with numbers that are none (NaN)"

Crops = npt.NDArray[np.uint8]
_NONE = np.empty((0, 0), np.float32)
_PLAIN = AnswerForm("application/json")
CountBatch = Callable[[int], None]


@dataclass(frozen=True)
class _Asked:
    """An invocation, the model that it means, and its pictures where they are known already.

    `form` is what it is answered in.
    """

    invocation: Invocation
    model: LoadedModel
    form: AnswerForm = _PLAIN
    pictures: Sequence[Picture] | None = None
    is_trial: bool = False


class PictureBackend:
    """Answers with probabilities. See `clary.endpoint.backend.Backend`."""

    def __init__(
        self,
        settings: ReplicaSettings,
        count_batch: CountBatch | None = None,
        opens: OpenRuntime = open_runtime,
        complain: Callable[[str], None] = print,
    ) -> None:
        """Load nothing yet.

        Args:
            settings: the replica's.
            count_batch: is told of how many pictures went through at once; on any thread.
            opens: how a model is opened.
            complain: takes a line about what is slower than it could be.
        """
        self._settings = settings
        self._count_batch = count_batch or (lambda _: None)
        self._largest = settings.max_batch
        self._limits = Limits(
            allow_urls=settings.allow_urls,
            private_urls=settings.private_urls,
        )
        self._models = PictureModels(settings, opens)
        self._only: LoadedModel | None = None
        self._batcher: Batcher[_Asked, Reply] | None = None
        # Invocations that are not answered yet; threads only look at it.
        self._under_way = 0
        self._fetchers = ThreadPoolExecutor(_FETCHERS, "fetch") if settings.allow_urls else None
        self._complain = complain
        self._tasks: list[asyncio.Task[None]] = []

    @property
    def capacity(self) -> int:
        """How many invocations are worked on at once."""
        return self._models.threads * self._largest

    @property
    def health(self) -> Health:
        """Ready once the model has answered, and until it fails several times running, the last
        time at a picture that is known to be one."""
        if self._batcher is None:
            return Health(ready=False, reason="the model is being loaded")
        # Of several models, one that fails keeps nobody from the others.
        if self._only is not None and self._only.failing:
            return Health(ready=False, reason=f"the model fails: {self._only.failure}")
        return Health(ready=True)

    async def start(self) -> None:
        """Load the model, and have each thread answer a picture.

        Raises:
            ClaryError: the model cannot be loaded, or its answer is none.
        """
        if not self._settings.multi_model:
            self._only = await self._models.load_only()
            self._largest = min(self._settings.max_batch, self._only.runtime.batch_wanted)
        batcher: Batcher[_Asked, Reply] = Batcher(
            [self._work] * self._models.threads, self._largest
        )
        if self._only is not None:
            try:
                for _ in range(self._only.streams):
                    await self._try(self._only)
            except BaseException:
                await batcher.close()
                raise
        self._batcher = batcher
        loop = asyncio.get_running_loop()
        self._tasks.append(loop.create_task(self._heal()))
        # Whoever says how many threads shall answer means no more than these.
        if self._only is not None and self._settings.workers is None:
            self._tasks.append(loop.create_task(self._open_whole(self._only)))

    async def answer(self, invocation: Invocation) -> Reply:
        """Answer an invocation, waiting for a turn.

        Raises:
            Refusal: the request is to blame, or the model.
        """
        assert self._batcher is not None
        form = negotiate(invocation.accept)
        model = self._only or await self._models.get(invocation.model)
        pictures = None
        if self._fetchers is not None and _names_urls(invocation):
            pictures = await asyncio.get_running_loop().run_in_executor(
                self._fetchers, decode_request, invocation, self._limits
            )
        self._under_way += 1
        try:
            return await self._batcher.ask(_Asked(invocation, model, form, pictures))
        finally:
            self._under_way -= 1

    async def close(self) -> None:
        """Answer what was accepted, then let the threads go."""
        for task in self._tasks:
            task.cancel()
        if self._batcher is not None:
            await self._batcher.close()
        self._models.close()
        if self._fetchers is not None:
            self._fetchers.shutdown(wait=False, cancel_futures=True)

    async def _heal(self) -> None:
        """Try a model that fails now and then: nobody else asks it any more."""
        while True:
            await asyncio.sleep(_HEALING_S)
            if self._batcher is not None and self._only and self._only.failing:
                with suppress(Exception):  # it is told by `health`
                    await self._batcher.ask(_Asked(_trial(), self._only, is_trial=True))

    async def _open_whole(self, model: LoadedModel) -> None:
        """Once requests are answered already: a replica is there sooner."""
        try:
            await asyncio.to_thread(model.open_whole)
        except Exception as error:  # noqa: BLE001 - requests are answered all the same
            self._complain(f"clary: a request that comes alone gets one core only: {error}")

    async def _try(self, model: LoadedModel) -> None:
        """Have the stream whose turn it is answer a picture, the whole way."""
        trial = [_Asked(_trial(), model, is_trial=True)]
        (answer,) = await asyncio.to_thread(self._classify, model, trial, alone=False)
        if isinstance(answer, Exception):
            raise ModelError(f"the model does not answer: {answer}") from answer

    def _work(self, batch: Sequence[_Asked]) -> list[Reply | Exception]:
        """Answer a batch; on any thread."""
        alone = self._under_way <= len(batch)
        answers: dict[int, Reply | Exception] = {}
        models: dict[int, list[int]] = {}
        for place, asked in enumerate(batch):
            models.setdefault(id(asked.model), []).append(place)
        for places in models.values():
            model = batch[places[0]].model
            given = self._classify(model, [batch[place] for place in places], alone=alone)
            answers.update(zip(places, given, strict=True))
        return [answers[place] for place in range(len(batch))]

    def _classify(
        self, model: LoadedModel, batch: Sequence[_Asked], *, alone: bool
    ) -> list[Reply | Exception]:
        begun = time.perf_counter()
        crops: list[Crops] = []
        spans: list[range | Exception] = []
        for asked in batch:
            try:
                own = self._crops(asked)
            except Exception as error:  # noqa: BLE001 - it is the answer to this one alone
                spans.append(error)
            else:
                spans.append(range(len(crops), len(crops) + len(own)))
                crops += own
        asking = [one for one, span in zip(batch, spans, strict=True) if isinstance(span, range)]
        waiting = time.perf_counter()
        try:
            probabilities = _NONE
            if crops:
                with model.stream(alone=alone) as stream:
                    begun += time.perf_counter() - waiting
                    asked_for = not any(asked.is_trial for asked in batch)
                    probabilities = self._through(stream, crops, counted=asked_for)
        except Exception as error:  # noqa: BLE001 - it is the answer to what it fails for
            if len(asking) > 1:
                singly = [self._classify(model, [one], alone=alone)[0] for one in asking]
                return [span if isinstance(span, Exception) else singly.pop(0) for span in spans]
            if asking:
                self._failed(model, asking[0], str(error))
            failed = Refusal(500, f"the network failed: {error}")
            return [span if isinstance(span, Exception) else failed for span in spans]
        model_us = int((time.perf_counter() - begun) * 1e6)
        answers: list[Reply | Exception] = []
        for asked, span in zip(batch, spans, strict=True):
            if isinstance(span, Exception):
                answers.append(span)
                continue
            rows = probabilities[span.start : span.stop]
            if not np.isfinite(rows).all():
                self._failed(model, asked, _NO_NUMBERS)
                answers.append(Refusal(500, f"the network failed: {_NO_NUMBERS}"))
                continue
            model.failures, model.failing = 0, False
            body = encode_answer(rows, model.runtime.classes, asked.form)
            answers.append(Reply(200, body, asked.form.content_type, model_us=model_us))
        return answers

    def _failed(self, model: LoadedModel, asked: _Asked, why: str) -> None:
        """Count it; a model that seems to fail at everything is asked whether it really does."""
        model.failures += 1
        model.failure = why
        if asked.is_trial:
            model.failing = True
        elif model.failures >= _FAILURES and not model.failing:
            self._classify(model, [_Asked(_trial(), model, is_trial=True)], alone=False)

    def _crops(self, asked: _Asked) -> list[Crops]:
        invocation = asked.invocation
        if time.monotonic() > invocation.deadline:
            raise Refusal(504, "the request's time was over before its turn came")
        pictures = asked.pictures
        if pictures is None:
            pictures = decode_request(invocation, self._limits)
        return [asked.model.crop(picture) for picture in pictures]

    def _through(
        self, stream: Stream, crops: list[Crops], *, counted: bool
    ) -> npt.NDArray[np.float32]:
        parts = []
        for start in range(0, len(crops), self._settings.max_batch):
            some = crops[start : start + self._settings.max_batch]
            parts.append(stream.probabilities(np.stack(some)))
            if counted:
                self._count_batch(len(some))
        return parts[0] if len(parts) == 1 else np.concatenate(parts)


def _names_urls(invocation: Invocation) -> bool:
    """Whether a request may have pictures fetched; its letters may be written as escapes."""
    if "json" not in invocation.content_type.lower():
        return False
    return b'"url"' in invocation.body or b"\\u" in invocation.body


def _trial() -> Invocation:
    """A picture of nothing."""
    picture = io.BytesIO()
    Image.effect_noise((64, 48), 64).convert("RGB").save(picture, "JPEG")
    return Invocation(picture.getvalue(), "image/jpeg", "", time.monotonic() + _TRIAL_S)
