"""Models, small enough for tests, behind real endpoints of a real service."""

from __future__ import annotations

import io
import json
import tarfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import pytest
from botocore.exceptions import ClientError

from clary.formats.builtin_algorithm import IMAGE
from clary.formats.converted_model import ConvertedModel
from clary.formats.launch import HostFiles
from tests.endpoint.colours import convert_colour_model, make_colour_model, picture_of
from tests.service.conftest import RunningService

SECONDS = 180.0
BUCKET = "models"
ROLE = "arn:aws:iam::000000000000:role/ClaryRole"


def packed(files: Mapping[str, bytes]) -> bytes:
    """A model.tar.gz."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        for name, content in files.items():
            about = tarfile.TarInfo(name)
            about.size = len(content)
            tar.addfile(about, io.BytesIO(content))
    return buffer.getvalue()


def runs(process: psutil.Process) -> bool:
    """Whether a process does anything: one that nobody has reaped does not."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


@dataclass
class Hosting:
    """Makes models, configurations and endpoints, and looks at their processes."""

    service: RunningService
    scratch: Path
    made: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.sagemaker = self.service.client("sagemaker")
        self.runtime = self.service.client("sagemaker-runtime")
        self.s3 = self.service.client("s3")
        self.s3.create_bucket(Bucket=BUCKET)

    def again(self) -> None:
        """Clients for the service that was started again."""
        self.sagemaker = self.service.client("sagemaker")
        self.runtime = self.service.client("sagemaker-runtime")

    def colour_model(self, name: str) -> str:
        """A picture model that knows three colours, converted already."""
        folder = make_colour_model(self.scratch / name)
        converted = ConvertedModel.of(folder, self.service.settings.cache_dir)
        if not converted.has("fp32"):
            convert_colour_model(converted)
        files = {path.name: path.read_bytes() for path in folder.iterdir()}
        return self.model(name, files, IMAGE)

    def model(self, name: str, files: Mapping[str, bytes], image: str, **container: Any) -> str:
        key = f"{name}/model.tar.gz"
        self.s3.put_object(Bucket=BUCKET, Key=key, Body=packed(files))
        about = {"Image": image, "ModelDataUrl": f"s3://{BUCKET}/{key}", **container}
        self.sagemaker.create_model(ModelName=name, ExecutionRoleArn=ROLE, PrimaryContainer=about)
        return name

    def configuration(self, name: str, model: str, count: int = 1, **more: Any) -> str:
        variant = {
            "VariantName": "AllTraffic",
            "ModelName": model,
            **more.pop("variant", {"InstanceType": "ml.m5.large", "InitialInstanceCount": count}),
        }
        self.sagemaker.create_endpoint_config(
            EndpointConfigName=name, ProductionVariants=[variant], **more
        )
        return name

    def create(self, name: str, model: str, count: int = 1, **more: Any) -> None:
        self.configuration(f"{name}-config", model, count, **more)
        self.sagemaker.create_endpoint(EndpointName=name, EndpointConfigName=f"{name}-config")
        self.made.append(name)

    def status(self, name: str) -> str:
        return str(self.sagemaker.describe_endpoint(EndpointName=name)["EndpointStatus"])

    def reach(self, name: str, status: str = "InService") -> dict[str, Any]:
        self.eventually(lambda: self.status(name) in {status, "Failed"})
        described: dict[str, Any] = self.sagemaker.describe_endpoint(EndpointName=name)
        assert described["EndpointStatus"] == status, described
        return described

    def serve(self, name: str, model: str, count: int = 1, **more: Any) -> None:
        self.create(name, model, count, **more)
        self.reach(name)

    def ask(self, name: str, colour: str = "green") -> list[float]:
        """The probabilities of the three colours."""
        answer = self.runtime.invoke_endpoint(
            EndpointName=name, ContentType="image/png", Body=picture_of(colour)
        )
        (row,) = json.loads(answer["Body"].read())
        return [float(value) for value in row]

    def hosts(self, name: str) -> dict[str, int]:
        """By instance, the host process of each replica that lives."""
        locks = (self.service.settings.endpoints_dir / name).glob("*/*/.lock")
        pids = {lock.parent.name: HostFiles(lock.parent).holder() for lock in locks}
        return {instance: pid for instance, pid in pids.items() if pid is not None}

    def processes(self, name: str) -> list[psutil.Process]:
        """Every process of an endpoint."""
        hosts = [psutil.Process(pid) for pid in self.hosts(name).values()]
        return [*hosts, *(child for host in hosts for child in host.children(recursive=True))]

    def delete(self, name: str) -> None:
        self.sagemaker.delete_endpoint(EndpointName=name)
        self.eventually(lambda: self.is_gone(name))
        self.made.remove(name)

    def is_gone(self, name: str) -> bool:
        try:
            self.sagemaker.describe_endpoint(EndpointName=name)
        except ClientError as error:
            assert error.response["Error"]["Code"] == "ValidationException"
            return True
        return False

    def eventually(self, satisfied: Callable[[], bool]) -> None:
        deadline = time.monotonic() + SECONDS
        while not satisfied():
            assert time.monotonic() < deadline, self.service.settings.service_log
            time.sleep(0.02)


@pytest.fixture(scope="module")
def hosting(service: RunningService, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Endpoints of the service of a module; what a test leaves behind is deleted."""
    hosting = Hosting(service, tmp_path_factory.mktemp("models"))
    yield hosting
    for name in tuple(hosting.made):
        hosting.delete(name)


@pytest.fixture
def own_hosting(own_service: RunningService, tmp_path: Path) -> Any:
    """Endpoints of a service that one test may kill."""
    hosting = Hosting(own_service, tmp_path)
    yield hosting
    hosting.again()
    for name in tuple(hosting.made):
        hosting.delete(name)
