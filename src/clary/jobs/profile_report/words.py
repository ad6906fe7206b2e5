"""What phases, modes and spans are called on the page and in the terminal."""

from __future__ import annotations

PHASE_WORDS = {
    "data": "waiting for data",
    "transfer": "copying to the device",
    "forward": "forward",
    "backward": "backward",
    "optimizer": "optimizer",
    "other": "the script’s own",
}
"""The parts of a step, in the order in which they follow each other."""

PHASE_MEANINGS = {
    "data": "the loop stands still until its next batch is there",
    "transfer": "the batch goes to the accelerator",
    "forward": "the model and its loss",
    "backward": "the gradients",
    "optimizer": "the weights are changed",
    "other": "printing, logging, reading values such as .item()",
}

PART_WORDS = {
    "initialization": "initialization",
    "features": "computing features",
    "training": "training",
    "evaluation": "evaluation",
    "checkpoint": "checkpoints",
    "finalization": "finalization",
    "running": "running",
}
"""The parts of a job, in the order of a legend."""
