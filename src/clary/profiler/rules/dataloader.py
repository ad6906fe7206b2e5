"""Whether as many workers load data as the machine has cores for."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from clary.formats import profiler_rule_parameters as models
from clary.formats.findings import Finding
from clary.formats.text import counted
from clary.profiler.causes.data_loading import WAITS_SHARE
from clary.profiler.causes.situation import LEAST_STEPS, Situation, situation_of
from clary.profiler.profile import Profile
from clary.profiler.rules.judging import (
    has_settled,
    nothing_sampled,
    of_diagnoses,
    quantiles,
)
from clary.profiler.rules.rule import Judgement, Moment, ProfilerRule
from clary.profiler.wording import percent


class Dataloader(ProfilerRule):
    """Fewer workers load data than `min_threshold` % of the cores, or more than `max_threshold` %.

    Few workers are told where the training waits for its data a tenth of its loop or more and more
    of them would fit, many always. Workers are those the loader says it has, or those whose batches
    were seen. It fires, too, for other reasons to wait for data
    (`clary.profiler.causes.data_loading`). While a job runs, waiting counts after 30 s of its
    loop: the first steps fill the loader's queue. `published_defaults`: the two thresholds alone.
    """

    parameters_model = models.Dataloader
    parameters: models.Dataloader
    description: ClassVar[str] = "Looks for data loaders with too few or too many workers."
    recommendation: ClassVar[str] = (
        "Give the loader about as many workers as the machine has cores for it, and pin_memory "
        "where the training computes on a GPU."
    )

    def judge(self, profile: Profile, moment: Moment) -> Judgement:
        """Of the first process of the training."""
        own = self.parameters
        situation = situation_of(profile)
        loads = profile.main.loads() if profile.main is not None else None
        seen = 0 if loads is None else len(loads)
        workers = _workers(situation)
        if workers is None or situation.train.steps < (1 if moment.ended else LEAST_STEPS):
            return nothing_sampled(self.name, moment, "no data loader was seen")
        share = 100 * workers / situation.cores
        waits = situation.share(situation.waiting_s)
        fitting = max(1, round(situation.cores * own.min_threshold / 100))
        few = share < own.min_threshold
        many = share > own.max_threshold
        slow = situation.is_enough and waits >= WAITS_SHARE and workers < fitting
        slow = slow and has_settled(profile, moment)
        findings: tuple[Finding, ...] = ()
        if not own.published_defaults and has_settled(profile, moment):
            findings = of_diagnoses(profile, self.name)
        if not findings and (many or (few and (own.published_defaults or slow))):
            findings = (self._finding(situation, workers, share, waits, many=many),)
        return Judgement(
            len(findings),
            max(seen, 1),
            findings,
            _figures(situation, workers, share, waits),
        )

    def _finding(
        self, situation: Situation, workers: int, share: float, waits: float, *, many: bool
    ) -> Finding:
        own = self.parameters
        bound = own.max_threshold if many else own.min_threshold
        cores = counted(situation.cores, "core")
        fitting = max(1, round(situation.cores * (1.0 if many else own.min_threshold / 100)))
        verb = "loads" if workers == 1 else "load"
        option = "--workers " if situation.is_clary else "num_workers="
        return Finding(
            rule=self.name,
            kind="issue",
            message=f"{counted(workers, 'worker')} {verb} data on {cores}: {share:.0f} %, "
            f"{'more' if many else 'fewer'} than {bound:g} %; steps wait for data "
            f"{percent(waits)} of the training loop",
            cause="workers take each other's cores and memory"
            if many
            else "the loader cannot deliver as fast as the training could compute",
            remedy=f"give it about {option}{fitting}",
            value=round(share, 2),
            bound=bound,
        )


def _workers(situation: Situation) -> int | None:
    loading = situation.loading
    if loading is not None and loading.workers is not None:
        return loading.workers
    main = situation.profile.main
    loads = None if main is None else main.loads()
    if loads is None or not len(loads):
        return None
    return len(np.unique(loads["worker"][loads["worker"] >= 0]))


def _figures(situation: Situation, workers: int, share: float, waits: float) -> dict[str, Any]:
    main, loading = situation.profile.main, situation.loading
    seconds: Any = main.loads()["seconds"].astype(float) if main is not None else []
    return {
        "workers": workers,
        "cores": situation.cores,
        "percent_of_cores": share,
        "waiting_share": waits,
        "pin_memory": None if loading is None else loading.pin_memory,
        "prefetch_factor": None if loading is None else loading.prefetch_factor,
        "persistent_workers": None if loading is None else loading.persistent_workers,
        "batch_load_s": quantiles(seconds),
    }
