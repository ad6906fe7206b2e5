"""Quantises a converted network to int8 on a person's own pictures, and judges what that costs.

The ranges of the activations come from pictures of the training part; the accuracy before and
after, from pictures of the test part, or else of the validation part, which the calibration has not
seen. The model itself may have been trained on them, where its training has cut the data otherwise:
the two accuracies are for comparing with each other.
"""

from __future__ import annotations

import io
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from pathlib import Path
from typing import Any

import numpy as np
import openvino

from clary.errors import DataError, ExportError, ParityError, UsageError
from clary.formats.converted_model import CALIBRATION_FILE, Calibration, ConvertedModel
from clary.formats.model_archive import ModelDescription
from clary.settings import Settings
from clary.vision.caching import CacheStore
from clary.vision.datasets import PictureDataset, Split, open_dataset
from clary.vision.export.answering import Labels, cut_pictures, likeliest, some_pictures
from clary.vision.export.serving import keep_network, making, require_room, run_network
from clary.vision.features.openvino_network import computes_in_bf16
from clary.vision.geometry import EvaluationTransform
from clary.vision.loaders import BatchLoader

# NNCF's own default; the ranges hardly move beyond it.
CALIBRATED_PICTURES = 300
# The 95 % interval of an accuracy of 95 % on as many is 4 points wide.
JUDGED_PICTURES = 500
# What is worse than this is no other arithmetic but another model.
LEAST_AGREEMENT = 0.5
# A network that attends: NNCF then leaves alone what int8 would spoil in it.
_ATTENTION = "ScaledDotProductAttention"


def calibrate(converted: ConvertedModel, pictures: str | Path, settings: Settings) -> Calibration:
    """Quantise a converted model, and put the network in place.

    Args:
        converted: with its fp32 network.
        pictures: a data set, in any layout that a training takes.
        settings: say where the cache lies.

    Raises:
        DataError: the pictures cannot be read, or are too few.
        ExportError: NNCF is not installed, or cannot quantise the network.
        ParityError: the quantised network gives no numbers, or other classes than before for too
            many of the pictures; nothing is kept.
        StorageError: the cache cannot be written.
    """
    dataset = open_dataset(pictures, settings=settings)
    description = ModelDescription.read(converted.folder)
    training, judged = _parts(dataset, pictures)
    transform = EvaluationTransform(description.preprocessing)
    store = CacheStore.of(settings)
    with making(converted, store):
        exact = openvino.Core().read_model(converted.network("fp32"))
        quantised = _quantised(exact, cut_pictures(training, transform))
        before, after, labels = _answers((exact, quantised), cut_pictures(judged, transform))
        named = [
            description.classes.index(name) if name in description.classes else -1
            for name in dataset.classes
        ]
        wanted = np.array(named)[labels]
        known = bool((wanted >= 0).all())
        calibration = Calibration(
            pictures=len(training),
            judged=len(judged),
            accuracy_before=float((before == wanted).mean()) if known else None,
            accuracy_after=float((after == wanted).mean()) if known else None,
            agreement=float((before == after).mean()),
            data=str(pictures),
        )
        _require_agreement(calibration)
        require_room(store, converted.network("fp32").with_suffix(".bin").stat().st_size)
        # Never the accuracy of one network beside another: without its record int8 is not there.
        (converted.folder / CALIBRATION_FILE).unlink(missing_ok=True)
        keep_network(quantised, converted, "int8")
        calibration.write(converted.folder)
    return calibration


def _require_agreement(calibration: Calibration) -> None:
    if calibration.agreement < LEAST_AGREEMENT:
        raise ParityError(
            f"in int8 the network gives the same class as before for {calibration.agreement:.0%} "
            f"of {calibration.judged} pictures (the bound is {LEAST_AGREEMENT:.0%}): calibrate on "
            "pictures like those it was trained on, or serve it in bf16 or fp32"
        )


def read_calibration(converted: ConvertedModel) -> Calibration:
    """What was found when the model was calibrated.

    Raises:
        UsageError: it was not calibrated yet.
        FormatError: the record is damaged.
    """
    if not converted.has("int8"):
        raise UsageError(
            "the precision is int8 but the model was not calibrated: give --calibrate PICTURES, "
            "labelled pictures like those it will see"
        )
    return Calibration.read(converted.folder)


def _parts(dataset: PictureDataset, named: str | Path) -> tuple[Split, Split]:
    """Pictures to calibrate on, and others to judge by."""
    # The best epoch was chosen on the validation part.
    judged = dataset.splits.get("test") or dataset.splits.get("valid")
    if judged is None:
        raise DataError(
            f"{named} has no pictures left to judge int8 on: give two pictures of each class or "
            "more"
        )
    return some_pictures(dataset.train, CALIBRATED_PICTURES), some_pictures(judged, JUDGED_PICTURES)


def _quantised(network: Any, pictures: BatchLoader) -> Any:
    try:
        with _quiet():
            import nncf
    except ImportError as error:
        raise ExportError('int8 needs NNCF: pip install "clary[int8]"') from error
    crops = [crop[None] for batch in pictures.batches(1) for crop in batch.images.numpy()]
    attends = any(node.get_type_name() == _ATTENTION for node in network.get_ops())
    try:
        with _quiet():
            return nncf.quantize(
                network,
                nncf.Dataset(crops),
                subset_size=len(crops),
                preset=nncf.QuantizationPreset.MIXED,
                model_type=nncf.ModelType.TRANSFORMER if attends else None,
            )
    except (OSError, MemoryError):
        raise
    except Exception as error:
        # NNCF raises errors of many kinds for what it cannot quantise.
        reason = (str(error).strip().splitlines() or [""])[0][:300]
        raise ExportError(
            f"the network cannot be quantised ({type(error).__name__}: {reason}): serve it in "
            "bf16 or fp32"
        ) from error


def _answers(networks: tuple[Any, Any], pictures: BatchLoader) -> tuple[Labels, ...]:
    """The likeliest classes by each network, and the labels."""
    exact, quantised = networks
    # As it will be served: what int8 leaves out is computed in bf16 where that is quick.
    runs = [run_network(exact), run_network(quantised, bf16=computes_in_bf16())]
    try:
        return likeliest(runs, pictures)
    except ParityError as error:
        raise ParityError(f"{error} once it is quantised: serve it in bf16 or fp32") from error


@contextmanager
def _quiet() -> Iterator[None]:
    """Without NNCF's progress bars and notes, which are meant for its developers."""
    loggers = [logging.getLogger(name) for name in ("nncf", "torch.utils.cpp_extension")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings(), redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
