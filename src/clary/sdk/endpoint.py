"""An endpoint, wherever it is: how it stands, what it serves, how it fares.

    endpoint = Endpoint(session, "photos")
    print(endpoint.description().status, endpoint.models())
    endpoint.scale("AllTraffic", replicas=2)
    endpoint.delete()

Nothing is kept but the name: every question is asked anew. Thread-safe.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

from botocore.exceptions import ClientError

from clary.errors import ServiceError, UsageError
from clary.formats.builtin_algorithm import names_image
from clary.sdk.description import Description, is_missing
from clary.sdk.log_tail import LogLine, LogTail, last_of
from clary.sdk.session import Session, spoken_faults

LOG_GROUP = "/aws/sagemaker/Endpoints/"
DEFAULT_VARIANT = "AllTraffic"
IN_SERVICE = "InService"
CHANGING = frozenset({"Creating", "Updating", "SystemUpdating", "RollingBack", "Deleting"})
# The tag of models and configurations that `deploy` has made for an endpoint.
MADE_FOR = "clary-endpoint"
POLL_SECONDS = 5.0
LOCAL_POLL_SECONDS = 0.1
DELETE_SECONDS = 120.0
LOG_POLL_SECONDS = 0.3


@dataclass(frozen=True)
class Variant:
    """A part of an endpoint: a model and the replicas that serve it. A shadow answers nobody."""

    raw: Mapping[str, Any]
    shadow: bool = False

    @property
    def name(self) -> str:
        """Its name, unique in the endpoint."""
        return str(self.raw["VariantName"])

    @property
    def weight(self) -> float:
        """Its share of the requests, by the sum of all variants' weights."""
        return float(self.raw.get("CurrentWeight", 0.0))

    @property
    def replicas(self) -> int:
        """How many serve."""
        return int(self.raw.get("CurrentInstanceCount", 0))

    @property
    def desired_replicas(self) -> int:
        """How many shall serve; 0 where they come and go by themselves."""
        return int(self.raw.get("DesiredInstanceCount", 0))

    @property
    def images(self) -> tuple[str, ...]:
        """The images of its containers."""
        deployed = self.raw.get("DeployedImages") or ()
        return tuple(str(image.get("SpecifiedImage", "")) for image in deployed)

    @property
    def is_builtin(self) -> bool:
        """Whether it is a model of Clary's, which can name its classes."""
        return bool(self.images) and all(map(names_image, self.images))


@dataclass(frozen=True)
class EndpointDescription(Description):
    """What DescribeEndpoint said about an endpoint; `raw` is all of it."""

    @property
    def name(self) -> str:
        """The endpoint's name."""
        return str(self.raw["EndpointName"])

    @property
    def arn(self) -> str:
        """The endpoint's ARN."""
        return str(self.raw["EndpointArn"])

    @property
    def status(self) -> str:
        """`Creating`, `InService`, `Updating`, `Deleting`, `Failed` and others of SageMaker's."""
        return str(self.raw["EndpointStatus"])

    @property
    def ended(self) -> bool:
        """Whether no change is under way."""
        return self.status not in CHANGING

    @property
    def config_name(self) -> str:
        """The configuration in effect."""
        return str(self.raw.get("EndpointConfigName", ""))

    @property
    def variants(self) -> tuple[Variant, ...]:
        """What it consists of, shadows last."""
        shadows = self.raw.get("ShadowProductionVariants") or ()
        return (
            *(Variant(raw) for raw in self.raw.get("ProductionVariants") or ()),
            *(Variant(raw, shadow=True) for raw in shadows),
        )

    @property
    def is_builtin(self) -> bool:
        """Whether all that answers are models of Clary's, which can name their classes."""
        answering = [one for one in self.variants if not one.shadow]
        return bool(answering) and all(one.is_builtin for one in answering)


@dataclass(frozen=True)
class ServedModel:
    """A model as CreateModel knows it: `data` is the URI of its archive, "" without one."""

    name: str
    image: str = ""
    data: str = ""
    environment: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Endpoint:
    """An endpoint by its name, in an account."""

    session: Session
    name: str

    def description(self) -> EndpointDescription:
        """How the endpoint stands.

        Raises:
            UsageError: there is no such endpoint.
            ServiceError: the service refuses or does not answer.
        """
        with spoken_faults():
            client = self.session.client("sagemaker")
            with _unless_gone():
                return EndpointDescription(client.describe_endpoint(EndpointName=self.name))
        raise UsageError(f"there is no endpoint {self.name}: see `clary endpoints`")

    @property
    def poll_seconds(self) -> float:
        """The pause between two questions: Clary answers when there is something new."""
        return POLL_SECONDS if self.session.settings is None else LOCAL_POLL_SECONDS

    def wait(self) -> EndpointDescription:
        """Wait until no change is under way.

        Raises:
            UsageError: there is no such endpoint, or not any more.
            ServiceError: the service refuses or does not answer.
        """
        while not (found := self.description()).ended:
            time.sleep(self.poll_seconds)
        return found

    def models(self, config_name: str | None = None) -> dict[str, ServedModel]:
        """What each variant serves, by its name.

        Args:
            config_name: of a configuration; the one in effect by default.

        Raises:
            UsageError: there is no such endpoint.
            ServiceError: the service refuses or does not answer.
        """
        config_name = config_name or self.description().config_name
        client = self.session.client("sagemaker")
        found: dict[str, ServedModel] = {}
        # Configurations and models may be deleted while they are in effect.
        with spoken_faults(), _unless_gone():
            config = client.describe_endpoint_config(EndpointConfigName=config_name)
            shadows = config.get("ShadowProductionVariants") or ()
            for variant in (*config["ProductionVariants"], *shadows):
                found[variant["VariantName"]] = _described(client, variant["ModelName"])
        return found

    def tail(self) -> LogTail:
        """What reads its replicas' logs as they come; `host` is VARIANT/INSTANCE."""
        return LogTail(self.session, LOG_GROUP + self.name)

    def lines(self, *, follow: bool = False, last: int | None = None) -> Iterator[LogLine]:
        """What the replicas have said, each one's lines in their order.

        Args:
            follow: go on with what comes, until the endpoint is gone.
            last: begin with so many of the last lines; with all of them when None.

        Raises:
            UsageError: there is no such endpoint, or the number is negative.
            ServiceError: the service refuses or does not answer.
        """
        self.description()
        tail = self.tail()
        said = tail.new_lines()
        yield from said if last is None else last_of(said, last)
        while follow:
            time.sleep(LOG_POLL_SECONDS)
            yield from tail.new_lines()
            with suppress(UsageError):
                self.description()
                continue
            return

    def scale(
        self, variant: str, *, replicas: int | None = None, weight: float | None = None
    ) -> None:
        """Ask for another number of replicas, or another share of the requests.

        Raises:
            ServiceError: the service refuses it.
        """
        wanted: dict[str, Any] = {"VariantName": variant}
        if replicas is not None:
            wanted["DesiredInstanceCount"] = replicas
        if weight is not None:
            wanted["DesiredWeight"] = weight
        with spoken_faults():
            self.session.client("sagemaker").update_endpoint_weights_and_capacities(
                EndpointName=self.name, DesiredWeightsAndCapacities=[wanted]
            )

    def delete(self) -> None:
        """End the endpoint, and forget what `deploy` has made for it; returns when it is gone.
        Requests under way are answered. Archives in S3 stay.

        Raises:
            UsageError: there is no such endpoint.
            ServiceError: the service refuses it, or it is not gone in time.
        """
        found = self.description()
        models = self.models(found.config_name)
        with spoken_faults():
            if found.status != "Deleting":
                self.session.client("sagemaker").delete_endpoint(EndpointName=self.name)
        deadline = time.monotonic() + DELETE_SECONDS
        with suppress(UsageError):
            while self.description().status == "Deleting":
                if time.monotonic() > deadline:
                    raise ServiceError(
                        f"the endpoint {self.name} is still being deleted after "
                        f"{DELETE_SECONDS:.0f} seconds: see `clary logs`"
                    )
                time.sleep(self.poll_seconds)
        self.forget(found.config_name, (served.name for served in models.values()))

    def forget(self, config_name: str, models: Iterable[str]) -> None:
        """Remove a configuration and models where `deploy` has made them for this endpoint.

        Args:
            config_name: not in effect any more.
            models: the names of those that it served.

        Raises:
            ServiceError: the service refuses or does not answer.
        """
        client = self.session.client("sagemaker")
        with spoken_faults(), _unless_gone():
            config = client.describe_endpoint_config(EndpointConfigName=config_name)
            if self._made(client, config["EndpointConfigArn"]):
                client.delete_endpoint_config(EndpointConfigName=config_name)
        for model in set(models):
            with spoken_faults(), _unless_gone():
                described = client.describe_model(ModelName=model)
                if self._made(client, described["ModelArn"]):
                    client.delete_model(ModelName=model)

    def _made(self, client: Any, arn: str) -> bool:
        tags = client.list_tags(ResourceArn=arn)["Tags"]
        return any(tag["Key"] == MADE_FOR and tag["Value"] == self.name for tag in tags)


def _described(client: Any, name: str) -> ServedModel:
    found: dict[str, Any] = {}
    with _unless_gone():
        found = client.describe_model(ModelName=name)
    container = found.get("PrimaryContainer") or (found.get("Containers") or [{}])[0]
    source = (container.get("ModelDataSource") or {}).get("S3DataSource") or {}
    return ServedModel(
        name,
        str(container.get("Image", "")),
        str(container.get("ModelDataUrl") or source.get("S3Uri") or ""),
        dict(container.get("Environment") or {}),
    )


@contextmanager
def _unless_gone() -> Iterator[None]:
    """Skip the rest where something is not there."""
    try:
        yield
    except ClientError as error:
        if not is_missing(error):
            raise
