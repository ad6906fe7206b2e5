"""Models as CreateModel stores them, and what is prepared of them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from clary.formats.builtin_algorithm import IMAGE
from clary.formats.converted_model import ConvertedModel
from clary.service.executors.served_models import ModelSource
from tests.endpoint.colours import convert_colour_model, make_colour_model
from tests.service.endpoints.conftest import packed
from tests.service.executors.conftest import Bench

FRAMEWORK_IMAGE = "763104351884.dkr.ecr.us-east-1.amazonaws.com/pytorch-inference:2.2-cpu-py310"


def put_model(bench: Bench, name: str, files: Mapping[str, bytes]) -> str:
    """Store a model.tar.gz; its URI."""
    key = f"{name}/model.tar.gz"
    bench.put(key, packed(files))
    return f"s3://bench/{key}"


def source(uri: str | None, image: str = FRAMEWORK_IMAGE, **container: Any) -> ModelSource:
    """A model of one container."""
    data = {} if uri is None else {"ModelDataUrl": uri}
    return ModelSource(
        identity=f"model of {uri}",
        arn="arn:aws:sagemaker:us-east-1:000000000000:model/m",
        request={"ModelName": "m", "PrimaryContainer": {"Image": image, **data, **container}},
    )


def colour_files(bench: Bench, folder: Path) -> dict[str, bytes]:
    """The files of a picture model whose network is converted already."""
    model = make_colour_model(folder)
    converted = ConvertedModel.of(model, bench.settings.cache_dir)
    if not converted.has("fp32"):
        convert_colour_model(converted)
    return {path.name: path.read_bytes() for path in model.iterdir()}


def colour_model(bench: Bench, folder: Path) -> ModelSource:
    """A picture model, of the built-in image."""
    return source(put_model(bench, folder.name, colour_files(bench, folder)), IMAGE)
