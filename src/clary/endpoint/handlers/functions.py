"""The functions that a model is served by: the script's, and the framework's for those it lacks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from clary.endpoint.handlers import pytorch
from clary.endpoint.handlers.calling import Handler
from clary.endpoint.handlers.code_folder import CodeFolder

_EXCLUSIVE = (
    "Cannot use transform_fn implementation in conjunction with "
    "input_fn, predict_fn, and/or output_fn implementation"
)


@dataclass(frozen=True)
class Handlers:
    """What runs for a model: before it is loaded, to load it, after that, and for a request.

    Either `transform_fn`, or the three others.
    """

    model_fn: Handler
    input_fn: Handler
    predict_fn: Handler
    output_fn: Handler
    transform_fn: Handler | None = None
    pre_model_fn: Handler | None = None
    model_warmup_fn: Handler | None = None

    def load(self, context: Any, model_dir: str) -> Any:
        """Load the model. What the functions raise goes through."""
        if self.pre_model_fn is not None:
            self.pre_model_fn(context, model_dir)
        model = self.model_fn(context, model_dir)
        if self.model_warmup_fn is not None:
            self.model_warmup_fn(context, model_dir, model)
        return model

    def transform(self, context: Any, model: Any, body: Any, content_type: str, accept: str) -> Any:
        """Answer a request. What the functions raise goes through.

        Returns:
            The answer, or a tuple of it and its content type.
        """
        if self.transform_fn is not None:
            return self.transform_fn(context, model, body, content_type, accept)
        data = self.input_fn(context, body, content_type)
        prediction = self.predict_fn(context, data, model)
        return self.output_fn(context, prediction, accept)


def load_handlers(code: CodeFolder) -> Handlers:
    """Import a model's script, whose folder is entered, and give its functions.

    Raises:
        ValueError: `transform_fn` stands beside one that it replaces.
        TypeError: a function takes too many arguments, or too few.
    """
    script = code.load()

    def own(name: str) -> Any:
        return getattr(script, name, None)

    if own("transform_fn") and (own("input_fn") or own("predict_fn") or own("output_fn")):
        raise ValueError(_EXCLUSIVE)
    extra = {
        name: Handler(own(name), arguments) if own(name) else None
        for name, arguments in (("transform_fn", 4), ("pre_model_fn", 1), ("model_warmup_fn", 2))
    }
    return Handlers(
        model_fn=Handler(own("model_fn") or pytorch.model_fn, 1),
        input_fn=Handler(own("input_fn") or pytorch.input_fn, 2),
        predict_fn=Handler(own("predict_fn") or pytorch.predict_fn, 2),
        output_fn=Handler(own("output_fn") or pytorch.output_fn, 2),
        **extra,
    )
