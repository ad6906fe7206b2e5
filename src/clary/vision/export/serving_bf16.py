"""Asks a converted network about held-out pictures in bf16 and in fp32.

bf16 is what endpoints compute in by default where the processor has it. Most networks answer alike
in both; of one that does not, an endpoint shall know before it serves.
"""

from __future__ import annotations

import openvino

from clary.errors import ParityError
from clary.formats.converted_model import Agreement, ConvertedModel
from clary.formats.model_archive import ModelDescription
from clary.vision.caching import CacheStore
from clary.vision.datasets import PictureDataset
from clary.vision.export.answering import cut_pictures, likeliest, some_pictures
from clary.vision.export.serving import making, run_network
from clary.vision.features.openvino_network import computes_in_bf16
from clary.vision.geometry import EvaluationTransform

# A second of a small network; a large one is asked about as many as these seconds allow.
JUDGED_PICTURES = 128
_SECONDS = 3.0


def judge_bf16(
    converted: ConvertedModel, dataset: PictureDataset, store: CacheStore
) -> Agreement | None:
    """Ask, and keep the answer beside the network, where there is no answer yet.

    Args:
        converted: with its fp32 network.
        dataset: what the model was trained on; its test split is asked about, or else validation.
        store: holds the converted model.

    Returns:
        None where the processor has no bf16, or no picture is held out.

    Raises:
        UnreadablePicture: a picture cannot be read.
        FormatError: what was kept is damaged.
        StorageError: the cache cannot be written.
    """
    name = next((name for name in ("test", "valid") if dataset.splits.get(name)), None)
    if name is None or not computes_in_bf16():
        return None
    with making(converted, store):
        known = Agreement.read(converted.folder)
        if known is not None:
            return known
        transform = EvaluationTransform(ModelDescription.read(converted.folder).preprocessing)
        network = openvino.Core().read_model(converted.network("fp32"))
        pictures = some_pictures(dataset.splits[name], JUDGED_PICTURES)
        runs = [run_network(network), run_network(network, bf16=True)]
        try:
            exact, in_bf16, _ = likeliest(runs, cut_pictures(pictures, transform), seconds=_SECONDS)
        except ParityError:
            agreement = Agreement(split=name, judged=len(pictures), agreement=0.0)
        else:
            same = float((exact == in_bf16).mean())
            agreement = Agreement(split=name, judged=len(exact), agreement=same)
        agreement.write(converted.folder)
    return agreement
