"""Safetensors files, written atomically and with the system's errors told apart."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import save_file

from clary.formats.files import replacing


def save_tensors(
    path: Path, tensors: Mapping[str, torch.Tensor], metadata: Mapping[str, str] | None = None
) -> None:
    """Write tensors, each dense and with memory of its own, under their names.

    Raises:
        StorageError: the folder cannot be written, or the disk is full.
    """
    with replacing(path) as temporary:
        try:
            save_file(dict(tensors), temporary, metadata=dict(metadata or {}))
        except SafetensorError as error:
            # The library wraps what the system said in text: "I/O error: … (os error 28)".
            number = re.search(r"os error (\d+)", str(error))
            if number is None:
                raise
            code = int(number[1])
            raise OSError(code, os.strerror(code)) from error
