"""A job's folder as a watched training leaves it."""

from __future__ import annotations

from pathlib import Path

from clary.formats.findings import Finding, RuleStatus, append_findings
from clary.formats.tensor_log import TensorLogWriter
from clary.formats.tensor_log.entries import Capture, CollectionRecord, Mode, Statistics, Step

LOSS = "CrossEntropyLoss_output_0"
GRADIENT = "gradient/Net_fc.weight"


def save_tensors(folder: Path, *, steps: int = 20, ended: bool = True) -> TensorLogWriter:
    """Losses in both modes, and a gradient's statistics in training."""
    losses = CollectionRecord("losses", (r"[Ll]oss_(?!input).*output",))
    writer = TensorLogWriter(folder, collections=[losses])
    for number in range(steps):
        save_step(writer, number)
    if ended:
        writer.close()
    return writer


def save_step(writer: TensorLogWriter, number: int) -> None:
    mode = Mode.EVAL if number % 5 == 4 else Mode.TRAIN
    rows = {GRADIENT: Statistics(10, l1=1.0, l2=0.5, min=-1.0, max=1.0)}
    writer.write(
        Capture(
            Step(number, mode, number, 1e9 + number),
            {LOSS: 1 / (number + 1)},
            rows if mode is Mode.TRAIN else {},
        )
    )


def save_rule(folder: Path, rule: str, status: str, *findings: Finding) -> None:
    held = RuleStatus(configuration=rule, rule=rule, status=status)  # type: ignore[arg-type]
    held.write(folder / rule)
    append_findings(folder / rule, findings)


def issue(rule: str, step: int = 7) -> Finding:
    return Finding(
        rule=rule,
        kind="issue",
        message="the loss rises",
        cause="a large learning rate",
        remedy="--lr 0.001",
        step=step,
        mode="TRAIN",
    )
