"""kill -9 of the service while clients write: no half object is served afterwards."""

from __future__ import annotations

import hashlib
import random
import threading
import time
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from tests.service.conftest import RunningService

KILLS = 5
KEYS = ("a", "a/b", "c//d", "e/f")


def write_until_it_dies(s3: Any, number: int, done: dict[str, str]) -> None:
    """Overwrite keys of one's own; `done` has what was acknowledged last."""
    chance = random.Random(number)
    while True:
        body = chance.randbytes(chance.choice([0, 100, 200_000, 2_000_000]))
        digest = hashlib.sha256(body).hexdigest()
        key = f"{number}/{chance.choice(KEYS)}"
        try:
            s3.put_object(Bucket="kept", Key=key, Body=body, Metadata={"sha256": digest})
        except (BotoCoreError, ClientError):
            done[key] = "either"
            return
        done[key] = digest


def test_what_was_acknowledged_is_there_and_whole(own_service: RunningService) -> None:
    own_service.client("s3").create_bucket(Bucket="kept")
    done: dict[str, str] = {}
    for turn in range(KILLS):
        clients = [own_service.client("s3") for _ in range(4)]
        writers = [
            threading.Thread(target=write_until_it_dies, args=(s3, number, done))
            for number, s3 in enumerate(clients)
        ]
        for writer in writers:
            writer.start()
        time.sleep(random.Random(turn).uniform(0.1, 0.6))
        own_service.kill()
        for writer in writers:
            writer.join()
        own_service.start(own_service.port)
        s3 = own_service.client("s3")
        found = set()
        for entry in s3.list_objects_v2(Bucket="kept").get("Contents", []):
            answer = s3.get_object(Bucket="kept", Key=entry["Key"])
            digest = hashlib.sha256(answer["Body"].read()).hexdigest()
            assert digest == answer["Metadata"]["sha256"]
            assert done[entry["Key"]] in {digest, "either"}
            found.add(entry["Key"])
        assert {key for key, digest in done.items() if digest != "either"} <= found
        done = {key: digest for key, digest in done.items() if key in found}
