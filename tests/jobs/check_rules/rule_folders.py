"""Folders of rules to check: what is asked, what was saved, and what was found."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np

from clary.formats.findings import Finding, RuleStatus, read_findings
from clary.formats.rule_request import (
    RuleConfiguration,
    RuleRequest,
    results_folder,
)
from clary.formats.tensor_log import TensorLogWriter
from clary.formats.tensor_log.entries import Capture, Mode, RawTensor, Step
from tests.waiting import until

LOSS = "CrossEntropyLoss_output_0"
G = "gradient/Net_fc.weight"
Start = Callable[[Path], "subprocess.Popen[bytes]"]


def request(tmp_path: Path, *rules: RuleConfiguration, hosts: int = 1) -> Path:
    tensors = tuple(tmp_path / f"tensors-{host}" for host in range(hosts))
    folder = tmp_path / "rules"
    folder.mkdir()
    RuleRequest(job="dogs", tensors=tensors, rules=rules).write(folder)
    return folder


def rule(name: str, source: Path | None = None, **parameters: str) -> RuleConfiguration:
    return RuleConfiguration(name=name, rule=name, parameters=parameters, source=source)


def captures(gradients: Sequence[float], first: int = 0) -> Iterator[Capture]:
    for number, gradient in enumerate(gradients, first):
        yield Capture(
            Step(number, Mode.TRAIN, number, time.time()),
            scalars={LOSS: 2.0 - 0.01 * number},
            raw={G: RawTensor.of(np.full(3, gradient, dtype=np.float32))},
        )


def write(folder: Path, gradients: Sequence[float], *, worker: str = "worker_0") -> None:
    writer = TensorLogWriter(folder, worker=worker)
    for capture in captures(gradients):
        writer.write(capture)
    writer.close()


def status(folder: Path, name: str) -> RuleStatus:
    found = RuleStatus.read(results_folder(folder, name))
    assert found is not None
    return found


def found(folder: Path, name: str) -> tuple[Finding, ...]:
    return read_findings(results_folder(folder, name))


def wait_for_status(folder: Path, name: str, wanted: str) -> RuleStatus:
    def is_there() -> bool:
        known = RuleStatus.read(results_folder(folder, name))
        return known is not None and known.status == wanted

    until(is_there)
    return status(folder, name)
