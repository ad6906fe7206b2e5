"""Who one is, and temporary credentials that hold until they expire."""

from __future__ import annotations

import time
import urllib.request
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from botocore.exceptions import ClientError

from clary.formats.credentials import Credentials
from clary.service.keys import ExpiredToken, InvalidToken, KeyRing, UnknownKey
from tests.service.conftest import RunningService


def test_the_caller_is_an_assumed_role(service: RunningService) -> None:
    identity = service.client("sts").get_caller_identity()
    assert identity["Account"] == "000000000000"
    assert identity["Arn"] == "arn:aws:sts::000000000000:assumed-role/ClaryRole/clary"
    assert identity["UserId"].endswith(":clary")
    assert identity["ResponseMetadata"]["RequestId"]


def temporary(service: RunningService, issued: dict[str, Any]) -> Any:
    return service.session(
        aws_access_key_id=issued["AccessKeyId"],
        aws_secret_access_key=issued["SecretAccessKey"],
        aws_session_token=issued["SessionToken"],
    ).client("sts", endpoint_url=service.url)


def test_an_assumed_role_acts_under_its_own_name(own_service: RunningService) -> None:
    service = own_service
    answer = service.client("sts").assume_role(
        RoleArn="arn:aws:iam::123456789012:role/service-role/SomeRole", RoleSessionName="mine"
    )
    caller = "arn:aws:sts::123456789012:assumed-role/SomeRole/mine"
    assert answer["AssumedRoleUser"]["Arn"] == caller
    left = answer["Credentials"]["Expiration"] - datetime.now(tz=timezone.utc)
    assert timedelta(minutes=58) < left <= timedelta(hours=1)
    identity = temporary(service, answer["Credentials"]).get_caller_identity()
    assert identity["Arn"] == caller
    assert identity["Account"] == "123456789012"
    service.kill()
    service.restart()
    assert temporary(service, answer["Credentials"]).get_caller_identity()["Arn"] == caller


def test_a_session_token_acts_as_its_caller(service: RunningService) -> None:
    issued = service.client("sts").get_session_token()["Credentials"]
    identity = temporary(service, issued).get_caller_identity()
    assert identity["Arn"] == "arn:aws:sts::000000000000:assumed-role/ClaryRole/clary"


def test_temporary_credentials_need_their_own_token(service: RunningService) -> None:
    sts = service.client("sts")
    one, other = (sts.get_session_token()["Credentials"] for _ in range(2))
    with pytest.raises(ClientError) as caught:
        temporary(service, {**one, "SessionToken": other["SessionToken"]}).get_caller_identity()
    assert caught.value.response["Error"]["Code"] == "InvalidClientTokenId"


def test_a_presigned_request_says_who_signed_it(service: RunningService) -> None:
    sts = service.client("sts")
    url = sts.generate_presigned_url("get_caller_identity", HttpMethod="GET")
    with urllib.request.urlopen(url) as answer:
        assert b"assumed-role/ClaryRole/clary" in answer.read()


def test_a_role_that_is_none_is_refused(service: RunningService) -> None:
    with pytest.raises(ClientError, match="is invalid"):
        service.client("sts").assume_role(
            RoleArn="arn:aws:iam::12:user/somebody-else", RoleSessionName="mine"
        )


def test_the_ring_tells_apart_what_is_wrong() -> None:
    ring = KeyRing(Credentials.generate("us-east-1"))
    issued = ring.issue("arn:aws:sts::000000000000:assumed-role/A/b", 3600)
    assert ring.find(issued.access_key, issued.session_token).secret == issued.secret_key
    with pytest.raises(UnknownKey):
        ring.find("AKIAIOSFODNN7EXAMPLE", None)
    for token in (None, "", "not base64", issued.session_token[:-8]):
        with pytest.raises(InvalidToken):
            ring.find(issued.access_key, token)
    with pytest.raises(InvalidToken):
        KeyRing(Credentials.generate("us-east-1")).find(issued.access_key, issued.session_token)
    brief = ring.issue("arn", 0)
    time.sleep(0.01)
    with pytest.raises(ExpiredToken):
        ring.find(brief.access_key, brief.session_token)
