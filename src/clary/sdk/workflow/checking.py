"""What there is to learn from, and whether it can be: the first stage."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from typing import Any, ClassVar

from clary.formats.data_check import CheckReport
from clary.formats.text import counted
from clary.formats.training_options import TrainingOptions
from clary.formats.workflow_record import Checked, Found, StageName
from clary.sdk.data_checking import CHECK_OPTIONS, check_pictures, require_judged
from clary.sdk.network_checking import NetworkCheck, networks_of
from clary.sdk.workflow.stage import Outcome, Progress, Run
from clary.tuner.ranges import Space


class Check:
    """Looks at the pictures as closely as a training does and, meanwhile, for the network."""

    name: ClassVar[StageName] = "check"

    def inputs(self, run: Run) -> Mapping[str, Any]:
        """How the pictures are split and used, and the networks; what the pictures are is asked by
        `holds`.
        """
        plan = run.plan
        return {
            "data": plan.location,
            "options": {key: plan.options.get(key) for key in CHECK_OPTIONS},
            "look": plan.look,
            "networks": networks_of(_space(run), plan.options),
        }

    def holds(self, run: Run, found: Found) -> bool:
        """Whether the pictures, their labels and splits are the same: nothing is decoded for it."""
        run.listener.moved(self.name, Progress("looking for changes"))
        now = _checked(run, look=False)
        return isinstance(found, Checked) and found.fingerprint == now.fingerprint != ""

    def work(self, run: Run, before: Found | None, *, same: bool) -> Outcome:
        """Check pictures and network.

        Raises:
            UsageError: no picture is held out to judge by, or the pictures cannot be split so.
            DataError: training would go wrong.
            ModelError: there is no such network, or its weights cannot be had.
            Interrupted: a stop was asked for.
        """
        run.listener.moved(self.name, Progress("looking at the pictures"))
        with NetworkCheck(_space(run), run.plan.options, quiet=True) as networks:
            report = _checked(run, look=run.plan.look)
            run.listener.moved(self.name, Progress("looking for the network"))
            networks.require(stopped=run.stop.is_set)
        found = _found(report)
        return Outcome(_sentence(found, run.plan.location), found)


def _space(run: Run) -> Space | None:
    """What is tuned, where something is."""
    return run.plan.tuning(run.settings).space if run.plan.trials else None


def _checked(run: Run, *, look: bool) -> CheckReport:
    plan = run.plan
    report = check_pictures(plan.location, plan.options, look=look, run=run.run_program)
    if plan.includes("tune"):
        require_judged(report.counts, TrainingOptions.parse(plan.options))
    return report


def _found(report: CheckReport) -> Checked:
    counts = {split: sum(by_class.values()) for split, by_class in report.counts.items()}
    return Checked(
        fingerprint=report.fingerprint,
        pictures=report.pictures,
        classes=len(report.classes),
        train=counts.get("train", 0),
        valid=counts.get("valid", 0),
        test=counts.get("test", 0),
        warnings=sum(finding.severity == "warning" for finding in report.findings),
    )


def _sentence(found: Checked, location: str) -> str:
    words = (
        f"{counted(found.pictures, 'picture')} of {counted(found.classes, 'class', 'classes')}: "
        f"{found.train:,} to learn from, {found.valid:,} to tune by, {found.test:,} held out"
    )
    if found.warnings:
        words += f"; {counted(found.warnings, 'warning')}: clary check {shlex.quote(location)}"
    return words
