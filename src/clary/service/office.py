"""The parts that operations work with, assembled once and passed to each."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

from clary.service.call import Answer, Call
from clary.service.keys import ACCOUNT, KeyRing
from clary.settings import Settings

if TYPE_CHECKING:
    from clary.object_store.store import ObjectStore
    from clary.service.invocations.invocations import Invocations
    from clary.service.invocations.traffic import Traffic
    from clary.service.state.state import State
    from clary.service.supervisor.supervisor import Supervisor
    from clary.service.supervisor.transforms.supervisor import TransformSupervisor


@dataclass(frozen=True)
class Office:
    """The parts of one running service. Operations run on many threads; every part allows it."""

    settings: Settings
    region: str
    store: ObjectStore
    state: State
    supervisor: Supervisor
    keys: KeyRing
    traffic: Traffic
    invocations: Invocations
    transforms: TransformSupervisor
    account: str = ACCOUNT

    def arn(self, resource: str, service: str = "sagemaker") -> str:
        """The ARN of a resource such as `training-job/name`."""
        return f"arn:aws:{service}:{self.region}:{self.account}:{resource}"


Handler: TypeAlias = Callable[[Office, Call], "Mapping[str, Any] | Answer"]
