"""The built-in algorithm for many jobs in one process: what `clary.jobs.train` does for one."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from clary.errors import Interrupted
from clary.formats.builtin_algorithm import TrainingRequest
from clary.jobs.lane.hosted_job import HostedJob
from clary.jobs.lane.pictures import KnownPictures
from clary.jobs.progress import PlainProgress
from clary.jobs.progress_file import ProgressFile
from clary.jobs.training_data import Progress, keep_findings
from clary.jobs.training_end import say_report, say_result, say_what_next
from clary.settings import Settings
from clary.vision.datasets import PictureDataset
from clary.vision.finetuning import FinetuneResult
from clary.vision.finetuning.together import Entrant, TrainingTogether


class Trials:
    """Brings jobs from their beginning to their end. Owned by the lane's thread.

    Args:
        settings: where caches live.
        attend: asked between steps, pictures and epochs.
    """

    def __init__(self, settings: Settings, attend: Callable[[], None]) -> None:
        self._settings = settings
        self._attend = attend
        self._pictures = KnownPictures(settings)
        self._training = TrainingTogether(settings, self._ended, attend)
        self._trained: dict[Entrant, tuple[HostedJob, TrainingRequest]] = {}

    @property
    def busy(self) -> bool:
        """Whether a job is being trained."""
        return self._training.busy

    def begin(self, jobs: Sequence[HostedJob]) -> None:
        """Open and check the data of jobs, and let them train from now on."""
        entrants = [entrant for job in jobs if (entrant := self._entrant(job)) is not None]
        self._training.enter(entrants)

    def advance(self) -> None:
        """Train an epoch of some jobs; jobs end in it."""
        self._training.advance()

    def close(self) -> None:
        """Let the caches have their files."""
        self._training.close()

    def _entrant(self, job: HostedJob) -> Entrant | None:
        watchable = ProgressFile(job.directory)
        try:
            job.directory.failure.unlink(missing_ok=True)
            request = TrainingRequest.read(job.directory)
            telling = self._telling(job, watchable)
            dataset = self._pictures.dataset(job.directory, request.options, telling)
            if not request.skip_check:
                found = self._pictures.check(dataset, request.options, telling)
                keep_findings(found, job.directory, job.console)
        except Exception as error:  # noqa: BLE001 - it ends this job alone
            watchable.run_ended(error)
            job.end(error)
            return None
        entrant = Entrant(
            dataset,
            job.directory.root,
            request.options,
            observers=(PlainProgress(job.console), watchable),
            stop=job.stop,
        )
        self._trained[entrant] = job, request
        return entrant

    def _telling(self, job: HostedJob, watchable: ProgressFile) -> Progress:
        def tell(what: str, done: int, total: int | None) -> None:
            watchable(what, done, total)
            self._attend()
            if job.stop.requested:
                raise Interrupted(f"stopped before the training, while {what}")

        return tell

    def _ended(self, entrant: Entrant, result: FinetuneResult | Exception) -> None:
        job, request = self._trained.pop(entrant)
        if isinstance(result, Exception):
            job.end(result)
            return
        try:
            say_result(result, job.console, time.monotonic() - job.began)
            if not request.no_report:
                self._report(job, result.dataset)
            say_what_next(job.directory.root.name, job.console)
        except Exception as error:  # noqa: BLE001 - it ends this job alone
            job.end(error)
        else:
            job.end()

    def _report(self, job: HostedJob, dataset: PictureDataset) -> None:
        from clary.jobs.report import write_report

        page = write_report(job.directory, dataset=dataset, settings=self._settings)
        say_report(page, job.console)
