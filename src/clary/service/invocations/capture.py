"""Captured requests and answers: JSON lines in S3, for those who watch what a model is asked.

An object holds what came in a few seconds, under
`<destination>/<endpoint>/<variant>/YYYY/MM/DD/HH/MM-SS-mmm-<id>.jsonl`. What was not stored yet
is lost with a kill.
"""

from __future__ import annotations

import base64
import io
import json
import logging
import random
import threading
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

from clary.errors import ClaryError

if TYPE_CHECKING:
    from clary.object_store.store import ObjectStore

STORED_EVERY_S = 5.0
# Above this, what is gathered is stored at once.
_GATHERED_BYTES = 8 << 20
_MEDIA_TYPE = "application/x-jsonlines"

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Captured:
    """A request and its answer, as they are captured."""

    endpoint: str
    variant: str
    event_id: str
    request: bytes
    request_type: str
    answer: bytes
    answer_type: str
    inference_id: str | None = None
    custom_attributes: str | None = None


class Capture:
    """Gathers lines and stores them. Any thread may call."""

    def __init__(self, store: ObjectStore) -> None:
        self._store = store
        self._lock = threading.Lock()
        self._gathered: dict[tuple[str, str, str], list[str]] = {}
        self._bytes = 0

    def add(self, config: Mapping[str, Any], captured: Captured) -> None:
        """Capture an invocation, if the configuration wants it and the draw says so."""
        if not wanted(config):
            return
        place = config["DestinationS3Uri"], captured.endpoint, captured.variant
        line = json.dumps(event(config, captured, time.time()), ensure_ascii=False)
        with self._lock:
            self._gathered.setdefault(place, []).append(line)
            self._bytes += len(line)
            full = self._bytes >= _GATHERED_BYTES
        if full:
            self.store()

    def store(self) -> None:
        """Put what was gathered into S3; what cannot be put is lost, and the log says so."""
        with self._lock:
            gathered, self._gathered, self._bytes = self._gathered, {}, 0
        for (destination, endpoint, variant), lines in gathered.items():
            bucket, _, prefix = destination.removeprefix("s3://").partition("/")
            moment = datetime.now(timezone.utc)
            key = "/".join(
                [
                    *filter(None, [prefix.strip("/")]),
                    endpoint,
                    variant,
                    moment.strftime("%Y/%m/%d/%H"),
                    f"{moment:%M-%S}-{moment.microsecond // 1000:03}-{uuid.uuid4()}.jsonl",
                ]
            )
            body = io.BytesIO("".join(f"{line}\n" for line in lines).encode("utf-8", "replace"))
            try:
                self._store.put(bucket, key, body, content_type=_MEDIA_TYPE)
            except ClaryError as error:
                logger.warning("%d captured invocations are lost: %s", len(lines), error)


def wanted(config: Mapping[str, Any]) -> bool:
    """Whether this one is captured: all are, or as many in a hundred as were asked for."""
    if not config["EnableCapture"]:
        return False
    return random.random() * 100 < float(config["InitialSamplingPercentage"])


def event(config: Mapping[str, Any], captured: Captured, at_s: float) -> dict[str, Any]:
    """A captured invocation as SageMaker writes it, of the time `at_s` (seconds since 1970)."""
    modes = {option["CaptureMode"] for option in config["CaptureOptions"]}
    data = {}
    if modes & {"Input", "InputAndOutput"}:
        data["endpointInput"] = _side(config, "INPUT", captured.request, captured.request_type)
    if modes & {"Output", "InputAndOutput"}:
        data["endpointOutput"] = _side(config, "OUTPUT", captured.answer, captured.answer_type)
    moment = datetime.fromtimestamp(int(at_s), timezone.utc)
    told: dict[str, Any] = {"eventId": captured.event_id}
    if captured.inference_id:
        told["inferenceId"] = captured.inference_id
    if captured.custom_attributes:
        told["customAttributes"] = [captured.custom_attributes]
    told["inferenceTime"] = f"{moment:%Y-%m-%dT%H:%M:%SZ}"
    return {"captureData": data, "eventMetadata": told, "eventVersion": "0"}


def _side(config: Mapping[str, Any], mode: str, data: bytes, media_type: str) -> dict[str, str]:
    encoding, text = _encoded(config.get("CaptureContentTypeHeader") or {}, data, media_type)
    return {"observedContentType": media_type, "mode": mode, "data": text, "encoding": encoding}


def _encoded(types: Mapping[str, Any], data: bytes, media_type: str) -> tuple[str, str]:
    plain = media_type.partition(";")[0].strip().lower()
    for encoding, member in (("CSV", "CsvContentTypes"), ("JSON", "JsonContentTypes")):
        if plain in {one.lower() for one in types.get(member, ())}:
            try:
                return encoding, data.decode("utf-8")
            except UnicodeDecodeError:
                break  # it is not what it says: kept as bytes
    return "BASE64", base64.b64encode(data).decode("ascii")
