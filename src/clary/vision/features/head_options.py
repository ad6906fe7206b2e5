"""The hyperparameters in which the heads of a bank may differ."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from clary.formats.training_options import Fraction, NonNegative, Optimizer, Positive


class HeadOptions(BaseModel):
    """How one head of a `HeadBank` is trained; its learning rate comes with every step.

    `weight_decay` acts on weights and not on biases. `betas` and `eps` are those of adam and
    adamw, `momentum` that of sgd. `class_weights` has a positive weight per class. `seed` is that
    of the dropout. `ema` is the decay of the average that is judged, 0 is off.
    """

    model_config = ConfigDict(frozen=True)

    optimizer: Optimizer = "adamw"
    weight_decay: NonNegative = 0.01
    eps: Positive = 1e-8
    betas: tuple[Fraction, Fraction] = (0.9, 0.999)
    momentum: Fraction = 0.9
    dropout: Fraction = 0.0
    label_smoothing: Fraction = 0.0
    class_weights: tuple[Positive, ...] | None = None
    clip_grad: Positive | None = None
    ema: Fraction = 0.0
    seed: Annotated[int, Field(ge=0)] = 0
