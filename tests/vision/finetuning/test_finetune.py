"""Fine-tuning from end to end on made-up pictures: learning, resuming, stopping, failing well."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import pytest
import torch

from clary.errors import (
    Interrupted,
    NonFiniteLoss,
    OutOfMemory,
    UnreadablePicture,
    UsageError,
)
from clary.vision import finetune, load_model
from clary.vision.finetuning import StopRequest
from clary.vision.observer import Observer

# A network of 350,000 parameters that timm keeps for tests, from random weights.
WORDS = {
    "model": "test_resnet",
    "weights": "none",
    "image_size": 32,
    "batch_size": 8,
    "epochs": 4,
    "precision": "fp32",
    "augmentation": "standard",
    "workers": 2,
}
TIMES = ("seconds", "images_per_second")


class Notes(Observer):
    """Keeps what is said."""

    def __init__(self):
        self.messages = []
        self.epochs = []

    def message(self, text):
        self.messages.append(text)

    def epoch_ended(self, epoch):
        self.epochs.append(epoch)


class StopAt(Observer):
    """Asks for a stop after one step."""

    def __init__(self, stop, epoch, step):
        self.stop, self.epoch, self.step = stop, epoch, step

    def step_ended(self, step):
        if (step.epoch, step.step) == (self.epoch, self.step):
            self.stop.stop()


def curve(result):
    """The history without what a clock says."""
    return [{k: v for k, v in asdict(e).items() if k not in TIMES} for e in result.history.epochs]


@pytest.fixture
def pictures(picture_folder):
    return picture_folder(splits={"train": 14, "valid": 6, "test": 6}, size=40)


def test_learns_and_leaves_a_model_that_answers_alike(pictures, tmp_path, settings):
    words = {**WORDS, "augmentation": "none", "epochs": 8}
    result = finetune(pictures, output=tmp_path / "run", settings=settings, **words)
    assert result.evaluation["test"].accuracy > 0.8
    classifier, description = load_model(result.model_folder)
    assert description.classes == ("class_0", "class_1", "class_2")
    picture = torch.rand(2, 3, 32, 32)
    result.classifier.eval()
    with torch.inference_mode():
        expected = result.classifier(picture)
        assert torch.allclose(classifier.eval()(picture), expected, atol=1e-5)
    lines = (tmp_path / "run/output/data/epochs.jsonl").read_text().splitlines()
    assert len(lines) == 8
    assert json.loads(lines[0])["epoch"] == 1


def test_same_seed_same_run(pictures, tmp_path, settings):
    first = finetune(pictures, output=tmp_path / "a", settings=settings, **WORDS)
    words = {**WORDS, "workers": 1}
    second = finetune(pictures, output=tmp_path / "b", settings=settings, **words)
    other = finetune(pictures, output=tmp_path / "c", settings=settings, seed=1, **WORDS)
    assert curve(first) == curve(second)
    assert curve(first) != curve(other)


@pytest.mark.parametrize(
    "more",
    [
        {},
        {"ema": 0.9, "mixup": 0.2, "label_smoothing": 0.1},
        {"optimizer": "sgd", "accumulate": 2, "dropout": 0.3, "class_balance": "sampler"},
        {"freeze_epochs": 1, "layer_decay": 0.7, "cutmix": 1.0, "schedule": "onecycle"},
    ],
)
@pytest.mark.parametrize("where", [(2, 1), (3, 0)])
def test_resumed_curve_is_the_uninterrupted_one(pictures, tmp_path, settings, more, where):
    words = {**WORDS, **more}
    whole = finetune(pictures, output=tmp_path / "whole", settings=settings, **words)
    stop = StopRequest()
    with pytest.raises(Interrupted, match=rf"epoch {where[0]} of 4.*checkpoint is kept"):
        finetune(
            pictures,
            output=tmp_path / "parts",
            settings=settings,
            observers=[StopAt(stop, *where)],
            stop=stop,
            **words,
        )
    resumed = finetune(pictures, output=tmp_path / "parts", settings=settings, **words)
    assert curve(resumed) == curve(whole)
    for name, tensor in whole.classifier.state_dict().items():
        assert torch.equal(tensor, resumed.classifier.state_dict()[name]), name


def test_finished_run_says_so_and_more_epochs_are_listed(pictures, tmp_path, settings):
    words = {**WORDS, "schedule": "constant", "epochs": 2}
    first = finetune(pictures, output=tmp_path / "run", settings=settings, **words)
    notes = Notes()
    again = finetune(
        pictures, output=tmp_path / "run", settings=settings, observers=[notes], **words
    )
    assert curve(again) == curve(first)
    assert notes.epochs == []
    assert any("this run is finished (2 of 2 epochs)" in text for text in notes.messages)

    notes = Notes()
    words["epochs"] = 3
    longer = finetune(
        pictures, output=tmp_path / "run", settings=settings, observers=[notes], **words
    )
    assert len(longer.history.epochs) == 3
    assert "resuming with changed options: epochs 2 → 3" in notes.messages


def test_another_model_cannot_go_on(pictures, tmp_path, settings):
    finetune(pictures, output=tmp_path / "run", settings=settings, **{**WORDS, "epochs": 1})
    with pytest.raises(UsageError, match="made with --image-size 32 but now it is 48"):
        finetune(
            pictures,
            output=tmp_path / "run",
            settings=settings,
            **{**WORDS, "epochs": 1, "image_size": 48},
        )


def test_infinite_rate_stops_with_step_and_remedy(pictures, tmp_path, settings):
    words = {**WORDS, "optimizer": "sgd", "lr": 1e30, "schedule": "constant"}
    with pytest.raises(NonFiniteLoss, match=r"at step \d+ \(epoch \d\): try a lower --lr"):
        finetune(pictures, output=tmp_path / "run", settings=settings, **words)


class LittleMemory(Observer):
    """Makes the network refuse more than a number of pictures, as a full GPU would."""

    def __init__(self, most):
        self.most = most
        self.messages = []
        self.largest = 0

    def run_started(self, run):
        def refuse(module, inputs):
            if len(inputs[0]) > self.most and module.training:
                raise torch.OutOfMemoryError("out of memory")
            self.largest = max(self.largest, len(inputs[0]))

        run.model.register_forward_pre_hook(refuse)

    def message(self, text):
        self.messages.append(text)


def test_out_of_memory_goes_on_in_pieces_and_says_so(pictures, tmp_path, settings):
    memory = LittleMemory(most=3)
    finetune(pictures, output=tmp_path / "run", settings=settings, observers=[memory], **WORDS)
    said = [text for text in memory.messages if "memory does not suffice" in text]
    assert [text.split("pieces of ")[1].split()[0] for text in said] == ["4", "2"]


def test_out_of_memory_for_one_picture_is_an_error(pictures, tmp_path, settings):
    with pytest.raises(OutOfMemory, match="a single picture of 32 pixels does not fit"):
        finetune(
            pictures,
            output=tmp_path / "run",
            settings=settings,
            observers=[LittleMemory(most=0)],
            **WORDS,
        )


class Spoil(Observer):
    """Truncates every training picture once training has begun."""

    def __init__(self, folder: Path):
        self.kept = {path: path.read_bytes() for path in folder.rglob("*.jpg")}
        self.done = False

    def step_ended(self, step):
        if not self.done:
            self.done = True
            for path, content in self.kept.items():
                path.write_bytes(content[: len(content) // 2])

    def mend(self):
        for path, content in self.kept.items():
            path.write_bytes(content)


def test_picture_that_turns_bad_is_named_and_nothing_is_lost(pictures, tmp_path, settings):
    words = {**WORDS, "batch_size": 4, "epochs": 1}
    whole = finetune(pictures, output=tmp_path / "whole", settings=settings, **words)
    spoil = Spoil(pictures / "train")
    with pytest.raises(UnreadablePicture, match=r"\.jpg cannot be read"):
        finetune(pictures, output=tmp_path / "run", settings=settings, observers=[spoil], **words)
    spoil.mend()
    notes = Notes()
    resumed = finetune(
        pictures, output=tmp_path / "run", settings=settings, observers=[notes], **words
    )
    assert any("going on" in text or "starts again" in text for text in notes.messages)
    assert len(resumed.history.epochs) == len(whole.history.epochs)


def test_patience_ends_the_run(pictures, tmp_path, settings):
    notes = Notes()
    words = {**WORDS, "lr": 1e-12, "epochs": 30, "patience": 2, "monitor": "valid_accuracy"}
    result = finetune(
        pictures, output=tmp_path / "run", settings=settings, observers=[notes], **words
    )
    assert len(result.history.epochs) < 30
    assert any("no better one for 2 epochs" in text for text in notes.messages)


def test_fewer_pictures_than_a_batch_still_train(pictures, tmp_path, settings):
    notes = Notes()
    words = {**WORDS, "batch_size": 512, "epochs": 1}
    result = finetune(
        pictures, output=tmp_path / "run", settings=settings, observers=[notes], **words
    )
    assert any("the batch is 42 pictures instead of 512" in text for text in notes.messages)
    assert result.history.epochs[0].train_accuracy > 0


@pytest.fixture
def first_model(pictures, tmp_path, settings):
    """A trained model to go on from, whose backbone knows the made-up pictures."""
    words = {**WORDS, "augmentation": "none", "epochs": 6}
    return finetune(pictures, output=tmp_path / "first", settings=settings, **words).model_folder


FROZEN = {
    "trainable_layers": 0,
    "epochs": 5,
    "batch_size": 8,
    "precision": "fp32",
    "image_size": 32,
    "lr": 0.01,
}


@pytest.mark.parametrize(
    "more", [{}, {"views": 3}, {"batch_size": 5, "accumulate": 2, "class_balance": "loss"}]
)
def test_features_give_the_curve_of_the_uncached_path(
    pictures, tmp_path, settings, first_model, more
):
    for picture in sorted((pictures / "train/class_2").iterdir())[:6]:
        picture.unlink()
    words = {**FROZEN, "weight_path": str(first_model), "hidden": (16,), **more}
    cached = finetune(pictures, output=tmp_path / "cached", settings=settings, **words)
    plain = finetune(
        pictures, output=tmp_path / "plain", settings=settings, feature_cache=False, **words
    )
    for fast, slow in zip(cached.history.epochs, plain.history.epochs, strict=True):
        assert fast.train_loss == pytest.approx(slow.train_loss, abs=1e-6)
        assert fast.valid_loss == pytest.approx(slow.valid_loss, abs=1e-6)
        assert fast.train_accuracy == slow.train_accuracy


def test_head_on_features_resumes_exactly(pictures, tmp_path, settings, first_model):
    words = {**FROZEN, "weight_path": str(first_model), "dropout": 0.4, "ema": 0.9}
    whole = finetune(pictures, output=tmp_path / "whole", settings=settings, **words)
    stop = StopRequest()
    with pytest.raises(Interrupted):
        finetune(
            pictures,
            output=tmp_path / "parts",
            settings=settings,
            observers=[StopAt(stop, 3, 2)],
            stop=stop,
            **words,
        )
    resumed = finetune(pictures, output=tmp_path / "parts", settings=settings, **words)
    assert curve(resumed) == curve(whole)


def test_frozen_backbone_without_weights_is_refused(pictures, tmp_path, settings):
    with pytest.raises(UsageError, match="a frozen backbone with random weights"):
        finetune(
            pictures,
            output=tmp_path / "run",
            settings=settings,
            **{**WORDS, "trainable_layers": 0},
        )


def test_frozen_backbone_stays_what_it_was(pictures, tmp_path, settings, first_model):
    before, _ = load_model(first_model)
    words = {**FROZEN, "weight_path": str(first_model)}
    for cache in (True, False):
        result = finetune(
            pictures,
            output=tmp_path / f"run{cache}",
            settings=settings,
            feature_cache=cache,
            **words,
        )
        after = result.classifier.backbone.state_dict()
        for name, tensor in before.backbone.state_dict().items():
            assert torch.equal(tensor, after[name]), name


def test_other_classes_keep_the_backbone_and_say_so(
    picture_folder, tmp_path, settings, first_model
):
    others = picture_folder("others", classes=4, splits={"train": 8, "valid": 4}, size=40)
    notes = Notes()
    words = {**FROZEN, "weight_path": str(first_model), "epochs": 2}
    result = finetune(
        others, output=tmp_path / "run", settings=settings, observers=[notes], **words
    )
    assert result.classifier.class_count == 4
    assert any("the backbone is kept, the head is new" in text for text in notes.messages)


def test_other_held_out_pictures_are_refused_on_resume(picture_folder, tmp_path, settings):
    data = picture_folder("whole", per_class=12, size=40)
    words = {**WORDS, "epochs": 1}
    finetune(data, output=tmp_path / "run", settings=settings, **words)
    with pytest.raises(UsageError, match="--seed changed, so that other pictures"):
        finetune(data, output=tmp_path / "run", settings=settings, seed=5, **words)
    (data / "class_0/9999.jpg").write_bytes((data / "class_0/0001.jpg").read_bytes())
    with pytest.raises(UsageError, match="the data changed, so that other pictures"):
        finetune(data, output=tmp_path / "run", settings=settings, **words)


def test_head_does_not_go_on_with_another_backbone(pictures, tmp_path, settings, first_model):
    words = {**FROZEN, "weight_path": str(first_model), "epochs": 2}
    finetune(pictures, output=tmp_path / "run", settings=settings, **words)
    more = {**WORDS, "augmentation": "none", "epochs": 7}
    finetune(pictures, output=tmp_path / "first", settings=settings, **more)
    with pytest.raises(UsageError, match="the first weights are not those"):
        finetune(pictures, output=tmp_path / "run", settings=settings, **words)


def test_changed_weight_decay_counts_from_the_resume_on(pictures, tmp_path, settings):
    words = {**WORDS, "schedule": "constant", "epochs": 2}
    kept, changed = tmp_path / "kept", tmp_path / "changed"
    finetune(pictures, output=kept, settings=settings, **words)
    finetune(pictures, output=changed, settings=settings, **words)
    words["epochs"] = 3
    same = finetune(pictures, output=kept, settings=settings, **words)
    other = finetune(pictures, output=changed, settings=settings, weight_decay=5.0, **words)
    assert curve(same)[:2] == curve(other)[:2]
    assert curve(same)[2]["valid_loss"] != curve(other)[2]["valid_loss"]


class Poison(Observer):
    """Puts a NaN into the weights at the end of an epoch's training."""

    def __init__(self, epoch, step):
        self.when = (epoch, step)

    def run_started(self, run):
        self.model = run.model

    def step_ended(self, step):
        if (step.epoch, step.step) == self.when and step.mode == "train":
            next(self.model.parameters()).data.fill_(float("nan"))


def test_weights_that_went_wrong_never_take_the_place_of_the_checkpoint(
    pictures, tmp_path, settings
):
    words = {**WORDS, "epochs": 3}
    whole = finetune(pictures, output=tmp_path / "whole", settings=settings, **words)
    stop = StopRequest()
    with pytest.raises(Interrupted):
        finetune(
            pictures,
            output=tmp_path / "run",
            settings=settings,
            observers=[StopAt(stop, 2, 0)],
            stop=stop,
            **words,
        )
    last = 5  # 42 pictures in batches of 8
    with pytest.raises(NonFiniteLoss, match="validation loss became nan in epoch 2"):
        finetune(
            pictures,
            output=tmp_path / "run",
            settings=settings,
            observers=[Poison(2, last)],
            **words,
        )
    resumed = finetune(pictures, output=tmp_path / "run", settings=settings, **words)
    assert curve(resumed) == curve(whole)


def test_another_model_than_the_one_gone_on_from_is_refused(
    pictures, tmp_path, settings, first_model
):
    with pytest.raises(UsageError, match="holds a test_resnet: leave --model out"):
        finetune(
            pictures,
            output=tmp_path / "run",
            settings=settings,
            model="resnet18",
            weight_path=str(first_model),
        )


def test_one_picture_at_a_time_says_what_to_do(pictures, tmp_path, settings):
    with pytest.raises(UsageError, match="give --batch-size 2 or more"):
        finetune(
            pictures,
            output=tmp_path / "run",
            settings=settings,
            **{**WORDS, "batch_size": 1, "model": "mobilenetv3_small_050"},
        )
