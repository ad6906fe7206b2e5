"""Fine-tune, judge, explain and export image classifiers.

    from clary.vision import finetune

    result = finetune("photos/", output="runs/first", model="resnet18", epochs=5)
    print(result.evaluation["test"].accuracy)

Names are loaded when they are first used, so importing this package loads no torch.
"""

from __future__ import annotations

import sys
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from clary.vision.checks import check_dataset
    from clary.vision.datasets import open_dataset
    from clary.vision.evaluation import evaluate_logits
    from clary.vision.explain import explain
    from clary.vision.export import export_model
    from clary.vision.finetuning import FinetuneResult, finetune
    from clary.vision.models import Classifier, build_classifier, load_model, save_model
    from clary.vision.observer import Observer
    from clary.vision.prediction import Predictor, predict

# OpenVINO's converter and NNCF report to their maker what they are used for, unless this package
# is not there to do it.
sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]

_HOMES = {
    "check_dataset": "checks",
    "open_dataset": "datasets",
    "evaluate_logits": "evaluation",
    "explain": "explain",
    "export_model": "export",
    "FinetuneResult": "finetuning",
    "finetune": "finetuning",
    "Classifier": "models",
    "build_classifier": "models",
    "load_model": "models",
    "save_model": "models",
    "Observer": "observer",
    "Predictor": "prediction",
    "predict": "prediction",
}

__all__ = [
    "Classifier",
    "FinetuneResult",
    "Observer",
    "Predictor",
    "build_classifier",
    "check_dataset",
    "evaluate_logits",
    "explain",
    "export_model",
    "finetune",
    "load_model",
    "open_dataset",
    "predict",
    "save_model",
]


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    # `explain` is a module and a function of it: the function is what this package means.
    value = getattr(import_module(f"{__name__}.{home}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
