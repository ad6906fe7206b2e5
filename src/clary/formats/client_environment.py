"""The environment in which a process's AWS is this machine.

The service gives it to the jobs that it starts, the SDK to shells, kernels and child processes.

    AWS_ENDPOINT_URL, AWS_ENDPOINT_URL_<SERVICE>    where clients go that name no endpoint
    CLARY_ENDPOINT                                  where `clary.shims` sends the others
    PYTHONPATH                                      loads `clary.shims` with the interpreter
    CLARY_HOME                                      `clary` commands and jobs use the same home
    AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY        Clary's keys
    AWS_SESSION_TOKEN                               emptied: Clary's keys have none
    AWS_DEFAULT_REGION, AWS_REGION                  the service's region
    AWS_EC2_METADATA_DISABLED                       nobody asks the network for a role
    AWS_DISABLE_HOST_PREFIX_INJECTION               no `streaming-127.0.0.1`
    AWS_IGNORE_CONFIGURED_ENDPOINT_URLS,
    AWS_USE_FIPS_ENDPOINT, AWS_USE_DUALSTACK_ENDPOINT   turned off where they are on
    SAGEMAKER_ADMIN_CONFIG_OVERRIDE                 turns the SageMaker SDK's telemetry off
    NO_PROXY, no_proxy                              no proxy leads to the service
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

from clary.formats.credentials import Credentials
from clary.formats.service_record import ServiceRecord
from clary.settings import Settings

SHIMS = Path(__file__).resolve().parent.parent / "shims"
SDK_CONFIGURATION = SHIMS / "sagemaker_sdk.yaml"

_SERVICE_ENDPOINT = "AWS_ENDPOINT_URL_"
# Only where somebody has set them: what they would do is worth undoing, not worth saying.
_OFF = (
    "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS",
    "AWS_USE_FIPS_ENDPOINT",
    "AWS_USE_DUALSTACK_ENDPOINT",
)
_PROXIES = ("HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy")
_LOOPBACK = ("127.0.0.1", "localhost")


def client_environment(
    settings: Settings,
    record: ServiceRecord,
    credentials: Credentials,
    earlier: Mapping[str, str],
) -> dict[str, str]:
    """The variables to set; an empty value stands for a variable that must not count.

    Args:
        settings: whose home the process shall use.
        record: where the service listens.
        credentials: what requests are signed with.
        earlier: the environment that the process has otherwise; its `PYTHONPATH` and `NO_PROXY`
            are kept behind what is added.
    """
    variables = {
        "AWS_ENDPOINT_URL": record.url,
        "CLARY_ENDPOINT": record.url,
        "CLARY_HOME": str(settings.home),
        "AWS_ACCESS_KEY_ID": credentials.access_key,
        "AWS_SECRET_ACCESS_KEY": credentials.secret_key,
        "AWS_DEFAULT_REGION": credentials.region,
        "AWS_REGION": credentials.region,
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_DISABLE_HOST_PREFIX_INJECTION": "true",
        "PYTHONPATH": _ahead((str(SHIMS),), earlier.get("PYTHONPATH", ""), os.pathsep),
        # Somebody's own choice stands: the SDK refuses to start without the file it names.
        "SAGEMAKER_ADMIN_CONFIG_OVERRIDE": earlier.get("SAGEMAKER_ADMIN_CONFIG_OVERRIDE")
        or str(SDK_CONFIGURATION),
    }
    if earlier.get("AWS_SESSION_TOKEN"):
        variables["AWS_SESSION_TOKEN"] = ""
    variables.update({name: "false" for name in _OFF if earlier.get(name)})
    variables.update({name: record.url for name in earlier if name.startswith(_SERVICE_ENDPOINT)})
    if any(earlier.get(name) for name in _PROXIES):
        # Some programs read the one, some the other; neither may lose what both have said.
        hosts = tuple(dict.fromkeys((*_LOOPBACK, urlsplit(record.url).hostname or "localhost")))
        excepted = earlier.get("no_proxy") or earlier.get("NO_PROXY") or ""
        for name in ("NO_PROXY", "no_proxy"):
            variables[name] = _ahead(hosts, earlier.get(name) or excepted, ",")
    return variables


def _ahead(first: tuple[str, ...], others: str, separator: str) -> str:
    rest = [part for part in others.split(separator) if part and part not in first]
    return separator.join((*first, *rest))
