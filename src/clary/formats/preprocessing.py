"""How a picture becomes a network's input: saved with the model, so that every door does the same.

The steps, in order: decode to RGB and apply the EXIF orientation; resize so that the short side
is `resize_size`; cut the centre square of `image_size`; scale to 0…1; subtract `mean` and divide
by `std` per channel.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

Interpolation = Literal["bilinear", "bicubic"]
Channels = tuple[float, float, float]

IMAGENET_MEAN: Channels = (0.485, 0.456, 0.406)
IMAGENET_STD: Channels = (0.229, 0.224, 0.225)


class Preprocessing(BaseModel):
    """The evaluation transform of a model. Sizes in pixels, mean and std on the 0…1 scale."""

    model_config = ConfigDict(frozen=True)

    image_size: Annotated[int, Field(ge=8, le=2048)] = 224
    resize_size: Annotated[int, Field(ge=8, le=4096)] = 256
    interpolation: Interpolation = "bilinear"
    mean: Channels = IMAGENET_MEAN
    std: Channels = IMAGENET_STD

    @model_validator(mode="after")
    def _crop_fits(self) -> Preprocessing:
        if self.resize_size < self.image_size:
            raise ValueError(
                f"resize_size {self.resize_size} is under image_size {self.image_size}: "
                "the centre crop would not fit"
            )
        return self
