"""AWS clients for Clary on this machine, or for AWS: everything in the SDK takes one.

    Session.on_this_machine(settings)      starts the service when it does not run
    Session(boto3.Session(), role=…)       AWS, or whatever the environment says

Thread-safe, as boto3's clients are.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any
from urllib.parse import quote

import boto3
from boto3.exceptions import Boto3Error
from botocore.config import Config
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    HTTPClientError,
    NoCredentialsError,
    NoRegionError,
)
from botocore.exceptions import ConnectionError as NoConnection

from clary.errors import ServiceError, ServiceUnreachable, UsageError
from clary.formats.credentials import Credentials
from clary.formats.service_record import ServiceRecord
from clary.sdk.office import ensure_running
from clary.settings import Settings

LOCAL_ROLE = "arn:aws:iam::000000000000:role/ClaryRole"
FOLDER_HEADER = "x-clary-folder"
_BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")


class Session:
    """Clients of one account and region.

    Args:
        boto_session: gives keys and region.
        role: what training jobs run as; needed to start one on AWS.
        endpoint: where every client goes; AWS, or what the environment says, when None.
        settings: of the home that the endpoint serves; None where it is not on this machine.
    """

    def __init__(
        self,
        boto_session: boto3.Session,
        *,
        role: str | None = None,
        endpoint: str | None = None,
        settings: Settings | None = None,
    ) -> None:
        self.boto_session = boto_session
        self.endpoint = endpoint
        self.settings = settings
        self._role = role
        self._clients: dict[str, Any] = {}
        self._lock = threading.Lock()

    @classmethod
    def on_this_machine(
        cls, settings: Settings | None = None, *, record: ServiceRecord | None = None
    ) -> Session:
        """A session with the service of a home.

        Args:
            settings: whose home; read from the environment when not given.
            record: where the service listens; found out, and started when it does not run.

        Raises:
            ServiceError: the service cannot be started.
            StorageError: the home cannot be written.
            FormatError: a file of the service is damaged, or of a later version.
        """
        settings = settings or Settings.from_environment()
        record = record or ensure_running(settings)
        credentials = Credentials.ensure(settings)
        boto_session = boto3.Session(
            aws_access_key_id=credentials.access_key,
            aws_secret_access_key=credentials.secret_key,
            region_name=credentials.region,
        )
        return cls(boto_session, role=LOCAL_ROLE, endpoint=record.url, settings=settings)

    def client(self, service: str) -> Any:
        """The boto3 client of a service, such as `sagemaker`; made once."""
        with self._lock:
            if service not in self._clients:
                # No proxy leads to this machine; an empty mapping keeps botocore from asking.
                config = Config(proxies={}) if self.endpoint else None
                self._clients[service] = self.boto_session.client(
                    service, endpoint_url=self.endpoint, config=config
                )
            return self._clients[service]

    def reconnect(self) -> None:
        """Go on with the service of this machine after it was lost; one that was killed is started.

        Raises:
            ServiceUnreachable: it was stopped by intent, or is not on this machine.
            ServiceError: it cannot be started.
            StorageError: the home cannot be written.
            FormatError: a file of the service is damaged, or of a later version.
        """
        if self.settings is None:
            raise ServiceUnreachable(
                f"{self.endpoint or 'AWS'} does not answer any more: try again"
            )
        # A service that ends by intent takes its record away.
        if not self.settings.service_file.exists():
            raise ServiceUnreachable("the Clary service was stopped")
        record = ensure_running(self.settings)
        with self._lock:
            self.endpoint = record.url
            self._clients.clear()

    @property
    def region(self) -> str:
        """The region of all clients."""
        return str(self.boto_session.region_name)

    @property
    def role(self) -> str:
        """What training jobs run as.

        Raises:
            UsageError: the session was made without one.
        """
        if self._role is None:
            raise UsageError(
                "on AWS a training job needs an IAM role: make the session with "
                "role='arn:aws:iam::…:role/…'"
            )
        return self._role

    @cached_property
    def default_bucket(self) -> str:
        """The bucket `sagemaker-<region>-<account>`, made when it is missing.

        Raises:
            ServiceError: it cannot be made, or belongs to somebody else.
        """
        with spoken_faults():
            account = self.client("sts").get_caller_identity()["Account"]
            bucket = f"sagemaker-{self.region}-{account}"
            self.create_bucket(bucket)
        return bucket

    def create_bucket(self, bucket: str) -> None:
        """Make a bucket, unless it is there.

        Raises:
            ServiceError: it belongs to somebody else, or the name is not allowed.
        """
        s3 = self.client("s3")
        where: dict[str, Any] = {}
        if self.region != "us-east-1":
            where["CreateBucketConfiguration"] = {"LocationConstraint": self.region}
        with spoken_faults():
            try:
                s3.create_bucket(Bucket=bucket, **where)
            except s3.exceptions.BucketAlreadyOwnedByYou:
                return

    def link_folder(self, bucket: str, folder: Path) -> None:
        """Serve a folder of this machine in place, as a bucket that can only be read.

        Raises:
            ServiceError: the name is taken by another bucket, or the folder cannot be served.
            UsageError: the session is not with Clary on this machine, or no bucket may have that
                name.
        """
        if self.settings is None:
            raise UsageError("only Clary on this machine serves a folder in place: upload it")
        if not _BUCKET.fullmatch(bucket):
            raise UsageError(
                f"the bucket's name is {bucket!r} but must be 3 to 63 lower-case letters, digits "
                "and inner hyphens or dots, such as ants-and-bees"
            )
        client = self.boto_session.client(
            "s3", endpoint_url=self.endpoint, config=Config(proxies={})
        )
        header = quote(str(folder.absolute()))
        client.meta.events.register(
            "before-sign.s3.CreateBucket",
            lambda request, **_: request.headers.add_header(FOLDER_HEADER, header),
        )
        with spoken_faults():
            client.create_bucket(Bucket=bucket)


@contextmanager
def spoken_faults() -> Iterator[None]:
    """Turn what a service or botocore complains about into one sentence.

    Raises:
        UsageError: the environment gives no region or no keys of AWS.
        ServiceUnreachable: in place of their errors about connections.
        ServiceError: in place of any other error of theirs.
    """
    try:
        yield
    except ClientError as error:
        fault = error.response.get("Error", {})
        raise ServiceError(
            f"{error.operation_name} was refused: {fault.get('Message') or fault.get('Code')}"
        ) from error
    except (NoConnection, HTTPClientError) as error:
        raise ServiceUnreachable(" ".join(str(error).split())) from error
    except NoRegionError as error:
        raise UsageError(
            "no region of AWS is given: set AWS_DEFAULT_REGION, such as us-east-1"
        ) from error
    except NoCredentialsError as error:
        raise UsageError(
            "no keys of AWS are found: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or "
            "AWS_PROFILE"
        ) from error
    except (BotoCoreError, Boto3Error) as error:
        raise ServiceError(" ".join(str(error).split())) from error
