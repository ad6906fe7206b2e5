"""The names of SageMaker's inference toolkits, as scripts of endpoints import them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import clary.shims.serving

FOLDER = Path(clary.shims.serving.__file__).parent

# Every line stands in somebody's public inference script.
SCRIPT = """
import io, sys
import sagemaker_inference.utils
from sagemaker_inference import content_types, decoder, default_inference_handler, encoder
from sagemaker_inference import errors, utils
from sagemaker_inference.errors import BaseInferenceToolkitError, UnsupportedFormatError
from sagemaker_inference.default_inference_handler import DefaultInferenceHandler
from sagemaker_pytorch_serving_container import default_pytorch_inference_handler
from sagemaker_pytorch_serving_container.default_pytorch_inference_handler import (
    DefaultPytorchInferenceHandler,
)

import numpy as np

handler = default_inference_handler.DefaultInferenceHandler()
array = np.arange(6.0).reshape(2, 3)
for kind in (content_types.JSON, content_types.CSV, content_types.NPY):
    assert kind in encoder.SUPPORTED_CONTENT_TYPES
    body = encoder.encode(array, kind)
    assert isinstance(body, str) == (kind in content_types.UTF8_TYPES)
    np.testing.assert_array_equal(decoder.decode(body, kind), array)
    np.testing.assert_array_equal(handler.default_input_fn(body, kind), array)
    assert handler.default_output_fn(array, kind) == (body, kind)
for call in (handler.default_model_fn, lambda d: handler.default_predict_fn(d, None)):
    try:
        call("x")
    except NotImplementedError:
        continue
    raise AssertionError(call)
try:
    decoder.decode(b"", "image/jpeg")
except UnsupportedFormatError as error:
    assert isinstance(error, BaseInferenceToolkitError)
    assert "image/jpeg" in str(error)
error = errors.GenericInferenceToolkitError(418, "a teapot")
assert (error.status_code, error.message, error.phrase) == (418, "a teapot", "a teapot")
assert utils is sagemaker_inference.utils
assert utils.retrieve_content_type_header({"ContentType": "a/b", "Accept": "c/d"}) == "a/b"
assert utils.parse_accept("a/b;q=0.5, c/d") == ["c/d", "a/b"]
utils.write_file("note.txt", "dogs")
assert utils.read_file("note.txt") == "dogs" and utils.read_file("note.txt", "rb") == b"dogs"
pytorch = DefaultPytorchInferenceHandler()
assert pytorch.VALID_CONTENT_TYPES == (content_types.JSON, content_types.NPY)
assert pytorch.default_output_fn([[0.25, 0.75]], content_types.JSON) == "[[0.25, 0.75]]"
assert default_pytorch_inference_handler.DEFAULT_MODEL_FILENAME == "model.pt"
assert "torch" not in sys.modules
"""


def test_what_scripts_import_is_there_and_works(tmp_path: Path) -> None:
    ended = subprocess.run(
        [sys.executable, "-c", f"import sys; sys.path.append({str(FOLDER)!r})\n{SCRIPT}"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr


def test_they_are_on_nobody_elses_path() -> None:
    script = "import sagemaker_inference"
    ended = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False
    )
    assert "ModuleNotFoundError: No module named 'sagemaker_inference'" in ended.stderr
