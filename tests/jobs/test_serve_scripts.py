"""Inference scripts as people write them for SageMaker, in workers forked with torch loaded."""

from __future__ import annotations

import base64
import io
import json
import os
import shutil
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.endpoint.served import ask, replica_settings
from tests.jobs.test_serve import Replica, started
from tests.waiting import until

BREEDS = 133
# What nearly all of them have in common: https URLs aside, every line is somebody's.
SCRIPT = """
import base64
import io
import json
import logging
import os
import sys

import numpy as np
import requests
import torch
import torch.nn as nn
import torchvision.models as models
import torchvision.transforms as transforms
from PIL import Image

logger = logging.getLogger(__name__)
logger.setLevel(logging.DEBUG)
logger.addHandler(logging.StreamHandler(sys.stdout))

JPEG_CONTENT_TYPE = 'image/jpeg'
JSON_CONTENT_TYPE = 'application/json'
device = torch.device("cuda" if torch.cuda.is_available() else "cpu")


def Net():
    model = models.squeezenet1_1(pretrained=True)
    for param in model.parameters():
        param.requires_grad = False
    model.classifier[1] = nn.Conv2d(512, 133, kernel_size=1)
    return model


def model_fn(model_dir):
    logger.info(f"In model_fn. Model directory is - {model_dir}")
    model = Net().to(device)
    with open(os.path.join(model_dir, "model.pth"), "rb") as f:
        model.load_state_dict(torch.load(f, map_location=device))
    model.eval()
    return model


def input_fn(request_body, content_type=JPEG_CONTENT_TYPE):
    if content_type == JPEG_CONTENT_TYPE:
        return Image.open(io.BytesIO(request_body))
    if content_type == JSON_CONTENT_TYPE:
        request = json.loads(request_body)
        if 'url' in request:
            return Image.open(io.BytesIO(requests.get(request['url']).content))
        return Image.open(io.BytesIO(base64.b64decode(request['data'])))
    if content_type == 'application/x-npy':
        return Image.fromarray(np.load(io.BytesIO(request_body)))
    raise Exception('Requested unsupported ContentType in content_type: {}'.format(content_type))


def predict_fn(input_object, model):
    test_transform = transforms.Compose([
        transforms.Resize((224, 224)),
        transforms.ToTensor(),
    ])
    input_object = test_transform(input_object)
    if torch.cuda.is_available():
        input_object = input_object.cuda()
    with torch.no_grad():
        prediction = model(input_object.unsqueeze(0))
    return prediction
"""


@pytest.fixture
def picture(dogs: Path) -> Path:
    return min((dogs / "test").rglob("*.jpg"))


@pytest.fixture
def replica(
    tmp_path: Path, weights_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Replica]:
    """One that serves the script with trained weights, and pretrained ones from the hub's cache."""
    import torch
    from torchvision.models import squeezenet1_1

    cache = tmp_path / "torch" / "hub" / "checkpoints"
    cache.mkdir(parents=True)
    shutil.copy(weights_dir / "squeezenet1_1.pth", cache / "squeezenet1_1-b8a52dc0.pth")
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    code = tmp_path / "model" / "code"
    code.mkdir(parents=True)
    (code / "inference.py").write_text(SCRIPT)
    network = squeezenet1_1()
    network.load_state_dict(torch.load(weights_dir / "squeezenet1_1.pth", weights_only=True))
    torch.manual_seed(0)
    network.classifier[1] = torch.nn.Conv2d(512, BREEDS, kernel_size=1)
    torch.save(network.state_dict(), tmp_path / "model" / "model.pth")
    settings = replica_settings(kind="script", model=str(tmp_path / "model"), workers=1)
    with started(tmp_path, settings) as running:
        yield running


@contextmanager
def web(folder: Path) -> Iterator[str]:
    handler = partial(SimpleHTTPRequestHandler, directory=str(folder))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def expected(model: Path, picture: Path) -> np.ndarray:
    import torch
    from torchvision import transforms
    from torchvision.models import squeezenet1_1

    network = squeezenet1_1(num_classes=BREEDS)
    network.load_state_dict(torch.load(model, weights_only=True))
    image = transforms.ToTensor()(transforms.Resize((224, 224))(Image.open(picture)))
    with torch.no_grad():
        values: np.ndarray = network.eval()(image.unsqueeze(0)).numpy()
    return values


@pytest.mark.slow
@pytest.mark.real_data
def test_a_script_of_the_usual_kind(replica: Replica, picture: Path) -> None:
    jpeg = picture.read_bytes()
    levels = io.BytesIO()
    np.save(levels, np.asarray(Image.open(picture)))
    json_type = "content-type: application/json"
    with web(picture.parent) as url:
        answers = [
            ask(replica.port, jpeg, "content-type: image/jpeg"),
            ask(replica.port, json.dumps({"url": f"{url}/{picture.name}"}).encode(), json_type),
            ask(
                replica.port,
                json.dumps({"data": base64.b64encode(jpeg).decode()}).encode(),
                json_type,
            ),
            ask(replica.port, levels.getvalue(), "content-type: application/x-npy"),
        ]
    values = expected(replica.folder / "model" / "model.pth", picture)
    for answer in answers:
        assert (answer.status, answer.headers["content-type"]) == (200, "application/json")
        np.testing.assert_allclose(answer.json, values, atol=1e-4)
    npy = ask(replica.port, jpeg, "content-type: image/jpeg", "accept: application/x-npy")
    np.testing.assert_allclose(np.load(io.BytesIO(npy.body)), values, atol=1e-4)
    unknown = ask(replica.port, jpeg, "content-type: image/heic")
    assert (unknown.status, b"unsupported ContentType" in unknown.body) == (500, True)
    assert replica.log.count("In model_fn. Model directory is") == 1

    worker = replica.children[-1]
    os.kill(worker, signal.SIGKILL)
    until(lambda: worker not in replica.children)
    again = ask(replica.port, jpeg, "content-type: image/jpeg")
    np.testing.assert_allclose(again.json, values, atol=1e-4)
