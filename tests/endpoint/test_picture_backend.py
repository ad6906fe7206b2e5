from __future__ import annotations

import io
import json
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from clary.endpoint.picture_backend import PictureBackend
from clary.endpoint.runtimes import Runtime, open_runtime
from clary.errors import FormatError, ModelError
from clary.formats.converted_model import ConvertedModel
from clary.formats.replica import ReplicaSettings
from clary.settings import Settings
from tests.endpoint.colours import (
    COLOURS,
    convert_colour_model,
    make_colour_model,
    picture_of,
)
from tests.endpoint.served import Serving, ask, get, replica_settings, serving
from tests.waiting import PATIENCE_S, until


@pytest.fixture(scope="module")
def colour_settings(tmp_path_factory: pytest.TempPathFactory) -> ReplicaSettings:
    folder = tmp_path_factory.mktemp("colours")
    model = make_colour_model(folder / "model")
    converted = convert_colour_model(ConvertedModel.of(model, folder / "cache"))
    return replica_settings(model=str(model), converted=str(converted), workers=2, max_batch=4)


@pytest.fixture(autouse=True)
def own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLARY_HOME", str(tmp_path / "home"))


@pytest.fixture(scope="module")
def running(colour_settings: ReplicaSettings) -> Any:
    with serving(PictureBackend(colour_settings), colour_settings) as found:
        yield found
        assert found.complaints == []
        assert get(found.port, "/ping").status == 200


def test_pictures_of_requests_are_counted_and_those_that_it_asks_itself_are_not(
    colour_settings: ReplicaSettings,
) -> None:
    counted: list[int] = []
    backend = PictureBackend(colour_settings, counted.append)
    with serving(backend, colour_settings) as running:
        assert counted == []
        assert ask(running.port, picture_of("red"), "content-type: image/png").status == 200
    assert counted == [1]


@pytest.mark.parametrize("colour", COLOURS)
def test_a_picture_gets_its_probabilities(running: Serving, colour: str) -> None:
    answer = ask(running.port, picture_of(colour), "content-type: image/png")
    assert answer.status == 200
    (probabilities,) = answer.json
    assert COLOURS[int(np.argmax(probabilities))] == colour
    assert sum(probabilities) == pytest.approx(1)
    assert int(answer.headers["x-clary-model-us"]) > 0


def test_several_pictures_in_one_request_and_many_requests_at_once(running: Serving) -> None:
    levels = np.zeros((11, 20, 30, 3), np.uint8)
    for number in range(11):
        levels[number, ..., number % 3] = 255
    file = io.BytesIO()
    np.save(file, levels)
    asked = [(picture_of(COLOURS[n % 3]), "image/png", [n % 3]) for n in range(60)]
    asked += [(file.getvalue(), "application/x-npy", [n % 3 for n in range(11)])] * 6

    def one(case: tuple[bytes, str, list[int]]) -> None:
        answer = ask(running.port, case[0], f"content-type: {case[1]}")
        assert answer.status == 200
        assert [int(np.argmax(row)) for row in answer.json] == case[2]

    with ThreadPoolExecutor(16) as pool:
        list(pool.map(one, asked))


def test_one_bad_picture_spoils_no_others(running: Serving) -> None:
    whole = picture_of("red", 300, "JPEG")

    def one(number: int) -> int:
        body = whole[: len(whole) // 2] if number % 3 == 0 else whole
        return ask(running.port, body, "content-type: image/jpeg").status

    with ThreadPoolExecutor(12) as pool:
        assert Counter(pool.map(one, range(60))) == {400: 20, 200: 40}


def test_what_a_request_can_be_wrong_about(running: Serving) -> None:
    port, red = running.port, picture_of("red")
    assert ask(port, b"").status == 400
    assert ask(port, red, "content-type: text/csv").status == 415
    assert ask(port, red, "accept: text/html").status == 406
    for accept in ("application/json;verbose=true", "text/csv", "application/x-npy"):
        answer = ask(port, red, f"accept: {accept}")
        assert answer.status == 200
        assert answer.headers["content-type"] == accept.partition(";")[0]


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    body=st.binary(max_size=300)
    | st.binary(max_size=60).map(lambda tail: picture_of("blue")[:40] + tail)
    | st.recursive(st.none() | st.floats() | st.text(max_size=5), st.lists, max_leaves=9).map(
        lambda value: json.dumps(value).encode()
    ),
    kind=st.sampled_from(["image/jpeg", "application/json", "application/x-npy", "text/csv", ""]),
    accept=st.sampled_from(["", "*/*", "text/csv", "nonsense", "application/json;q=0"]),
)
def test_any_body_gets_one_right_answer(
    running: Serving, body: bytes, kind: str, accept: str
) -> None:
    answer = ask(running.port, body, f"content-type: {kind}", f"accept: {accept}")
    assert answer.status in {200, 400, 406, 413, 415}
    if answer.status != 200:
        assert answer.json["message"]


class Failing:
    """A runtime that fails as often as it is told to, and else answers by another one."""

    def __init__(self, inner: Runtime, failures: list[Exception]) -> None:
        self.inner = inner
        self.failures = failures
        self.name, self.classes = inner.name, inner.classes
        self.preprocessing, self.streams_wanted = inner.preprocessing, inner.streams_wanted
        self.batch_wanted = inner.batch_wanted

    def streams(self, count: int) -> list[Any]:
        return [self.failing(stream) for stream in self.inner.streams(count)]

    def whole(self) -> Any:
        stream = self.inner.whole()
        return None if stream is None else self.failing(stream)

    def failing(self, stream: Any) -> Any:
        outer = self

        class Failing:
            def probabilities(self, crops: Any) -> Any:
                if outer.failures:
                    raise outer.failures.pop()
                return stream.probabilities(crops)

        return Failing()


def test_a_network_that_fails_is_a_500_and_not_ready_until_it_answers_again(
    colour_settings: ReplicaSettings,
) -> None:
    failures: list[Exception] = []
    backend = PictureBackend(
        colour_settings, opens=lambda asked: Failing(open_runtime(asked), failures)
    )
    with serving(backend, colour_settings) as running:
        failures += [RuntimeError("out of memory")] * 3
        for _ in range(3):
            failed = ask(running.port, picture_of("red"))
            assert (failed.status, failed.json["message"]) == (
                500,
                "the network failed: out of memory",
            )
        assert get(running.port, "/ping").status == 200
        # The last one meets a picture of the server's own.
        failures += [RuntimeError("out of memory")] * 4
        for _ in range(3):
            assert ask(running.port, picture_of("red")).status == 500
        ping = get(running.port, "/ping")
        assert (ping.status, "out of memory" in ping.json["message"]) == (503, True)
        until(lambda: get(running.port, "/ping").status == 200)
        assert ask(running.port, picture_of("red")).status == 200


def test_nobody_is_refused_while_a_model_is_asked_whether_it_really_fails(
    colour_settings: ReplicaSettings,
) -> None:
    asked, go_on = threading.Event(), threading.Event()

    class Held(Failing):
        def failing(self, stream: Any) -> Any:
            inner = super().failing(stream)

            class Held:
                def probabilities(self, crops: Any) -> Any:
                    if begun and not failures and not asked.is_set():
                        asked.set()
                        assert go_on.wait(PATIENCE_S)
                    return inner.probabilities(crops)

            return Held()

    failures: list[Exception] = []
    begun = False
    backend = PictureBackend(
        colour_settings, opens=lambda asked: Held(open_runtime(asked), failures)
    )
    with serving(backend, colour_settings) as running, ThreadPoolExecutor(1) as pool:
        failures += [ValueError("not mine")] * 3
        begun = True
        unlucky = pool.submit(
            lambda: [ask(running.port, picture_of("red")).status for _ in range(3)]
        )
        assert asked.wait(PATIENCE_S)
        assert get(running.port, "/ping").status == 200
        assert ask(running.port, picture_of("blue")).status == 200
        go_on.set()
        assert unlucky.result(PATIENCE_S) == [500] * 3


def test_a_model_that_cannot_be_loaded_or_does_not_answer(colour_settings: ReplicaSettings) -> None:
    missing = colour_settings.model_copy(update={"converted": "/nowhere"})
    with pytest.raises(FormatError), serving(PictureBackend(missing), missing):
        pass
    broken = PictureBackend(
        colour_settings,
        opens=lambda asked: Failing(open_runtime(asked), [RuntimeError("no weights")]),
    )
    with pytest.raises(ModelError, match="no weights"), serving(broken, colour_settings):
        pass


def test_several_models_are_loaded_when_asked_for_and_the_oldest_let_go(
    tmp_path: Path,
) -> None:
    opened: list[str] = []
    for name in ("a", "b", "c"):
        model = make_colour_model(tmp_path / "models" / name)
        convert_colour_model(ConvertedModel.of(model, Settings.from_environment().cache_dir))

    def opens(asked: ReplicaSettings) -> Runtime:
        opened.append(Path(asked.model).name)
        return open_runtime(asked)

    several = replica_settings(
        model=str(tmp_path / "models"), multi_model=True, models_kept=2, workers=1
    )
    with serving(PictureBackend(several, opens=opens), several) as running:
        for name in ("a", "b", "a", "c", "a", "b"):
            answer = ask(running.port, picture_of("blue"), f"x-clary-model: {name}")
            assert answer.status == 200
        assert opened == ["a", "b", "c", "b"]
        assert ask(running.port, picture_of("blue")).status == 400
        for name in ("../a", ".a", "none"):
            assert ask(running.port, picture_of("blue"), f"x-clary-model: {name}").status == 404


def test_one_model_of_several_that_fails_leaves_the_others_alone(
    colour_settings: ReplicaSettings, tmp_path: Path
) -> None:
    failures: list[Exception] = [RuntimeError("boom")] * 1000
    several = several_models(tmp_path, colour_settings, "good", "bad")

    def opens(asked: ReplicaSettings) -> Any:
        runtime = open_runtime(asked)
        return Failing(runtime, failures) if asked.model.endswith("bad") else runtime

    with serving(PictureBackend(several, opens=opens), several) as running:
        for _ in range(5):
            failed = ask(running.port, picture_of("red"), "x-clary-model: bad")
            assert (failed.status, failed.json["message"]) == (500, "the network failed: boom")
        assert get(running.port, "/ping").status == 200
        assert ask(running.port, picture_of("red"), "x-clary-model: good").status == 200
        failures.clear()
        assert ask(running.port, picture_of("red"), "x-clary-model: bad").status == 200


def test_a_model_that_could_not_be_loaded_once_is_tried_again_and_a_new_folder_is_a_new_model(
    colour_settings: ReplicaSettings, tmp_path: Path
) -> None:
    several = several_models(tmp_path, colour_settings, "dogs")
    errors: list[Exception] = [OSError("too many open files")]
    opened: list[int] = []

    def opens(asked: ReplicaSettings) -> Runtime:
        if errors:
            raise errors.pop()
        opened.append(1)
        return open_runtime(asked)

    with serving(PictureBackend(several, opens=opens), several) as running:
        failed = ask(running.port, picture_of("red"), "x-clary-model: dogs")
        assert failed.status == 500
        assert "cannot be loaded: OSError: too many open files" in failed.json["message"]
        for _ in range(2):
            assert ask(running.port, picture_of("red"), "x-clary-model: dogs").status == 200
        assert len(opened) == 1
        folder = Path(several.model) / "dogs"
        folder.rename(tmp_path / "before")
        make_colour_model(folder)
        assert ask(running.port, picture_of("red"), "x-clary-model: dogs").status == 200
        assert len(opened) == 2


def test_int8_that_was_never_calibrated_converts_nothing(
    tmp_path: Path,
) -> None:
    make_colour_model(tmp_path / "models" / "dogs")
    several = replica_settings(
        model=str(tmp_path / "models"), multi_model=True, workers=1, precision="int8"
    )
    with serving(PictureBackend(several), several) as running:
        refused = ask(running.port, picture_of("red"), "x-clary-model: dogs")
    assert refused.status == 500
    assert "cannot be loaded" in refused.json["message"]
    assert not list((tmp_path / "home").rglob("fp32.xml"))


def test_a_picture_whose_answer_is_none_fails_alone(colour_settings: ReplicaSettings) -> None:
    def opens(asked: ReplicaSettings) -> Any:
        return Fragile(open_runtime(asked))

    backend = PictureBackend(colour_settings, opens=opens)
    with serving(backend, colour_settings) as running:
        for colour, message in (("red", "NaN"), ("green", "it is green")):

            def one(number: int, colour: str = colour) -> int:
                body = picture_of(colour if number % 4 == 0 else "blue")
                return ask(running.port, body, "content-type: image/png").status

            with ThreadPoolExecutor(16) as pool:
                assert Counter(pool.map(one, range(64))) == {500: 16, 200: 48}
            for _ in range(6):
                failed = ask(running.port, picture_of(colour), "content-type: image/png")
                assert failed.status == 500
                assert message in failed.json["message"]
            assert get(running.port, "/ping").status == 200


def test_who_is_alone_gets_the_whole_machine_and_keeps_nobody_waiting(
    colour_settings: ReplicaSettings,
) -> None:
    used: list[str] = []
    opened = threading.Event()

    class Telling(Failing):
        def __init__(self, inner: Runtime) -> None:
            super().__init__(inner, [])
            self.streams_wanted = 2

        def streams(self, count: int) -> list[Any]:
            return [self.telling(stream, "one of several") for stream in self.inner.streams(count)]

        def whole(self) -> Any:
            return self.telling(self.inner.streams(1)[0], "whole")

        def telling(self, stream: Any, name: str) -> Any:
            class Stream:
                def probabilities(self, crops: Any) -> Any:
                    used.append(name)
                    if name == "whole":
                        opened.wait(60)
                    return stream.probabilities(crops)

            return Stream()

    def status(colour: str) -> int:
        return ask(running.port, picture_of(colour)).status

    opened.set()
    free = colour_settings.model_copy(update={"workers": None})
    backend = PictureBackend(free, opens=lambda asked: Telling(open_runtime(asked)))
    with serving(backend, free) as running, ThreadPoolExecutor(1) as pool:
        # Each answers before anybody asks it.
        until(lambda: Counter(used) == {"whole": 1, "one of several": 2})
        until(lambda: status("red") == 200 and used[-1] == "whole")
        used.clear()
        assert [status("red") for _ in range(3)] == [200] * 3
        assert used == ["whole"] * 3
        used.clear()
        opened.clear()
        first = pool.submit(status, "red")
        until(lambda: used == ["whole"])
        assert [status("blue") for _ in range(3)] == [200] * 3
        assert used == ["whole"] + ["one of several"] * 3
        opened.set()
        assert first.result(60) == 200


def test_without_all_cores_it_serves_all_the_same(colour_settings: ReplicaSettings) -> None:
    class Narrow(Failing):
        def whole(self) -> Any:
            raise RuntimeError("out of memory")

    said: list[str] = []
    free = colour_settings.model_copy(update={"workers": None})
    backend = PictureBackend(
        free, opens=lambda asked: Narrow(open_runtime(asked), []), complain=said.append
    )
    with serving(backend, free) as running:
        until(
            lambda: said == ["clary: a request that comes alone gets one core only: out of memory"]
        )
        assert ask(running.port, picture_of("red")).status == 200


class Fragile(Failing):
    """Has no numbers for red pictures, and fails at green ones."""

    def __init__(self, inner: Runtime) -> None:
        super().__init__(inner, [])

    def failing(self, stream: Any) -> Any:
        class Fragile:
            def probabilities(self, crops: Any) -> Any:
                probabilities = np.array(stream.probabilities(crops))
                colours = crops.reshape(len(crops), -1, 3).mean(1)
                sure = colours.max(1) > 2 * np.median(colours, axis=1) + 50
                if (sure & (colours.argmax(1) == COLOURS.index("green"))).any():
                    raise RuntimeError("it is green")
                probabilities[sure & (colours.argmax(1) == COLOURS.index("red"))] = np.nan
                return probabilities

        return Fragile()


def several_models(tmp_path: Path, one: ReplicaSettings, *names: str) -> ReplicaSettings:
    """Folders that are converted already, in a cache of their own."""
    for name in names:
        model = make_colour_model(tmp_path / "models" / name)
        convert_colour_model(ConvertedModel.of(model, Settings.from_environment().cache_dir))
    return one.model_copy(
        update={"model": str(tmp_path / "models"), "multi_model": True, "workers": 1}
    )
