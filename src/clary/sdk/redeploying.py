"""Another model into an endpoint that runs: in place of a variant's, or as a variant more.

    redeploy(endpoint, ModelChoice("better/model.tar.gz"))
    redeploy(endpoint, ModelChoice("better/model.tar.gz"), variant="better", weight=0.1)

The earlier model answers until the new one does, and stays where the new one fails.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from clary.errors import UsageError
from clary.sdk.deploying import (
    ModelChoice,
    create_config,
    create_model,
    require_names,
    require_service,
    usual_instance,
)
from clary.sdk.endpoint import Endpoint, EndpointDescription
from clary.sdk.model_sources import bring
from clary.sdk.session import spoken_faults

# What a new configuration keeps of the earlier one, beside its variants.
_KEPT = ("DataCaptureConfig", "AsyncInferenceConfig", "ShadowProductionVariants", "KmsKeyId")
_NEW_VARIANT = {"InitialInstanceCount": 1, "InitialVariantWeight": 1.0}


def redeploy(
    endpoint: Endpoint,
    choice: ModelChoice,
    *,
    variant: str | None = None,
    replicas: int | None = None,
    weight: float | None = None,
    wait: bool = True,
    watch: Callable[[], EndpointDescription] | None = None,
) -> EndpointDescription:
    """Put a model into an endpoint that runs: in place of a variant's, or as a variant more.

    The earlier model answers until the new one does, and stays where the new one fails.

    Args:
        endpoint: what is changed.
        choice: what to serve.
        variant: whose model is replaced, or the name of a new one; may be left out where there
            is only one.
        replicas: how many copies of it answer; as many as before by default, 1 of a new one.
        weight: its share of the requests; as before by default, 1 of a new one.
        wait: return when the change is over, and forget what is not in effect any more.
        watch: waits in place of `Endpoint.wait`.

    Raises:
        UsageError: there is no such endpoint or model, or no variant is named among several.
        ServiceError: the service refuses the change, or has taken it back.
    """
    found = endpoint.description()
    name = variant or only_variant(found)
    require_names(None, name, 1 if replicas is None else replicas)
    earlier = {served.name for served in endpoint.models(found.config_name).values()}
    source = bring(endpoint.session, choice.model)
    client = endpoint.session.client("sagemaker")
    with spoken_faults():
        before = client.describe_endpoint_config(EndpointConfigName=found.config_name)
    model = create_model(endpoint, choice, source)
    variants = _current_variants(found, before)
    changes = {
        "ModelName": model,
        "InitialInstanceCount": replicas,
        "InitialVariantWeight": weight,
    }
    variants[name] = {
        "VariantName": name,
        **(variants.get(name) or {**_NEW_VARIANT, "InstanceType": usual_instance()}),
        **{key: value for key, value in changes.items() if value is not None},
    }
    try:
        kept = {key: before[key] for key in _KEPT if before.get(key)}
        create_config(endpoint, model, list(variants.values()), kept)
        with spoken_faults():
            client.update_endpoint(EndpointName=endpoint.name, EndpointConfigName=model)
    except BaseException:
        endpoint.forget(model, [model])
        raise
    if not wait:
        return endpoint.description()
    after = endpoint.wait() if watch is None else watch()
    if after.config_name != model:
        endpoint.forget(model, [model])
    else:
        serving = {str(one["ModelName"]) for one in variants.values()}
        endpoint.forget(found.config_name, earlier - serving)
    require_service(after, model)
    return after


def _current_variants(
    found: EndpointDescription, config: Mapping[str, Any]
) -> dict[str, dict[str, Any]]:
    """The variants of a configuration, with the weights and replicas that they have by now."""
    now = {variant.name: variant for variant in found.variants if not variant.shadow}
    variants = {}
    for given in config["ProductionVariants"]:
        variant = dict(given)
        current = now.get(variant["VariantName"])
        if current is not None and "ServerlessConfig" not in variant:
            variant["InitialInstanceCount"] = max(1, current.desired_replicas)
        if current is not None:
            variant["InitialVariantWeight"] = current.raw.get("DesiredWeight", current.weight)
        variants[variant["VariantName"]] = variant
    return variants


def only_variant(found: EndpointDescription) -> str:
    """The name of an endpoint's one variant.

    Raises:
        UsageError: it has several.
    """
    names = [variant.name for variant in found.variants if not variant.shadow]
    if len(names) != 1:
        raise UsageError(
            f"the endpoint {found.name} has the variants {', '.join(names)}: say which by --variant"
        )
    return names[0]
