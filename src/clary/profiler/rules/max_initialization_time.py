"""Whether a job takes long to begin."""

from __future__ import annotations

from typing import ClassVar

from clary.formats import profiler_rule_parameters as models
from clary.formats.findings import Finding
from clary.formats.timeline.entries import Mode
from clary.profiler.causes.situation import situation_of
from clary.profiler.profile import Profile
from clary.profiler.rules.judging import nothing_sampled
from clary.profiler.rules.rule import Judgement, Moment, ProfilerRule
from clary.profiler.wording import brief


class MaxInitializationTime(ProfilerRule):
    """No training step after `threshold` minutes, or the first one came later.

    A job whose process was not seen to load torch is not judged: its steps would not be seen
    either. `published_defaults` judges it all the same.
    """

    parameters_model = models.MaxInitializationTime
    parameters: models.MaxInitializationTime
    description: ClassVar[str] = "Looks for jobs that take long until their first training step."
    recommendation: ClassVar[str] = (
        "Keep what is prepared between jobs (downloads, unpacked archives, lists of files), or "
        "read it while the job trains."
    )

    def judge(self, profile: Profile, moment: Moment) -> Judgement:
        """From the job's start to its first training step, or to this moment."""
        own = self.parameters
        parts = situation_of(profile).breakdown
        if parts.started_s is None:
            return nothing_sampled(self.name, moment, "nothing of the job was seen")
        steps = profile.steps(Mode.TRAIN)
        if not len(steps) and profile.facts is None and not own.published_defaults:
            return nothing_sampled(self.name, moment, "no process of the job was seen to train")
        if len(steps):
            until = float(steps["start_us"][0]) / 1e6
        else:
            until = profile.job.ended_s or moment.seconds
        waited = max(0.0, until - parts.started_s)
        figures = {"initialization_s": waited, "steps": len(steps)}
        if waited <= 60 * own.threshold:
            return Judgement(0, 1, (), figures)
        seen = (
            f"came after {brief(waited)}" if len(steps) else f"is not there after {brief(waited)}"
        )
        finding = Finding(
            rule=self.name,
            kind="issue",
            message=f"the first training step {seen}, more than {own.threshold:g} minutes",
            cause="much is prepared before the first step, or it stands still",
            remedy="keep what is prepared between jobs (downloads, unpacked archives, lists of "
            "files), and see in the log what it does",
            value=round(waited / 60, 2),
            bound=own.threshold,
        )
        return Judgement(1, 1, (finding,), figures)
