"""Fine-tuning, from options and pictures to a saved classifier.

Read in this order: `run` (the whole), `plan` (what is decided), `assembly` (what is built),
`epochs` (the loop), `pictures` and `heads` (the two ways to train), `outcome` (what is kept).
"""

from clary.vision.finetuning.history import History
from clary.vision.finetuning.outcome import FinetuneResult
from clary.vision.finetuning.run import finetune
from clary.vision.finetuning.stopping import StopRequest

__all__ = ["FinetuneResult", "History", "StopRequest", "finetune"]
