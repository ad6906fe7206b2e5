"""Frozen backbones: features computed once and kept, heads trained on them in batched products."""

from clary.vision.features.extraction import Features, extract_features
from clary.vision.features.head_options import HeadOptions
from clary.vision.features.heads import HeadBank, HeadResults

__all__ = ["Features", "HeadBank", "HeadOptions", "HeadResults", "extract_features"]
