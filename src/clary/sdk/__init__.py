"""Clary's Python client: what the command line does, as calls. Never imports torch.

    from clary.sdk import Estimator, Predictor, Session, deploy

    job = Estimator(Session.on_this_machine(), hyperparameters={"epochs": 5}).fit("photos/")
    print(Predictor(deploy(job).name).predict("new.jpg").label)

Names are loaded when they are first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from clary.sdk.debugging import Debugging, Rule
    from clary.sdk.deploying import ModelChoice, deploy
    from clary.sdk.endpoint import Endpoint
    from clary.sdk.estimator import Estimator
    from clary.sdk.hyperparameter_tuner import HyperparameterTuner, WarmStart
    from clary.sdk.predictor import Predictor
    from clary.sdk.profiling import Profiling
    from clary.sdk.redeploying import redeploy
    from clary.sdk.session import Session
    from clary.sdk.training_job import TrainingJob
    from clary.sdk.tuning_job import TuningJob
    from clary.sdk.workflow.plan import WorkflowPlan
    from clary.sdk.workflow.workflow import Workflow

_HOMES = {
    "Debugging": "debugging",
    "Endpoint": "endpoint",
    "Estimator": "estimator",
    "HyperparameterTuner": "hyperparameter_tuner",
    "ModelChoice": "deploying",
    "Predictor": "predictor",
    "Profiling": "profiling",
    "Rule": "debugging",
    "Session": "session",
    "TrainingJob": "training_job",
    "TuningJob": "tuning_job",
    "WarmStart": "hyperparameter_tuner",
    "Workflow": "workflow.workflow",
    "WorkflowPlan": "workflow.plan",
    "deploy": "deploying",
    "redeploy": "redeploying",
}

__all__ = [
    "Debugging",
    "Endpoint",
    "Estimator",
    "HyperparameterTuner",
    "ModelChoice",
    "Predictor",
    "Profiling",
    "Rule",
    "Session",
    "TrainingJob",
    "TuningJob",
    "WarmStart",
    "Workflow",
    "WorkflowPlan",
    "deploy",
    "redeploy",
]


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{home}"), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
