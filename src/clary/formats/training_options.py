"""The options of a training: the same words in `clary train`, in `clary.vision.finetune` and in
the `hyperparameters.json` of a job.

One flat, frozen model. Its field names are the options (`--batch-size`, `batch_size=`), its
descriptions are the help texts, its bounds are the validation.
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from clary.errors import UsageError

Optimizer = Literal["adamw", "adam", "sgd"]
Schedule = Literal["cosine", "onecycle", "step", "constant"]
Augmentation = Literal["none", "flip", "standard", "strong", "trivial"]
ClassBalance = Literal["auto", "off", "loss", "sampler"]
Precision = Literal["auto", "bf16", "fp32"]
Monitor = Literal["valid_accuracy", "valid_loss"]

# The first option of each group, in the order of the fields: how help and pages are cut.
GROUPS = {"seed": "Data", "model": "Model", "epochs": "Optimisation", "precision": "Speed"}

# Where pydantic's words are meant for programmers.
EXPECTED = {
    "int_parsing": "be a whole number",
    "int_from_float": "be a whole number",
    "float_parsing": "be a number",
    "finite_number": "be a finite number",
    "bool_parsing": "be true or false",
    "string_type": "be text",
    "string_too_short": "not be empty",
    "too_long": "have two numbers at most",
}

Fraction = Annotated[float, Field(ge=0, lt=1)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
NonNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]


class TrainingOptions(BaseModel):
    """Everything that decides how a classifier is trained.

    Raises:
        UsageError: from `parse`, with one sentence per option that is out of bounds.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    # --- data
    seed: Annotated[int, Field(ge=0, lt=2**32)] = Field(0, description="seed of everything random")
    valid_fraction: Fraction = Field(
        0.15, description="part of the training pictures held out when there is no valid/ split"
    )
    test_fraction: Fraction = Field(
        0.15, description="part held out for the final test when there is no test/ split"
    )
    group_by: str | None = Field(
        None,
        description="keeps groups together when splits are made: a manifest's column, or a regular "
        "expression that finds the group in a picture's name",
    )

    # --- model
    model: str = Field("resnet18", min_length=1, description="a timm model name")
    weights: str = Field(
        "pretrained",
        min_length=1,
        description="what to start from: pretrained, none, or a file of weights",
    )
    trust_pickle: bool = Field(
        False, description="allow --weights to be a pickled model, which can run any code"
    )
    weight_path: str | None = Field(
        None, description="go on from an earlier Clary model (model.tar.gz, folder or job)"
    )
    trainable_layers: Literal["auto", "all"] | Annotated[int, Field(ge=0)] = Field(
        "auto",
        description="the last N stages learn; 0 freezes the backbone; all; auto is 0 for "
        "pretrained weights on a CPU and all otherwise",
    )
    hidden: tuple[Annotated[int, Field(ge=1, le=65536)], ...] = Field(
        (), max_length=2, description="widths of up to two hidden layers in the head"
    )
    dropout: Fraction = Field(0.0, description="dropout before each layer of the head")
    image_size: Annotated[int, Field(ge=16, le=2048)] | None = Field(
        None, description="side of the input in pixels; default is the model's own"
    )

    # --- optimisation
    epochs: Annotated[int, Field(ge=1, le=100_000)] = Field(10, description="passes over the data")
    batch_size: Annotated[int, Field(ge=1, le=65536)] = Field(32, description="pictures a step")
    accumulate: Annotated[int, Field(ge=1, le=4096)] = Field(
        1, description="batches whose gradients are added before the optimizer steps"
    )
    optimizer: Optimizer = Field("adamw", description="what steps: adamw, adam or sgd")
    lr: Positive | None = Field(
        None, description="learning rate; default fits the optimizer and what is trained"
    )
    weight_decay: NonNegative = Field(0.01, description="weight decay")
    eps: Positive = Field(1e-8, description="epsilon of adam and adamw")
    beta1: Fraction = Field(0.9, description="first beta of adam and adamw")
    beta2: Fraction = Field(0.999, description="second beta of adam and adamw")
    momentum: Fraction = Field(0.9, description="momentum of sgd")
    schedule: Schedule = Field(
        "cosine", description="how the learning rate moves: cosine, onecycle, step or constant"
    )
    warmup_epochs: NonNegative = Field(0.0, description="epochs of linear warm-up, cosine only")
    step_epochs: Annotated[int, Field(ge=1)] = Field(
        7, description="epochs between drops of the step schedule"
    )
    step_gamma: Annotated[float, Field(gt=0, le=1)] = Field(
        0.1, description="factor of each drop of the step schedule"
    )
    layer_decay: Annotated[float, Field(gt=0, le=1)] = Field(
        1.0, description="each earlier stage learns at this factor of the next one's rate"
    )
    freeze_epochs: Annotated[int, Field(ge=0)] = Field(
        0, description="epochs in which only the head learns before the rest joins"
    )
    clip_grad: Positive | None = Field(None, description="bound of the gradient's norm")
    label_smoothing: Fraction = Field(0.0, description="label smoothing")
    mixup: NonNegative = Field(0.0, description="alpha of mixup, 0 is off")
    cutmix: NonNegative = Field(0.0, description="alpha of cutmix, 0 is off")
    augmentation: Augmentation = Field(
        "standard", description="how pictures are varied: none, flip, standard, strong or trivial"
    )
    class_balance: ClassBalance = Field(
        "auto",
        description="what helps small classes: off, loss (weights), sampler, or auto, which is "
        "loss when classes differ more than 1.5 times in size",
    )
    ema: Annotated[float, Field(ge=0, lt=1)] = Field(
        0.0, description="decay of an average of the weights that is evaluated, 0 is off"
    )
    patience: Annotated[int, Field(ge=0)] = Field(
        0, description="stop after this many epochs without a better one, 0 is off"
    )
    monitor: Monitor = Field(
        "valid_accuracy", description="what makes an epoch the best: valid_accuracy or valid_loss"
    )

    # --- speed
    precision: Precision = Field("auto", description="of the arithmetic: auto, bf16 or fp32")
    views: Annotated[int, Field(ge=1, le=64)] = Field(
        1, description="augmented views of each picture in the feature cache"
    )
    feature_cache: bool = Field(
        True, description="compute the features of a frozen backbone once and keep them"
    )
    workers: Annotated[int, Field(ge=1, le=256)] | None = Field(
        None, description="threads that decode pictures; default is one a core, 16 at most"
    )

    @field_validator("hidden", mode="before")
    @classmethod
    def _hidden_from_text(cls, value: Any) -> Any:
        if isinstance(value, str):
            return tuple(part for part in value.replace(",", " ").split() if part)
        return (value,) if isinstance(value, int) else value

    @field_validator("trainable_layers", mode="before")
    @classmethod
    def _layers_from_text(cls, value: Any) -> Any:
        return int(value) if isinstance(value, str) and value.lstrip("-").isdigit() else value

    @model_validator(mode="after")
    def _combination(self) -> TrainingOptions:
        if self.valid_fraction + self.test_fraction >= 1:
            raise ValueError(
                f"--valid-fraction {self.valid_fraction} and --test-fraction {self.test_fraction} "
                "leave nothing to train on: their sum must be under 1"
            )
        if self.freeze_epochs and self.freeze_epochs >= self.epochs:
            raise ValueError(
                f"--freeze-epochs is {self.freeze_epochs} of {self.epochs} epochs: "
                "give fewer, or --trainable-layers 0 to train the head alone"
            )
        return self

    @classmethod
    def parse(cls, values: Mapping[str, Any]) -> TrainingOptions:
        """Build options from names and values, which may be text as in `hyperparameters.json`.

        Raises:
            UsageError: one line per value that is unknown or out of bounds.
        """
        try:
            return cls.model_validate(dict(values))
        except ValidationError as error:
            raise UsageError(_sentences(error)) from error

    @classmethod
    def from_hyperparameters(cls, hyperparameters: Mapping[str, str]) -> TrainingOptions:
        """Build options from a job's hyperparameters, each a JSON value or a plain string.

        Raises:
            UsageError: one line per value that is unknown or out of bounds.
        """
        return cls.parse({name: _decoded(text) for name, text in hyperparameters.items()})

    def to_hyperparameters(self) -> dict[str, str]:
        """Only what was given, each value as JSON: a default that was asked for is kept as such."""
        given = self.model_dump(mode="json", exclude_unset=True)
        return {name: json.dumps(value) for name, value in given.items()}


def nothing_to_judge_by(options: TrainingOptions) -> UsageError:
    """The error about pictures of which none are held out, however they are split."""
    return UsageError(
        f"there is no valid split and --valid-fraction is {options.valid_fraction}: hold out some "
        "pictures, 0.1 or more, to judge epochs by"
    )


def _decoded(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text


def _sentences(error: ValidationError) -> str:
    by_option: dict[str, list[Any]] = {}
    for problem in error.errors():
        by_option.setdefault(str(problem["loc"][0]) if problem["loc"] else "", []).append(problem)
    return "\n".join(_sentence(name, problems) for name, problems in by_option.items())


def _sentence(name: str, problems: list[Any]) -> str:
    option = "--" + name.replace("_", "-")
    first = problems[0]
    if first["type"] == "extra_forbidden":
        near = difflib.get_close_matches(name, TrainingOptions.model_fields, n=1)
        hint = f": did you mean --{near[0].replace('_', '-')}?" if near else ""
        return f"there is no option {option}{hint}"
    if not name:
        return str(first["msg"]).removeprefix("Value error, ")
    reasons = ", or ".join(dict.fromkeys(_reason(problem) for problem in problems))
    listed = len(problems) == 1 and first["type"] == "literal_error"
    about = "" if listed else f" ({TrainingOptions.model_fields[name].description})"
    return f"{option} is {first['input']!r} but must {reasons}{about}"


def _reason(problem: Any) -> str:
    return EXPECTED.get(problem["type"]) or str(problem["msg"]).removeprefix("Input should ")
