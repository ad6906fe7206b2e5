from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
import timm
import torch

from clary.errors import UnreadablePicture
from clary.formats.model_archive import Architecture
from clary.formats.preprocessing import Preprocessing
from clary.settings import Settings
from clary.vision.datasets import FileSource, Split
from clary.vision.features import HeadBank, HeadOptions, backends, extract_features
from clary.vision.features.backends import TorchBackend
from clary.vision.features.folding import fold_batchnorm
from clary.vision.features.openvino_network import computes_in_bf16
from clary.vision.geometry import EvaluationTransform
from clary.vision.loaders import BatchLoader
from clary.vision.models import Classifier, build_classifier, build_head
from clary.vision.transforms import TrainingTransform, to_network_input, view_of_epoch

PREPROCESSING = Preprocessing(image_size=32, resize_size=36)


def small_classifier() -> Classifier:
    torch.manual_seed(0)
    backbone = timm.create_model("test_resnet", pretrained=False, num_classes=0)
    with torch.no_grad():
        for module in backbone.modules():
            if isinstance(module, torch.nn.BatchNorm2d):
                module.running_mean.normal_(0, 0.2)
                module.running_var.uniform_(0.5, 2)
    head = build_head(backbone.num_features, 3)
    return Classifier(backbone, head, Architecture(name="test_resnet"))


@pytest.fixture(scope="module")
def classifier() -> Classifier:
    return small_classifier()


def features_of(classifier, split, settings, **options):
    options = {"precision": "fp32", "workers": 2} | options
    return extract_features(
        classifier,
        split,
        preprocessing=PREPROCESSING,
        settings=settings,
        weights_fingerprint="made up",
        **options,
    )


def uncached(classifier, split, *, augmentation="standard", epoch=1, views=1, size=8):
    """What the network sees and gives in an epoch, by picture."""
    loader = BatchLoader(
        split, TrainingTransform(PREPROCESSING, augmentation), batch_size=size, seed=7, shuffle=True
    )
    rows = torch.zeros(len(split), classifier.feature_count)
    classifier.eval()
    with torch.inference_mode():
        for batch in loader.batches(epoch, view=view_of_epoch(epoch, views)):
            inputs = to_network_input(batch.images, PREPROCESSING)
            rows[batch.indices] = classifier.backbone(inputs)
    return rows.numpy()


def relative(found, expected) -> float:
    return float(np.linalg.norm(found - expected) / np.linalg.norm(expected))


def test_views_are_what_the_uncached_loop_sees(classifier, make_split, settings):
    split = make_split(21)
    with features_of(
        classifier, split, settings, views=3, augmentation="standard", seed=7
    ) as features:
        assert len(features) == 21 and len(features.views) == 3
        assert features.labels.tolist() == split.labels.tolist()
        for epoch in range(1, 5):
            expected = uncached(classifier, split, epoch=epoch, views=3)
            found = features.views[view_of_epoch(epoch, 3)]
            assert np.abs(found - expected).max() <= 1e-6 * np.abs(expected).max() + 1e-7
        assert relative(features.views[1], features.views[2]) > 1e-3


def test_heads_on_cached_features_equal_the_uncached_path(classifier, make_split, settings):
    split = make_split(40)
    option = HeadOptions(dropout=0.1, seed=7)
    cached_bank = HeadBank([classifier.head], [option])
    uncached_bank = HeadBank([classifier.head], [option])
    transform = TrainingTransform(PREPROCESSING, "standard")
    loader = BatchLoader(split, transform, batch_size=8, seed=7, shuffle=True)
    classifier.eval()
    with features_of(
        classifier, split, settings, views=2, augmentation="standard", seed=7
    ) as features:
        for epoch in range(1, 5):
            view = view_of_epoch(epoch, 2)
            for batch in loader.batches(epoch, view=view):
                with torch.inference_mode():
                    rows = classifier.backbone(to_network_input(batch.images, PREPROCESSING))
                kept = torch.from_numpy(features.views[view][batch.indices])
                losses = [
                    float(bank.step(given, batch.labels, [1e-3]).losses[0])
                    for bank, given in ((cached_bank, kept), (uncached_bank, rows.clone()))
                ]
                assert abs(losses[0] - losses[1]) <= 1e-6


def test_reduced_precision_is_refused_where_it_moves_the_features(
    classifier, make_split, settings, monkeypatch
):
    if not computes_in_bf16():
        pytest.skip("this processor has no bf16 instructions")
    split = make_split(12)
    exact = features_of(classifier, split, settings).views[0]
    messages: list[str] = []
    monkeypatch.setattr(backends, "LARGEST_DIFFERENCE", 1e-7)
    found = features_of(classifier, split, settings, precision="auto", message=messages.append)
    assert relative(found.views[0], exact) <= 1e-5
    assert len(messages) == 1 and "computed in fp32" in messages[0]
    monkeypatch.setattr(backends, "LARGEST_DIFFERENCE", 1.0)
    reduced = features_of(classifier, split, settings, precision="auto")
    assert 1e-5 < relative(reduced.views[0], exact) <= 1e-2


def test_a_network_is_converted_once(classifier, make_split, settings):
    features_of(classifier, make_split(6), settings, precision="auto")
    (network,) = (settings.cache_dir / "networks").glob("*/network.xml")
    written = network.stat().st_mtime_ns
    features_of(classifier, make_split(7), settings, precision="auto")
    assert network.stat().st_mtime_ns == written


@pytest.mark.parametrize("precision", ["auto", "bf16"])
def test_the_fast_way_is_within_a_hundredth(classifier, make_split, settings, precision):
    split = make_split(21)
    exact = features_of(classifier, split, settings).views[0]
    fast = features_of(classifier, split, settings, precision=precision).views[0]
    assert relative(fast, exact) <= 1e-2


def test_the_second_run_reads_no_picture_and_more_views_add_to_the_first(
    classifier, make_split, settings
):
    split = make_split(12)
    first = features_of(classifier, split, settings, views=2, augmentation="flip").views
    assert split.source.reads == 12
    again = features_of(classifier, split, settings, views=2, augmentation="flip").views
    assert split.source.reads == 12
    more = features_of(classifier, split, settings, views=3, augmentation="flip").views
    assert split.source.reads == 24
    for view in range(2):
        assert np.array_equal(first[view], again[view])
        assert np.array_equal(first[view], more[view])


@pytest.mark.parametrize(
    ("change", "views_reused"),
    [
        ({"seed": 1}, 1),
        ({"augmentation": "strong"}, 1),
        ({"precision": "auto"}, 0),
    ],
)
def test_what_changes_the_features_changes_the_key(
    classifier, make_split, settings, change, views_reused
):
    split = make_split(6)
    shown: list[int] = []
    base = {"views": 2, "augmentation": "standard", "seed": 0}
    features_of(classifier, split, settings, **base)
    before = len(list((settings.cache_dir / "features").glob("*/rows")))
    features_of(
        classifier, split, settings, **(base | change), progress=lambda d, _: shown.append(d)
    )
    after = len(list((settings.cache_dir / "features").glob("*/rows")))
    assert shown[-1] == 6
    assert after - before == 2 - views_reused


def test_the_mode_of_every_part_is_put_back(classifier, make_split, settings):
    classifier.backbone.train()
    first = next(m for m in classifier.backbone.modules() if isinstance(m, torch.nn.BatchNorm2d))
    first.eval()
    mean = first.running_mean.clone()
    features_of(classifier, make_split(5), settings)
    assert classifier.backbone.training and not first.training
    assert torch.equal(first.running_mean, mean)
    classifier.eval()


class Stop(Exception):
    pass


def test_a_stopped_run_is_gone_on_with(classifier, make_split, settings):
    split = make_split(150)
    complete = features_of(classifier, split, Settings(home=settings.home / "other")).views[0]
    split.source.reads = 0

    def stop(done: int, total: int) -> None:
        assert total == 150
        raise Stop

    with pytest.raises(Stop):
        features_of(classifier, split, settings, progress=stop)
    assert not [t for t in threading.enumerate() if t.name.startswith("clary-pictures")]
    split.source.reads = 0
    shown: list[int] = []
    resumed = features_of(
        classifier, split, settings, progress=lambda done, _: shown.append(done)
    ).views[0]
    assert split.source.reads == 150 - 64
    assert shown == [128, 150]
    assert np.array_equal(resumed, complete)


def test_an_unreadable_picture_is_named_and_what_was_done_is_kept(classifier, make_split, settings):
    split = make_split(200)
    split.source.pictures[150] = b"no picture"
    with pytest.raises(UnreadablePicture, match=r"memory/150\.jpg"):
        features_of(classifier, split, settings)
    (progress,) = (settings.cache_dir / "features").glob("*/progress.json")
    assert json.loads(progress.read_text())["done"] == 64


@pytest.mark.parametrize("damage", ["truncate", "garbage"])
def test_damaged_entries_are_computed_again(classifier, make_split, settings, damage):
    split = make_split(9)
    expected = np.array(features_of(classifier, split, settings).views[0])
    (rows,) = (settings.cache_dir / "features").glob("*/rows")
    if damage == "truncate":
        os.truncate(rows, 100)
    else:
        rows.with_name("progress.json").write_text("{")
    assert np.array_equal(features_of(classifier, split, settings).views[0], expected)
    assert split.source.reads == 18


def test_without_room_features_are_held_in_memory(classifier, make_split, settings):
    split = make_split(9)
    expected = np.array(features_of(classifier, split, settings).views[0])
    none = Settings(home=settings.home / "full", cache_limit_bytes=0)
    messages: list[str] = []
    found = features_of(classifier, split, none, message=messages.append).views[0]
    assert np.array_equal(found, expected)
    assert len(messages) == 1 and "CLARY_CACHE_GB is 0" in messages[0]


def test_a_full_disk_is_said_and_survived(classifier, make_split, settings):
    import resource

    split = make_split(60)
    messages: list[str] = []
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (1000, before[1]))
        found = np.array(features_of(classifier, split, settings, message=messages.append).views[0])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)
    assert len(messages) == 1 and "held in memory" in messages[0]
    assert np.array_equal(found, features_of(classifier, split, settings).views[0])


def test_two_runs_compute_once(classifier, make_split, settings):
    split = make_split(150)
    results: list[np.ndarray] = []
    messages: list[str] = []

    def run() -> None:
        features = features_of(classifier, split, settings, message=messages.append)
        results.append(np.array(features.views[0]))

    runs = [threading.Thread(target=run) for _ in range(2)]
    for thread in runs:
        thread.start()
    for thread in runs:
        thread.join()
    assert np.array_equal(results[0], results[1])
    assert split.source.reads == 150


@pytest.mark.slow
def test_a_killed_process_leaves_nothing_that_misleads(classifier, make_split, settings, tmp_path):
    program = f"""
import os, signal, sys
from pathlib import Path
from clary.vision.datasets import FileSource, Split
import numpy as np, torch
sys.path.insert(0, {str(Path(__file__).parents[3])!r})
from clary.settings import Settings
from clary.vision.features import extraction
from tests.vision.features import test_extraction as here
extraction.SECONDS_BETWEEN_FLUSHES = 0.0
source = FileSource(Path({str(tmp_path)!r}), [f"{{i:03}}.jpg" for i in range(150)])
split = Split(source, np.zeros(150, dtype=np.int64))
def die(done, total):
    if done > 64: os.kill(os.getpid(), signal.SIGKILL)
classifier = here.small_classifier()
here.features_of(classifier, split, Settings(home=Path({str(settings.home)!r})),
    progress=die)
"""
    for number, content in enumerate(make_split(150).source.pictures):
        (tmp_path / f"{number:03}.jpg").write_bytes(content)
    killed = subprocess.run([sys.executable, "-c", program], check=False)
    assert killed.returncode == -signal.SIGKILL
    assert list(settings.home.rglob("*")) != []
    files = FileSource(tmp_path, [f"{number:03}.jpg" for number in range(150)])
    split = Split(files, np.zeros(150, dtype=np.int64))
    found = features_of(classifier, split, settings).views[0]
    other = Settings(home=tmp_path / "other")
    expected = features_of(classifier, make_split(150), other).views[0]
    assert np.array_equal(found, expected)


@pytest.mark.parametrize(
    ("name", "folded"),
    [("resnet18", 20), ("mobilenetv2_100", 52), ("densenet121", 59), ("resnetv2_50", 0)],
)
def test_folding_changes_nothing_but_the_number_of_norms(name, folded):
    torch.manual_seed(0)
    network = timm.create_model(name, pretrained=False, num_classes=0).eval()
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.1)
            module.running_var.uniform_(0.8, 1.2)

    def norms(network):
        return sum(isinstance(m, torch.nn.BatchNorm2d) for m in network.modules())

    result = fold_batchnorm(network)
    assert norms(network) - norms(result) >= folded
    images = torch.randn(2, 3, 64, 64)
    with torch.inference_mode():
        assert relative(result(images).numpy(), network(images).numpy()) <= 1e-4


def test_a_network_that_cannot_be_traced_is_copied():
    class Branching(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.convolution = torch.nn.Conv2d(3, 4, 3)
            self.norm = torch.nn.BatchNorm2d(4)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.norm(self.convolution(x)) if x.sum() > 0 else x

    network = Branching().eval()
    copied = fold_batchnorm(network)
    images = torch.ones(1, 3, 8, 8)
    assert copied is not network
    assert torch.equal(copied(images), network(images))


@pytest.mark.real_data
def test_fast_extraction_is_within_a_hundredth_on_pretrained_weights(
    hymenoptera, weights_dir, settings
):
    names = sorted(p.relative_to(hymenoptera).as_posix() for p in hymenoptera.rglob("*.jpg"))[:48]
    split = Split(FileSource(hymenoptera, names), np.zeros(len(names), dtype=np.int64))
    classifier, preprocessing, report = build_classifier(
        "mobilenetv2_100", ["a", "b"], weights=str(weights_dir / "mobilenet_v2.pth"), seed=0
    )
    exact, fast = (
        extract_features(
            classifier,
            split,
            precision=precision,
            preprocessing=preprocessing,
            settings=settings,
            weights_fingerprint=report.fingerprint,
        ).views[0]
        for precision in ("fp32", "auto")
    )
    assert relative(fast, exact) <= 1e-2
    folded = TorchBackend(
        fold_batchnorm(classifier.backbone), preprocessing, torch.device("cpu"), bf16=False
    )
    loader = BatchLoader(
        split, EvaluationTransform(preprocessing), batch_size=16, seed=0, shuffle=False
    )
    rows = list(folded.run(batch.images for batch in loader.batches(0)))
    assert relative(np.concatenate(rows), exact) <= 1e-5
