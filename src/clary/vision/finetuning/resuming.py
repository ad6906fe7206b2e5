"""Whether a run may go on from a checkpoint, and what a person should know about it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import ValidationError

from clary.errors import FormatError, UsageError
from clary.formats.training_options import TrainingOptions
from clary.vision.checkpoints import load_tree
from clary.vision.finetuning.epochs import LAST_FILE, RunIdentity

# Another value of these gives weights or features of other shapes or meaning.
FIXED_OPTIONS = (
    "model",
    "weights",
    "weight_path",
    "hidden",
    "dropout",
    "image_size",
    "trainable_layers",
    "feature_cache",
    "optimizer",
    "accumulate",
    "ema",
)
# These decide which pictures are held out where the data itself does not say.
SPLITTING_OPTIONS = ("seed", "valid_fraction", "test_fraction", "group_by")
# These change what later steps do, never what the checkpoint holds.
SILENT_OPTIONS = frozenset({"workers"})


def find_checkpoint(folder: Path) -> dict[str, Any] | None:
    """The last checkpoint in a folder, None where there is none.

    Raises:
        FormatError: there is one that cannot be read.
    """
    path = folder / LAST_FILE
    return dict(load_tree(path)) if path.exists() else None


def accept(checkpoint: dict[str, Any], identity: RunIdentity, world_size: int) -> list[str]:
    """Compare a checkpoint with the run that wants to go on from it.

    Where the data has changed, or the batches of an epoch have, the position within the epoch
    means nothing any more: the checkpoint's epoch then starts again.

    Returns:
        Sentences for the user.

    Raises:
        UsageError: the checkpoint is of another model, other held-out pictures or classes.
        FormatError: it was written by a version with other options.
    """
    try:
        earlier = TrainingOptions.model_validate(checkpoint["options"])
    except ValidationError as error:
        raise FormatError(
            f"the checkpoint in {identity.checkpoints} is of a Clary with other options: start a "
            "new run"
        ) from error
    now = identity.options
    changed = {
        name: (getattr(earlier, name), getattr(now, name))
        for name in TrainingOptions.model_fields
        if getattr(earlier, name) != getattr(now, name) and name not in SILENT_OPTIONS
    }
    for name in FIXED_OPTIONS:
        if name in changed:
            before, after = changed[name]
            raise UsageError(
                f"the checkpoint in {identity.checkpoints} was made with --{_dashed(name)} "
                f"{before} but now it is {after}: start a new run for another {_dashed(name)}"
            )
    if checkpoint["held_out"] != identity.held_out:
        reason = next((f"--{_dashed(n)}" for n in SPLITTING_OPTIONS if n in changed), "the data")
        raise UsageError(
            f"{reason} changed, so that other pictures would be held out and the model judged on "
            "what it has learned from: put it back, or start a new run"
        )
    if checkpoint["weights"] != identity.weights:
        raise UsageError(
            f"the first weights are not those that the checkpoint in {identity.checkpoints} was "
            "trained from: put the earlier file back, or start a new run"
        )
    if tuple(checkpoint["classes"]) != identity.classes:
        raise UsageError(
            f"the checkpoint in {identity.checkpoints} knows {len(checkpoint['classes'])} classes "
            f"({_few(checkpoint['classes'])}) but the data has {len(identity.classes)} "
            f"({_few(identity.classes)}): start a new run with --weight-path for other classes"
        )
    notes = []
    if changed:
        listed = ", ".join(f"{_dashed(name)} {a} → {b}" for name, (a, b) in changed.items())
        notes.append(f"resuming with changed options: {listed}")
    moved = checkpoint["data"] != identity.data
    regrouped = "batch_size" in changed or checkpoint["world_size"] != world_size
    if moved:
        notes.append("the pictures have changed since the checkpoint")
    if (moved or regrouped) and checkpoint["step"]:
        checkpoint["step"] = 0
        checkpoint["totals"] = [0.0, 0.0, 0.0]
        notes.append(f"epoch {checkpoint['epoch']} starts again from its first step")
    elif checkpoint["epoch"] <= now.epochs:
        notes.append(
            f"going on from the checkpoint in epoch {checkpoint['epoch']} of {now.epochs}, "
            f"step {checkpoint['step']}"
        )
    return notes


def _dashed(name: str) -> str:
    return name.replace("_", "-")


def _few(names: Any) -> str:
    shown = list(names)[:5]
    return ", ".join(map(str, shown)) + (", …" if len(list(names)) > len(shown) else "")
