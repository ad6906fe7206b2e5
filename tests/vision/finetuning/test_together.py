"""Runs that are trained together: each is what it is alone, and none is in another's way."""

from __future__ import annotations

import json
import time
from dataclasses import asdict
from pathlib import Path

import pytest
import torch

from clary.errors import Interrupted, NonFiniteLoss, UnreadablePicture, UsageError
from clary.formats.model_archive import ModelDescription
from clary.formats.training_options import TrainingOptions
from clary.vision import build_classifier, finetune, load_model, save_model
from clary.vision.datasets import open_dataset
from clary.vision.finetuning.together import Entrant, TrainingTogether
from clary.vision.observer import Observer

TIMES = ("seconds", "images_per_second")


@pytest.fixture
def pictures(picture_folder):
    return picture_folder(splits={"train": 10, "valid": 5, "test": 4}, size=40)


@pytest.fixture
def words(tmp_path):
    """Options of a run over a frozen backbone that is on the disk."""
    classes = ("x", "y")
    classifier, preprocessing, _ = build_classifier(
        "test_resnet", classes, weights="none", image_size=32
    )
    description = ModelDescription(
        architecture=classifier.architecture, classes=classes, preprocessing=preprocessing
    )
    save_model(tmp_path / "backbone", classifier, description)
    return {
        "weight_path": str(tmp_path / "backbone"),
        "trainable_layers": 0,
        "precision": "fp32",
        "epochs": 4,
        "batch_size": 8,
        "lr": 0.05,
        "workers": 1,
    }


class Notes(Observer):
    """Keeps what a run says, without what a clock says."""

    def __init__(self):
        self.lines = []
        self.ends = []

    def message(self, text):
        self.lines.append(text)

    def progress(self, task, done, total):
        self.lines.append((task, done, total))

    def epoch_ended(self, epoch):
        self.lines.append(("epoch", epoch.epoch, epoch.best))

    def run_ended(self, error):
        self.ends.append(error)


class Together:
    """Trains entrants to their ends, which are kept by the name of their output."""

    def __init__(self, dataset, folder, settings):
        self.dataset, self.folder = dataset, folder
        self.results = {}
        self.training = TrainingTogether(settings, self._ended, self._attend)
        self.attending = []

    def _ended(self, entrant, result):
        assert entrant.output.name not in self.results
        self.results[entrant.output.name] = result

    def _attend(self):
        for call in self.attending:
            call()

    def entrant(self, name, words, **more):
        options = TrainingOptions.parse(words)
        return Entrant(self.dataset, self.folder / name, options, **more)

    def train(self, entrants):
        with self.training as training:
            training.enter(entrants)
            while training.busy:
                training.advance()
        return self.results


@pytest.fixture
def together(pictures, tmp_path, settings):
    return Together(open_dataset(pictures, settings=settings), tmp_path / "together", settings)


def curve(result):
    """The history without what a clock says."""
    return [{k: v for k, v in asdict(e).items() if k not in TIMES} for e in result.history.epochs]


def assert_same(one, other):
    for ours, theirs in zip(curve(one), curve(other), strict=True):
        assert ours == pytest.approx(theirs, abs=1e-6)
    for name, tensor in one.classifier.state_dict().items():
        torch.testing.assert_close(tensor, other.classifier.state_dict()[name], atol=1e-5, rtol=0)


VARIETY = [
    {},
    {"lr": 0.3, "optimizer": "sgd", "weight_decay": 0.1},
    {"optimizer": "adam", "dropout": 0.4, "ema": 0.9},
    {"epochs": 2, "schedule": "step", "step_epochs": 1},
    {"epochs": 7, "schedule": "onecycle", "label_smoothing": 0.1, "clip_grad": 0.5},
    {"batch_size": 4, "accumulate": 2, "class_balance": "loss"},
    {"batch_size": 5},
    {"hidden": (12,), "dropout": 0.2},
    {"views": 2, "augmentation": "flip"},
    {"seed": 7, "class_balance": "sampler"},
    {"patience": 1, "epochs": 30, "monitor": "valid_loss"},
]


def test_each_is_what_it_is_alone(pictures, tmp_path, settings, together, words):
    alone = {
        str(number): finetune(
            pictures, output=tmp_path / f"alone-{number}", settings=settings, **{**words, **more}
        )
        for number, more in enumerate(VARIETY)
    }
    notes = [Notes() for _ in VARIETY]
    found = together.train(
        [
            together.entrant(str(number), {**words, **more}, observers=[notes[number]])
            for number, more in enumerate(VARIETY)
        ]
    )
    assert [one.ends for one in notes] == [[None]] * len(VARIETY)
    for number, result in found.items():
        assert_same(result, alone[number])
        ours, theirs = (
            {path.relative_to(place).as_posix() for path in place.rglob("*") if path.is_file()}
            for place in (result.output, alone[number].output)
        )
        assert ours == theirs
        one, other = (
            json.loads((place / "output/data/evaluation.json").read_text())
            for place in (result.output, alone[number].output)
        )
        assert one["splits"]["test"]["accuracy"] == other["splits"]["test"]["accuracy"]


def test_a_loss_that_is_not_finite_is_one_s_own(pictures, tmp_path, settings, together, words):
    wild = {**words, "lr": 1e38, "optimizer": "sgd"}
    found = together.train(
        [together.entrant("wild", wild), together.entrant("tame", words)],
    )
    assert isinstance(found["wild"], NonFiniteLoss)
    with pytest.raises(NonFiniteLoss) as alone:
        finetune(pictures, output=tmp_path / "wild", settings=settings, **wild)
    assert str(found["wild"]) == str(alone.value)
    tame = finetune(pictures, output=tmp_path / "tame", settings=settings, **words)
    assert_same(found["tame"], tame)


class StopAfter(Observer):
    """Asks for a stop after a step."""

    def __init__(self, epoch, step):
        self.when = (epoch, step)
        self.stops = []

    def step_ended(self, step):
        if step.mode == "train" and (step.epoch, step.step) == self.when:
            for stop in self.stops:
                stop.stop()


class SlowSteps(Observer):
    """Makes every step last at least so long; of a group, one observer is asked."""

    SECONDS = 0.02

    def phase_started(self, phase):
        if phase == "optimizer":
            time.sleep(self.SECONDS)


def test_all_take_the_time_that_the_steps_of_the_group_take(together, words):
    entrants = [together.entrant(str(n), words, observers=[SlowSteps()]) for n in range(4)]
    found = together.train(entrants)
    for result in found.values():
        for epoch in result.history.epochs:
            assert epoch.seconds >= 4 * SlowSteps.SECONDS
            assert 0 < epoch.images_per_second <= 30 / (4 * SlowSteps.SECONDS)


@pytest.mark.parametrize("who", [0, 1, 2])
def test_who_stops_within_an_epoch_goes_on_exactly_where_it_stood(
    pictures, tmp_path, settings, together, words, who
):
    stopping = StopAfter(2, 1)
    entrants = [
        together.entrant(str(number), words, observers=[stopping] if number == 0 else [])
        for number in range(3)
    ]
    stopping.stops.append(entrants[who].stop)
    found = together.train(entrants)
    assert isinstance(found[str(who)], Interrupted)
    assert "in epoch 2 of 4 after step 2 of 4" in str(found[str(who)])
    whole = finetune(pictures, output=tmp_path / "whole", settings=settings, **words)
    resumed = finetune(pictures, output=entrants[who].output, settings=settings, **words)
    assert_same(resumed, whole)
    for number in {0, 1, 2} - {who}:
        assert_same(found[str(number)], whole)


def test_all_stop_at_once(together, words):
    stopping = StopAfter(2, 3)
    entrants = [together.entrant(str(n), words, observers=[stopping]) for n in range(3)]
    stopping.stops.extend(entrant.stop for entrant in entrants)
    found = together.train(entrants)
    assert all(isinstance(result, Interrupted) for result in found.values())


def test_a_stop_during_the_features_is_one_s_own(together, words):
    entrants = [together.entrant(str(n), words, observers=[Notes()]) for n in range(2)]
    together.attending.append(entrants[0].stop.stop)
    found = together.train(entrants)
    assert "stopped after the features of" in str(found["0"])
    assert found["1"].history.epochs


def test_options_that_fit_nothing_end_one_run(together, words):
    found = together.train(
        [
            together.entrant("wrong", {**words, "mixup": 0.2}),
            together.entrant("lost", {**words, "weight_path": "nowhere"}),
            together.entrant("right", words),
        ]
    )
    assert isinstance(found["wrong"], UsageError)
    assert "nowhere" in str(found["lost"])
    assert found["right"].history.epochs


def test_a_picture_that_cannot_be_read_ends_all_who_need_it(pictures, together, words):
    victim = sorted((pictures / "train/class_1").iterdir())[3]
    victim.write_bytes(victim.read_bytes()[:200])
    notes = [Notes(), Notes()]
    found = together.train(
        [together.entrant(str(n), words, observers=[notes[n]]) for n in range(2)]
    )
    assert all(isinstance(result, UnreadablePicture) for result in found.values())
    assert [one.ends for one in notes] == [[found["0"]], [found["1"]]]


def test_who_comes_later_has_a_group_of_its_own(pictures, tmp_path, settings, together, words):
    with together.training as training:
        training.enter([together.entrant("first", {**words, "epochs": 6})])
        training.advance()
        training.enter([together.entrant("second", words)])
        while training.busy:
            training.advance()
    assert list(together.results) == ["second", "first"]
    alone = finetune(pictures, output=tmp_path / "alone", settings=settings, **words)
    assert_same(together.results["second"], alone)


def test_a_run_with_a_checkpoint_goes_on(pictures, tmp_path, settings, together, words):
    short = {**words, "schedule": "constant"}
    finetune(pictures, output=together.folder / "old", settings=settings, **{**short, "epochs": 2})
    found = together.train([together.entrant(name, short) for name in ("old", "new")])
    for old, new in zip(curve(found["old"])[2:], curve(found["new"])[2:], strict=True):
        assert old == pytest.approx(new, abs=1e-6)
    classifier, _ = load_model(Path(found["old"].model_folder))
    assert classifier.class_count == 3
