"""The service models that botocore brings, loaded when first asked for."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from threading import Lock

from botocore.loaders import Loader
from botocore.model import OperationModel, ServiceModel, Shape

__all__ = ["SERVICES", "OperationModel", "Service", "ServiceModel", "Shape", "service_model"]


@dataclass(frozen=True)
class Service:
    """How requests name a service that Clary offers.

    `signing_name` is the service of the SigV4 scope, `target_prefix` what X-Amz-Target begins
    with, `version` the Version of its query protocol.
    """

    name: str
    signing_name: str
    protocol: str
    target_prefix: str | None = None
    version: str | None = None


SERVICES: dict[str, Service] = {
    service.name: service
    for service in (
        Service("sagemaker", "sagemaker", "json", target_prefix="SageMaker"),
        Service("sagemaker-runtime", "sagemaker", "rest-json"),
        Service("sagemaker-metrics", "sagemaker", "rest-json"),
        Service("s3", "s3", "rest-xml"),
        Service("sts", "sts", "query", version="2011-06-15"),
        Service("iam", "iam", "query", version="2010-05-08"),
        Service(
            "cloudwatch",
            "monitoring",
            "query",
            target_prefix="GraniteServiceVersion20100801",
            version="2010-08-01",
        ),
        Service(
            "application-autoscaling",
            "application-autoscaling",
            "json",
            target_prefix="AnyScaleFrontendService",
        ),
        Service("logs", "logs", "json", target_prefix="Logs_20140328"),
    )
}

_loading = Lock()


def service_model(name: str) -> ServiceModel:
    """The model of a service in `SERVICES`. Safe from any thread; a model is loaded once."""
    with _loading:
        return _load(name)


@cache
def _load(name: str) -> ServiceModel:
    # Only what botocore ships: models in ~/.aws/models are meant for the user's clients.
    loader = Loader([Loader.BUILTIN_DATA_PATH], include_default_search_paths=False)
    return ServiceModel(loader.load_service_model(name, "service-2"), service_name=name)
