"""What a hook saw of a training: losses, statistics and tensors, by step.

Written by `clary.debugger`, readable while it grows, from a folder or from S3, also after the
writer was killed. Runs in anybody's interpreter: standard library and numpy only. Format version
1; see `docs/formats/tensor_log.md`.

    TensorLogWriter   one worker's, in its own thread
    TensorLog         reads a folder, all workers
    Mirror            brings a log from S3 into a folder
"""

from clary.formats.tensor_log.mirror import Mirror
from clary.formats.tensor_log.passes import read_passes, write_passes
from clary.formats.tensor_log.reader import TensorLog
from clary.formats.tensor_log.segments import ALWAYS, Span
from clary.formats.tensor_log.tensor_names import Names
from clary.formats.tensor_log.writer import TensorLogWriter

__all__ = [
    "ALWAYS",
    "Mirror",
    "Names",
    "Span",
    "TensorLog",
    "TensorLogWriter",
    "read_passes",
    "write_passes",
]
