"""From a request to an answer, through scripts as people write them."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import numpy as np
import pytest

from clary.endpoint.handlers.loaded_model import LoadedModel
from clary.endpoint.handlers.requests import Answer, Request

ECHO = """
import json

def model_fn(model_dir):
    return {"dir": model_dir}

def input_fn(body, content_type):
    return [type(body).__name__, content_type, len(body)]

def predict_fn(data, model):
    return data

def output_fn(prediction, accept):
    return json.dumps([*prediction, accept])
"""

Serve = Callable[..., LoadedModel]


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Serve]:
    served: list[LoadedModel] = []

    def make(
        script: str | None, environment: Mapping[str, str] | None = None, **files: str
    ) -> LoadedModel:
        code = tmp_path / "model" / "code"
        code.mkdir(parents=True, exist_ok=True)
        for name, text in {"inference": script, **files}.items():
            if text is not None:
                (code / f"{name}.py").write_text(text)
        model = LoadedModel(str(tmp_path / "model"), environment or {}, None)
        model.enter()
        served.append(model)
        return model

    yield make
    for model in served:
        model.leave()


def ask(model: LoadedModel, body: bytes = b"abc", **asked: str) -> Answer:
    return model.answer(Request(body=body, model=model.folder, **asked))


def test_bodies_of_json_and_csv_are_text_and_others_bytes(serve: Serve) -> None:
    model = serve(ECHO)
    for content_type, kind in [
        ("application/json", "str"),
        ("text/csv", "str"),
        ("image/jpeg", "bytes"),
        ("application/json; charset=utf-8", "bytes"),
    ]:
        answer = ask(model, content_type=content_type)
        assert (answer.status, json.loads(answer.body)[:2]) == (200, [kind, content_type])
    assert json.loads(ask(model).body)[1] == "application/octet-stream"


@pytest.mark.parametrize(
    ("accept", "environment", "expected"),
    [
        ("", {}, "application/json"),
        ("*/*", {}, "application/json"),
        ("", {"SAGEMAKER_DEFAULT_INVOCATIONS_ACCEPT": "text/csv"}, "text/csv"),
        ("application/x-npy", {"SAGEMAKER_DEFAULT_INVOCATIONS_ACCEPT": "text/csv"}, None),
    ],
)
def test_what_is_asked_for_where_nothing_is(
    serve: Serve, accept: str, environment: dict[str, str], expected: str | None
) -> None:
    answer = ask(serve(ECHO, environment), accept=accept)
    expected = expected or accept
    assert json.loads(answer.body)[3] == expected
    assert answer.content_type == expected


def test_a_tuple_says_its_own_type(serve: Serve) -> None:
    script = ECHO.replace("return json.dumps([*prediction, accept])", 'return "a,b", "text/csv"')
    answer = ask(serve(script), accept="application/json")
    assert (answer.body, answer.content_type) == (b"a,b", "text/csv")


def test_what_is_neither_text_nor_bytes_becomes_json(serve: Serve) -> None:
    script = ECHO.replace("return json.dumps([*prediction, accept])", 'return {"a": [1, 2]}')
    assert json.loads(ask(serve(script)).body) == {"a": [1, 2]}


def test_transform_fn_gets_all_four(serve: Serve) -> None:
    script = """
def model_fn(model_dir):
    return "m"

def transform_fn(model, body, content_type, accept):
    return f"{model} {body} {content_type} {accept}"
"""
    answer = ask(serve(script), content_type="text/csv", accept="text/plain")
    assert answer.body == b"m abc text/csv text/plain"


def test_transform_fn_excludes_the_three_others(serve: Serve) -> None:
    answer = ask(serve(ECHO + "\ndef transform_fn(model, body, content_type, accept): ...\n"))
    assert answer.status == 500
    assert b"Cannot use transform_fn implementation in conjunction with input_fn" in answer.body


def test_handlers_take_the_context_or_not(serve: Serve) -> None:
    script = """
def model_fn(model_dir, context):
    return context.system_properties["model_dir"]

def input_fn(body, content_type, context):
    return [context.get_request_header(0, "content-type"), context.get_request_id(0)]

def predict_fn(data, model):
    return [model, *data]

def output_fn(prediction, accept, context):
    asked = context.get_request_header(0, "X-Amzn-SageMaker-Custom-Attributes")
    context.set_response_content_type(0, "text/plain")
    context.set_response_header(0, "X-Amzn-SageMaker-Custom-Attributes", asked.upper())
    context.set_response_status(code=202, phrase="well", idx=0)
    return " ".join(prediction)
"""
    model = serve(script)
    answer = ask(model, content_type="image/png", request_id="r-1", custom_attributes="trace=1")
    assert answer.body == f"{model.folder} image/png r-1".encode()
    assert (answer.status, answer.content_type) == (202, "text/plain")
    assert answer.headers == {"X-Amzn-SageMaker-Custom-Attributes": "TRACE=1"}
    # The next request begins with nothing of this one.
    assert ask(model, custom_attributes="x").headers != answer.headers


def test_the_order_in_which_a_model_comes_to_be(serve: Serve) -> None:
    script = """
said = []

def pre_model_fn(model_dir):
    said.append("before")

def model_fn(model_dir):
    said.append("load")
    return "m"

def model_warmup_fn(model_dir, model):
    said.append("warm " + model)

def transform_fn(model, body, content_type, accept):
    return ",".join(said)
"""
    model = serve(script)
    assert model.prepare() is None
    assert [ask(model).body for _ in range(2)] == [b"before,load,warm m"] * 2


def test_what_a_handler_raises_is_the_answer_and_stands_in_the_log(
    serve: Serve, capsys: pytest.CaptureFixture[str]
) -> None:
    script = ECHO.replace("    return data\n", "    return data[7]\n")
    answer = ask(serve(script), request_id="r-9")
    text = answer.body.decode()
    assert answer.status == 500
    assert text.startswith("list index out of range\nTraceback (most recent call last):")
    assert "return data[7]" in text
    assert "loaded_model.py" not in text
    said = capsys.readouterr().err
    assert "request r-9 failed" in said
    assert "return data[7]" in said


def test_a_script_that_leaves_by_itself_is_answered_too(serve: Serve) -> None:
    script = ECHO.replace("    return data\n", "    raise SystemExit(3)\n")
    assert ask(serve(script)).status == 500


def test_a_model_that_cannot_be_loaded_is_tried_with_each_request(
    serve: Serve, tmp_path: Path
) -> None:
    script = ECHO.replace('return {"dir": model_dir}', 'return open(model_dir + "/weights").read()')
    model = serve(script)
    assert "FileNotFoundError" in str(model.prepare())
    first = ask(model)
    assert (first.status, b"weights" in first.body) == (500, True)
    (tmp_path / "model" / "weights").touch()
    assert ask(model).status == 200


def test_a_script_that_cannot_be_imported(serve: Serve) -> None:
    model = serve("import no_such_module_at_all\n")
    assert "no_such_module_at_all" in str(model.prepare())
    answer = ask(model)
    assert answer.status == 500
    assert b"ModuleNotFoundError: No module named 'no_such_module_at_all'" in answer.body


def test_a_body_that_is_no_text_is_the_senders_fault(serve: Serve) -> None:
    answer = ask(serve(ECHO), b"\xff\xfe", content_type="application/json")
    assert (answer.status, b"UTF-8" in answer.body) == (400, True)


def test_modules_beside_the_script_and_another_name_for_it(serve: Serve) -> None:
    environment = {"SAGEMAKER_PROGRAM": "serve_dogs.py"}
    script = "from breeds import NAMES\n" + ECHO.replace("return data\n", "return NAMES\n")
    model = serve(None, environment, serve_dogs=script, breeds="NAMES = ['beagle']\n")
    assert json.loads(ask(model).body)[0] == "beagle"


def test_the_code_of_a_submit_directory(tmp_path: Path) -> None:
    code = tmp_path / "elsewhere"
    code.mkdir()
    (code / "inference.py").write_text(ECHO)
    (tmp_path / "model").mkdir()
    environment = {"SAGEMAKER_SUBMIT_DIRECTORY": code.as_uri()}
    model = LoadedModel(str(tmp_path / "model"), environment, None)
    model.enter()
    try:
        assert ask(model).status == 200
    finally:
        model.leave()


def test_a_module_that_a_script_brings_hides_one_that_is_loaded(serve: Serve) -> None:
    import hypothesis

    script = "import hypothesis\n" + ECHO.replace("return data\n", "return [hypothesis.MINE]\n")
    model = serve(script, hypothesis="MINE = 'mine'\n")
    kept = {name: sys.modules[name] for name in list(sys.modules) if name.startswith("hypothesis")}
    try:
        assert json.loads(ask(model).body)[0] == "mine"
    finally:
        model.leave()
        sys.modules.update(kept)
    assert sys.modules["hypothesis"] is hypothesis


class TestTheDefaultsOfThePyTorchContainer:
    @pytest.fixture
    def model(self, tmp_path: Path) -> Iterator[LoadedModel]:
        import torch

        class Twice(torch.nn.Module):
            def forward(self, values: torch.Tensor) -> torch.Tensor:
                return values * 2

        (tmp_path / "model").mkdir()
        torch.jit.trace(Twice(), torch.zeros(2, 2)).save(tmp_path / "model" / "net.pth")
        model = LoadedModel(str(tmp_path / "model"), {}, None)
        model.enter()
        yield model
        model.leave()

    def test_json_in_and_out(self, model: LoadedModel) -> None:
        answer = ask(model, b"[[1, 2], [3, 4.5]]", content_type="application/json")
        assert (answer.status, answer.content_type) == (200, "application/json")
        assert json.loads(answer.body) == [[2.0, 4.0], [6.0, 9.0]]

    def test_csv_in_and_out(self, model: LoadedModel) -> None:
        answer = ask(model, b"1,2\n3,4\n", content_type="text/csv", accept="text/csv")
        assert (answer.body, answer.content_type) == (b"2.0,4.0\n6.0,8.0\n", "text/csv")

    def test_npy_in_and_out(self, model: LoadedModel) -> None:
        buffer = io.BytesIO()
        np.save(buffer, np.ones((1, 3, 4, 4), dtype=np.float32))
        npy = "application/x-npy"
        answer = ask(model, buffer.getvalue(), content_type=npy, accept=npy)
        assert answer.content_type == npy
        np.testing.assert_array_equal(np.load(io.BytesIO(answer.body)), np.full((1, 3, 4, 4), 2.0))

    @pytest.mark.parametrize(
        ("asked", "status", "said"),
        [
            ({"content_type": "image/jpeg"}, 415, b"image/jpeg is not supported by this"),
            ({"content_type": "application/json", "accept": "image/png"}, 406, b"image/png"),
            ({"content_type": "application/x-npy"}, 400, b"x-npy"),
        ],
        ids=["unread type", "unwritten type", "not what it says"],
    )
    def test_what_they_refuse(
        self, model: LoadedModel, asked: dict[str, str], status: int, said: bytes
    ) -> None:
        answer = ask(model, b"[1, 2]", **asked)
        assert (answer.status, said in answer.body) == (status, True)
        assert b"Traceback" not in answer.body

    @pytest.mark.parametrize("files", [[], ["a.pth", "b.pt"]], ids=["none", "two"])
    def test_a_folder_without_the_one_model(self, tmp_path: Path, files: list[str]) -> None:
        (tmp_path / "model").mkdir()
        for name in files:
            (tmp_path / "model" / name).touch()
        answer = ask(LoadedModel(str(tmp_path / "model"), {}, None))
        assert answer.status == 500
        assert b"Exactly one .pth or .pt file is required" in answer.body
        assert b"Please provide a model_fn implementation" in answer.body

    def test_weights_are_no_torchscript(self, tmp_path: Path) -> None:
        import torch

        (tmp_path / "model").mkdir()
        torch.save({"weight": torch.zeros(2)}, tmp_path / "model" / "model.pth")
        answer = ask(LoadedModel(str(tmp_path / "model"), {}, None))
        assert answer.status == 500
        assert b"Please ensure model is saved using torchscript" in answer.body
