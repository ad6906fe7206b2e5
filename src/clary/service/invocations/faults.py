"""What the data plane refuses, in AWS's words."""

from __future__ import annotations

from clary.service.faults import Fault

# What the service model allows of a message.
MESSAGE_LIMIT = 2048
_TIMED_OUT = (
    "Your invocation timed out while waiting for a response from container primary. Review the "
    "latency metrics for each container in Amazon CloudWatch, resolve the issue, and try again."
)
_EXITED = "An error occurred while handling request as the model process exited."


def invalid(message: str) -> Fault:
    """A request that the model allows and the endpoint does not."""
    return Fault("ValidationError", message)


def endpoint_not_found(name: str, account: str) -> Fault:
    """There is no such endpoint."""
    return invalid(f"Endpoint {name} of account {account} not found.")


def endpoint_not_ready(name: str, account: str, status: str) -> Fault:
    """The endpoint is there, and does not answer in this status."""
    return invalid(
        f"Endpoint {name} of account {account} not found: its status is {status}, and only "
        "endpoints that are InService answer."
    )


def variant_not_found(name: str) -> Fault:
    """The endpoint has no such variant."""
    return invalid(f"Variant {name} not found for Request")


def no_target_model(request_id: str, endpoint: str) -> Fault:
    """An endpoint of many models has to be told which one is meant."""
    return invalid(
        f"Request {request_id} is missing a target model header for multi-model endpoint "
        f"{endpoint}."
    )


def not_multi_model(endpoint: str) -> Fault:
    """An endpoint of one model is not to be told of another."""
    return invalid(
        f"Endpoint {endpoint} is not a multi-model endpoint and does not support target model "
        "header."
    )


def model_not_ready(target: str) -> Fault:
    """A model of many is still on its way to the endpoint."""
    return Fault(
        "ModelNotReadyException",
        f"The model {target} is still being downloaded or unpacked: try again in a moment.",
        429,
        headers={"retry-after": "5"},
    )


def only_asynchronous(endpoint: str) -> Fault:
    """The endpoint puts answers into S3 and gives none at once."""
    return invalid(
        f"Endpoint {endpoint} is an asynchronous inference endpoint: use InvokeEndpointAsync."
    )


def not_asynchronous(endpoint: str) -> Fault:
    """The endpoint answers at once and puts nothing into S3."""
    return invalid(
        f"Endpoint {endpoint} is not an asynchronous inference endpoint: use InvokeEndpoint, or "
        "give its configuration an AsyncInferenceConfig."
    )


def not_offered(member: str) -> Fault:
    """A parameter that AWS knows and Clary does not."""
    return invalid(f"{member} is not offered by Clary.")


def too_large(limit: int) -> Fault:
    """A body over the bound of its endpoint, in bytes."""
    return invalid(
        "1 validation error detected: Value at 'body' failed to satisfy constraint: Member must "
        f"have length less than or equal to {limit}"
    )


def overloaded(message: str, retry_after_s: str = "1") -> Fault:
    """There is no room for the request now, and it was not worked on."""
    return Fault("ServiceUnavailable", message, 503, headers={"retry-after": retry_after_s})


def stopped() -> Fault:
    """The service ends before the model has answered."""
    return Fault("InternalFailure", "The service was stopped while the model worked on this.", 500)


def throttled(variant: str, concurrency: int) -> Fault:
    """A serverless variant works on as much as it may."""
    return Fault(
        "ThrottlingException",
        f"Rate exceeded: {variant} may work on {concurrency} invocations at once (MaxConcurrency).",
        429,
        headers={"retry-after": "1"},
    )


def has_exited(fault: Fault) -> bool:
    """Whether the container went away over the request: another one may answer it."""
    return fault.code == "ModelError" and fault.members.get("OriginalMessage") == _EXITED


class ModelErrors:
    """Words ModelError for the containers of one service."""

    def __init__(self, region: str, account: str) -> None:
        self._region = region
        self._account = account

    def answered(self, endpoint: str, status: int, body: bytes) -> Fault:
        """The container answered with an error."""
        return self._fault(endpoint, status, body.decode("utf-8", "replace"))

    def timed_out(self, endpoint: str) -> Fault:
        """The container did not answer in time."""
        return self._fault(endpoint, 0, _TIMED_OUT)

    def exited(self, endpoint: str) -> Fault:
        """The container went away over the request."""
        return self._fault(endpoint, 0, _EXITED)

    def _fault(self, endpoint: str, status: int, said: str) -> Fault:
        side = "client" if 400 <= status < 500 else "server"
        group = f"/aws/sagemaker/Endpoints/{endpoint}"
        front = f'Received {side} error ({status}) from primary with message "'
        back = (
            f'". See https://{self._region}.console.aws.amazon.com/cloudwatch/home?'
            f"region={self._region}#logEventViewer:group={group} in account {self._account} for "
            "more information."
        )
        shown = _shortened(said, MESSAGE_LIMIT - len(front) - len(back))
        return Fault(
            "ModelError",
            front + shown + back,
            424,
            members={
                "OriginalStatusCode": status,
                "OriginalMessage": _shortened(said, MESSAGE_LIMIT),
                "LogStreamArn": f"arn:aws:logs:{self._region}:{self._account}:log-group:{group}",
            },
        )


def _shortened(text: str, limit: int) -> str:
    """The end of a traceback says more than its begin: of a long text the middle is left out."""
    if len(text) <= limit:
        return text
    head = limit // 4
    return f"{text[:head]} … {text[len(text) - (limit - head - 3) :]}"
