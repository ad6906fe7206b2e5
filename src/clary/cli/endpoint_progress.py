"""An endpoint on its way from one state to another, in the terminal; and what to type with it."""

from __future__ import annotations

import time

from rich.console import Console

from clary.cli.watching import RECONNECTIONS
from clary.errors import ServiceUnreachable
from clary.sdk.endpoint import Endpoint, EndpointDescription
from clary.sdk.predictor import NAMED_JSON

_WAITS_FOR = {
    "Creating": "starting replicas",
    "Updating": "starting the new replicas, the old ones answer",
    "RollingBack": "going back to the old replicas",
    "Deleting": "answering what was asked",
}


def settled(endpoint: Endpoint) -> EndpointDescription:
    """Show an endpoint until no change is under way. Ctrl-C leaves the change to itself.

    Args:
        endpoint: what is watched.

    Raises:
        UsageError: there is no such endpoint, or not any more.
        ServiceError: the service refuses or does not answer.
        KeyboardInterrupt: Ctrl-C.
    """
    console = Console(stderr=True)
    try:
        with console.status("asking the service", spinner="dots") as status:
            while not (found := _asked(endpoint)).ended:
                status.update(_WAITS_FOR.get(found.status, found.status))
                time.sleep(endpoint.poll_seconds)
            return found
    except KeyboardInterrupt:
        print(
            f"{endpoint.name} goes on: `clary endpoints show {endpoint.name}` tells how far it is"
        )
        raise


def print_next(endpoint: Endpoint, found: EndpointDescription, *, asynchronous: bool) -> None:
    """Say what to type with an endpoint: ready-made lines for each kind of client.

    Args:
        endpoint: in service.
        found: how it stands.
        asynchronous: whether it takes its requests from S3 alone.
    """
    name = endpoint.name
    if asynchronous:
        print(
            f"""
It takes its requests from S3, in a shell whose AWS is this machine, after `eval "$(clary env)"`:

boto3     boto3.client("sagemaker-runtime").invoke_endpoint_async(
              EndpointName="{name}", InputLocation="s3://BUCKET/picture.jpg"
          )["OutputLocation"]
"""
        )
    else:
        accept = NAMED_JSON if found.is_builtin else "application/json"
        if not found.is_builtin:
            print(
                "\nIts script decides what it takes: where that is not image/jpeg, send its own "
                f"kind,\nsuch as by `clary endpoints invoke {name} FILE --content-type TYPE`."
            )
        print(
            f"""
predict   clary predict {name} picture.jpg
python    from clary.sdk import Predictor
          print(Predictor("{name}").predict("picture.jpg").label)

In a shell whose AWS is this machine, after `eval "$(clary env)"`:

boto3     runtime = boto3.client("sagemaker-runtime")
          body = open("picture.jpg", "rb").read()
          runtime.invoke_endpoint(
              EndpointName="{name}", Body=body, ContentType="image/jpeg"
          )["Body"].read()
curl      curl --aws-sigv4 aws:amz:{endpoint.session.region}:sagemaker \\
              --user "$AWS_ACCESS_KEY_ID:$AWS_SECRET_ACCESS_KEY" \\
              -H 'Content-Type: image/jpeg' \\
              -H 'Accept: {accept}' \\
              --data-binary @picture.jpg \\
              "$AWS_ENDPOINT_URL/endpoints/{name}/invocations"
"""
        )
    print(f"see       clary endpoints show {name}, clary endpoints logs -f {name}")
    print(f"change    clary endpoints update {name} MODEL, or --replicas 2")
    print(f"end       clary endpoints delete {name}")


def _asked(endpoint: Endpoint) -> EndpointDescription:
    """How it stands; a service that was killed is started again, and its replicas go on."""
    for _ in range(RECONNECTIONS):
        try:
            return endpoint.description()
        except ServiceUnreachable:
            endpoint.session.reconnect()
    return endpoint.description()
