"""What there is to learn from, and whether it can be: the first stage."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from typing import Any, ClassVar

from clary.formats.data_check import CheckReport
from clary.formats.workflow_record import Checked, Found, StageName
from clary.sdk.data_checking import CHECK_OPTIONS, check_pictures
from clary.sdk.network_checking import NetworkCheck
from clary.sdk.workflow.stage import Outcome, Progress, Run, plural


class Check:
    """Looks at the pictures as closely as a training does and, meanwhile, for the network."""

    name: ClassVar[StageName] = "check"

    def inputs(self, run: Run) -> Mapping[str, Any]:
        """How the pictures are split and used; what they are is asked by `holds`."""
        options = {key: run.plan.options.get(key) for key in CHECK_OPTIONS}
        return {"data": run.plan.location, "options": options, "look": run.plan.look}

    def holds(self, run: Run, found: Found) -> bool:
        """Whether the pictures, their labels and splits are the same: nothing is decoded for it."""
        run.listener.moved(self.name, Progress("looking for changes"))
        now = self._checked(run, look=False)
        return isinstance(found, Checked) and found.fingerprint == now.fingerprint != ""

    def work(self, run: Run, before: Found | None, *, same: bool) -> Outcome:
        """Check pictures and network.

        Raises:
            DataError: training would go wrong.
            ModelError: there is no such network, or its weights cannot be had.
            Interrupted: a stop was asked for.
        """
        plan = run.plan
        run.listener.moved(self.name, Progress("looking at the pictures"))
        space = plan.tuning(run.settings).space if plan.trials else None
        with NetworkCheck(space, plan.options, quiet=True) as networks:
            report = self._checked(run, look=plan.look)
            run.listener.moved(self.name, Progress("looking for the network"))
            networks.require(stopped=run.stop.is_set)
        found = _found(report)
        return Outcome(_sentence(found, plan.location), found)

    def _checked(self, run: Run, *, look: bool) -> CheckReport:
        return check_pictures(run.plan.location, run.plan.options, look=look, run=run.run_program)


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
        f"{plural(found.pictures, 'picture')} of {plural(found.classes, 'class')}: {found.train:,} "
        f"to learn from, {found.valid:,} to tune by, {found.test:,} held out"
    )
    if found.warnings:
        words += f"; {plural(found.warnings, 'warning')}: clary check {shlex.quote(location)}"
    return words
