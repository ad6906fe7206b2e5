"""Classifiers: timm's networks by name, weights from anywhere, a head, and how they are kept."""

from clary.vision.models.building import Foundation, WeightsReport, build_classifier, lay_foundation
from clary.vision.models.classifier import Classifier, build_head, device_of
from clary.vision.models.continuation import EarlierModel, load_for_continuation
from clary.vision.models.storage import load_model, save_model
from clary.vision.models.trainable import parameter_groups, set_trainable

__all__ = [
    "Classifier",
    "EarlierModel",
    "Foundation",
    "WeightsReport",
    "build_classifier",
    "build_head",
    "device_of",
    "lay_foundation",
    "load_for_continuation",
    "load_model",
    "parameter_groups",
    "save_model",
    "set_trainable",
]
