"""From a model folder to an endpoint and back, through the service."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from clary.errors import DataError, FormatError, ServiceError, UsageError
from clary.sdk.deploying import ModelChoice, deploy
from clary.sdk.endpoint import Endpoint
from clary.sdk.endpoint_listing import figures, list_endpoints
from clary.sdk.office import ensure_running
from clary.sdk.predictor import Predictor
from clary.sdk.redeploying import redeploy, remove_variant
from clary.sdk.session import Session
from clary.settings import Settings
from clary.vision.caching import CacheStore
from clary.vision.export.serving import convert_model
from clary.vision.prediction import predict
from tests.conftest import own_clary
from tests.sdk.small_models import CLASSES, small_model


@pytest.fixture(scope="module")
def session(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Session]:
    """A service for all tests of the file: a model is converted once."""
    with own_clary(tmp_path_factory.mktemp("clary") / "home") as environment:
        settings = Settings.from_environment({**environment, "CLARY_WARM": "0"})
        yield Session.on_this_machine(settings, record=ensure_running(settings, say=print))


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory, session: Session) -> list[Path]:
    """Two models that answer differently; the service has to convert the first."""
    folder = tmp_path_factory.mktemp("models")
    found = [small_model(folder / f"model-{seed}", seed) for seed in (1, 2)]
    assert session.settings is not None
    convert_model(found[1], CacheStore.of(session.settings))
    return found


@pytest.mark.slow
def test_deploy_ask_redeploy_scale_and_delete(
    session: Session, models: list[Path], picture_folder, tmp_path: Path
) -> None:
    first, second = models
    pictures = sorted(picture_folder(per_class=2, size=48).rglob("*.jpg"))
    endpoint = deploy(ModelChoice(first, precision="fp32"), session=session)
    assert endpoint.name == "model-1"
    found = endpoint.description()
    assert (found.status, found.is_builtin) == ("InService", True)

    predictor = Predictor(endpoint.name, session)
    answers = list(predictor.predict_many(pictures))
    for answer, expected in zip(answers, predict(first, pictures), strict=True):
        assert set(dict(answer.ranked)) == set(CLASSES)
        assert dict(answer.ranked) == pytest.approx(dict(expected.ranked), abs=1e-3)
    array = np.asarray(Image.open(pictures[0]))
    same = [predictor.predict(form) for form in (array, Image.open(pictures[0]))]
    assert dict(same[0].ranked) == pytest.approx(dict(same[1].ranked))
    assert predictor.predict(pictures[0].read_bytes(), top=1).ranked == answers[0].ranked[:1]
    with pytest.raises(DataError, match="picture"):
        predictor.predict(b"no picture")
    with pytest.raises(DataError, match=r"7,000,000 bytes are sent, but model-1 takes 6,291,456"):
        predictor.predict(b"\xff" * 7_000_000)
    [unread, read] = predictor.predict_many([tmp_path / "none.jpg", pictures[0]])
    assert "cannot be read" in (unread.error or "")
    assert read.label == answers[0].label

    fared = figures(session, [found])[endpoint.name, "AllTraffic"]
    assert (fared.requests, fared.client_errors, fared.server_errors) == (11, 1, 0)
    assert 0 < fared.p50_ms <= fared.p99_ms

    after = redeploy(endpoint, ModelChoice(second, precision="fp32"))
    assert after.config_name != found.config_name
    [expected] = predict(second, pictures[:1])
    assert dict(predictor.predict(pictures[0]).ranked) == pytest.approx(
        dict(expected.ranked), abs=1e-3
    )
    endpoint.scale("AllTraffic", replicas=2)
    assert endpoint.wait().variants[0].replicas == 2
    assert [one.name for one in list_endpoints(session)] == [endpoint.name]
    assert any("/invocations" in line.message for line in endpoint.lines())

    endpoint.delete()
    assert list(list_endpoints(session)) == []
    client = session.client("sagemaker")
    assert client.list_endpoint_configs()["EndpointConfigs"] == []
    assert client.list_models()["Models"] == []
    with pytest.raises(UsageError, match="there is no endpoint model-1"):
        endpoint.description()


@pytest.mark.slow
def test_a_second_variant_shares_the_requests(session: Session, models: list[Path]) -> None:
    first, second = models
    endpoint = deploy(first, session=session, name="shared")
    redeploy(endpoint, ModelChoice(second), variant="B", weight=3.0)
    variants = {one.name: one.weight for one in endpoint.description().variants}
    assert variants == {"AllTraffic": 1.0, "B": 3.0}
    picture = (48 * np.ones((32, 32, 3))).astype(np.uint8)
    answers = [Predictor("shared", session, variant=name) for name in variants]
    a, b = (dict(one.predict(picture).ranked) for one in answers)
    assert a != pytest.approx(b, abs=1e-3)
    with pytest.raises(UsageError, match="say which by --variant"):
        redeploy(endpoint, ModelChoice(first))

    with pytest.raises(UsageError, match="no variant C: it has AllTraffic, B"):
        remove_variant(endpoint, "C")
    left = remove_variant(endpoint, "AllTraffic")
    assert [one.name for one in left.variants] == ["B"]
    assert list(endpoint.models()) == ["B"]
    client = session.client("sagemaker")
    assert len(client.list_models()["Models"]) == 1
    assert len(client.list_endpoint_configs()["EndpointConfigs"]) == 1
    only = Predictor("shared", session).predict(picture).ranked
    assert dict(only) == pytest.approx(b, abs=1e-3)
    with pytest.raises(UsageError, match="without B the endpoint shared has no variant"):
        remove_variant(endpoint, "B")

    tail = endpoint.tail()
    assert next(tail.new_lines(), None) is not None
    endpoint.delete()
    assert list(tail.new_lines()) == []  # its log has gone with it


@pytest.mark.slow
def test_what_cannot_be_served_leaves_nothing_behind(
    session: Session, models: list[Path], tmp_path: Path
) -> None:
    model = models[0]
    deploy(model, session=session, name="one")
    with pytest.raises(UsageError, match="there is an endpoint one already"):
        deploy(model, session=session, name="one")
    broken = tmp_path / "broken.tar.gz"
    broken.write_bytes(b"no archive")
    with pytest.raises(UsageError, match="is no archive"):
        deploy(broken, session=session, name="two")
    broken.write_bytes(b"\x1f\x8b no archive")
    with pytest.raises(FormatError, match="cannot be unpacked"):
        deploy(broken, session=session, name="two")
    (tmp_path / "pictures").mkdir()
    (tmp_path / "pictures" / "one.jpg").write_bytes(b"a picture")
    with pytest.raises(UsageError, match="holds no model"):
        deploy(tmp_path / "pictures", session=session, name="two")
    with pytest.raises(ServiceError, match="model data"):
        deploy("s3://nowhere/model.tar.gz", session=session, name="three")
    client = session.client("sagemaker")
    assert [one.name for one in list_endpoints(session)] == ["one"]
    assert len(client.list_models()["Models"]) == 1
    assert len(client.list_endpoint_configs()["EndpointConfigs"]) == 1
    Endpoint(session, "one").delete()
