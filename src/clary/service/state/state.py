"""All that the service remembers."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

from sqlalchemy import Connection

from clary.service.state import (
    log_streams,
    metric_data,
    rule_evaluations,
    scaling,
    tags,
    training_jobs,
    trials,
    tuning_jobs,
)
from clary.service.state.async_invocations import AsyncInvocations
from clary.service.state.database import Database
from clary.service.state.endpoints import EndpointRecord, Endpoints
from clary.service.state.log_streams import LogStream, LogStreams
from clary.service.state.metric_data import Datum, MetricData
from clary.service.state.models import EndpointConfigs, Models
from clary.service.state.replicas import Replicas
from clary.service.state.rule_evaluations import RuleEvaluation, RuleEvaluations
from clary.service.state.scaling import Scaling
from clary.service.state.step_metrics import StepMetrics
from clary.service.state.tags import Tags
from clary.service.state.training_jobs import TrainingJob, TrainingJobs
from clary.service.state.transform_jobs import TransformJobs
from clary.service.state.trials import Emission, Trials
from clary.service.state.tuning_jobs import TuningJob, TuningJobs


class State:
    """The service's memory, a noun per table; here is what concerns several of them at once.

    Owned by the service; any thread may call any method. Survives a kill at any moment.
    """

    def __init__(self, path: Path) -> None:
        """Open the database, or make it.

        Raises:
            StorageError: it is damaged, was made by a later Clary, or cannot be written.
        """
        self._database = Database(path)
        self.training_jobs = TrainingJobs(self._database)
        self.rule_evaluations = RuleEvaluations(self._database)
        self.trials = Trials(self._database)
        self.tuning_jobs = TuningJobs(self._database)
        self.models = Models(self._database)
        self.endpoint_configs = EndpointConfigs(self._database)
        self.endpoints = Endpoints(self._database)
        self.replicas = Replicas(self._database)
        self.async_invocations = AsyncInvocations(self._database)
        self.transform_jobs = TransformJobs(self._database)
        self.scaling = Scaling(self._database)
        self.tags = Tags(self._database)
        self.metrics = MetricData(self._database)
        self.step_metrics = StepMetrics(self._database)
        self.logs = LogStreams(self._database)

    def close(self) -> None:
        """Let go of the file."""
        self._database.close()

    def create_training_job(
        self,
        job: TrainingJob,
        tagged: Mapping[str, str],
        evaluations: Sequence[RuleEvaluation] = (),
    ) -> TrainingJob | None:
        """Store a new job with its tags and its rules; give the one of its name, if there is one.

        Raises:
            StorageError: the database cannot be written.
        """

        def also(connection: Connection, stored: TrainingJob) -> None:
            tags.add_within(connection, job.arn, tagged)
            rule_evaluations.add_within(connection, stored, evaluations)

        return self.training_jobs.add(job, also)

    def update_training_job(
        self,
        name: str,
        change: Callable[[TrainingJob], TrainingJob],
        added: Callable[[TrainingJob, TrainingJob], Sequence[RuleEvaluation]],
        close: Callable[[RuleEvaluation, TrainingJob], RuleEvaluation | None],
    ) -> TrainingJob | None:
        """Change what a job is asked for, and its rules with it, at once.

        Args:
            name: the job's.
            change: gives the job as it is to be; what it raises leaves everything as it was.
            added: gives the evaluations that the job gets, from what it is and what it was.
            close: gives an evaluation as it is to be of the changed job; None where it stays.

        Returns:
            The changed job; None where there is none of that name.

        Raises:
            StorageError: the database cannot be written.
        """
        was: list[TrainingJob] = []

        def note(job: TrainingJob) -> TrainingJob:
            was.append(job)
            return change(job)

        with self._database.writing() as connection:
            job = training_jobs.change_within(connection, name, note)
            if job is None:
                return None
            for one in rule_evaluations.of_job_within(connection, job.number):
                rule_evaluations.change_within(connection, one.number, lambda now: close(now, job))
            rule_evaluations.add_within(connection, job, added(job, was[0]))
            return job

    def change_training_job(
        self,
        name: str,
        change: Callable[[TrainingJob], TrainingJob | None],
        close: Callable[[RuleEvaluation, TrainingJob], RuleEvaluation | None],
    ) -> TrainingJob | None:
        """`TrainingJobs.change`; what a job leaves open of its rules when it ends is closed.

        Args:
            name: the job's.
            change: gives the job as it is to be.
            close: gives an open evaluation as it is to be, of a job that has ended.

        Raises:
            StorageError: the database cannot be written.
        """
        with self._database.writing() as connection:
            job = training_jobs.change_within(connection, name, change)
            if job is not None and not job.active:
                for one in rule_evaluations.of_job_within(connection, job.number):
                    if one.open:
                        rule_evaluations.change_within(
                            connection, one.number, lambda open_one: close(open_one, job)
                        )
            return job

    def change_the_one(
        self,
        prefix: str,
        change: Callable[[TrainingJob], TrainingJob | None],
        evaluation: int,
        tell: Callable[[RuleEvaluation, Sequence[str]], RuleEvaluation | None],
    ) -> bool:
        """Change the one job of a prefix for a rule, and note with the rule what was done.

        Both are stored at once: what a rule has done is never forgotten, and not done again.

        Args:
            prefix: what the job's name begins with; a job that goes on and is called so is the one
                that is meant, whatever other names begin with it.
            change: gives a job in progress as it is to be; None for one that cannot be meant.
            evaluation: the rule's number.
            tell: gives the rule as it is to be from the names of all jobs that may be meant; None
                where the rule has done it before.

        Returns:
            Whether a job was changed.

        Raises:
            StorageError: the database cannot be written.
        """
        with self._database.writing() as connection:
            running = training_jobs.select_within(connection, prefix, ("InProgress", "Stopping"))
            named = [job for job in running if job.name == prefix]
            meant = [job.name for job in named or running if change(job) is not None]
            told = rule_evaluations.change_within(
                connection, evaluation, lambda one: tell(one, meant)
            )
            if told is None or len(meant) != 1:
                return False
            return training_jobs.change_within(connection, meant[0], change) is not None

    def forget_training_job(
        self, job: TrainingJob, group: str, hosts: Iterable[str], rules_group: str
    ) -> None:
        """Remove a job, and its tags, metrics, rules and log streams with it.

        Args:
            job: an ended job.
            group: the log group of its hosts.
            hosts: their names.
            rules_group: the log group of its rules.

        Raises:
            StorageError: the database cannot be written.
        """
        rules = self.rule_evaluations.of_job(job.number)

        def also(connection: Connection) -> None:
            tags.remove_all_within(connection, job.arn)
            metric_data.remove_within(connection, "TrainingJobName", [job.name])
            metric_data.remove_within(connection, "Host", [f"{job.name}/{host}" for host in hosts])
            log_streams.remove_prefix_within(connection, group, f"{job.name}/")
            for rule in rules:
                log_streams.remove_prefix_within(connection, rules_group, f"{rule.name}/")

        self.training_jobs.remove(job.name, also)

    def create_tuning_job(self, job: TuningJob, tagged: Mapping[str, str]) -> TuningJob | None:
        """Store a new tuning job with its tags; give the one that bears its name already, if any.

        Raises:
            StorageError: the database cannot be written.
        """

        def tag(connection: Connection) -> None:
            tags.add_within(connection, job.arn, tagged)

        return self.tuning_jobs.add(job, tag)

    def begin_trial(
        self,
        tuning_job: str,
        count: Callable[[TuningJob], TuningJob | None],
        trial: TrainingJob,
        tagged: Mapping[str, str],
        evaluations: Sequence[RuleEvaluation] = (),
    ) -> bool:
        """Store a trial and count it in its tuning job, at once: no number is given twice.

        Args:
            tuning_job: whose trial it is.
            count: gives the tuning job with the trial counted; None when it must not begin.
            trial: a new training job.
            tagged: its tags.
            evaluations: its rules.

        Returns:
            Whether the trial was stored.

        Raises:
            StorageError: the database cannot be written.
        """
        with self._database.writing() as connection:
            if tuning_jobs.change_within(connection, tuning_job, count) is None:
                return False
            stored = training_jobs.add_within(connection, trial)
            tags.add_within(connection, trial.arn, tagged)
            rule_evaluations.add_within(connection, stored, evaluations)
            return True

    def forget_tuning_job(self, name: str, allowed: Callable[[TuningJob], bool]) -> bool:
        """Remove a tuning job that `allowed` lets go, and its tags; its trials stay.

        Raises:
            StorageError: the database cannot be written.
        """

        def also(connection: Connection, job: TuningJob) -> None:
            tags.remove_all_within(connection, job.arn)

        return self.tuning_jobs.remove(name, allowed, also)

    def forget_endpoint(self, name: str, group: str) -> bool:
        """Remove an endpoint, and all that is remembered of it; whether there was one.

        With it go its replicas, asynchronous invocations, tags, metrics, its log and what scales
        it.

        Args:
            name: the endpoint's.
            group: the log group of its instances.

        Raises:
            StorageError: the database cannot be written.
        """

        def also(connection: Connection, endpoint: EndpointRecord) -> None:
            tags.remove_all_within(connection, endpoint.arn)
            metric_data.remove_within(connection, "EndpointName", [endpoint.name])
            log_streams.remove_group_within(connection, group)
            scaling.remove_within(connection, f"endpoint/{endpoint.name}/variant/")

        gone = self.endpoints.remove(name, also=also) is not None
        for of_endpoints in (self.replicas, self.async_invocations, self.scaling.policies):
            of_endpoints.touched()
        return gone

    def forget_scalable_target(self, resource: str) -> bool:
        """Remove a scalable target and its policies; whether there was one.

        Raises:
            StorageError: the database cannot be written.
        """

        def also(connection: Connection, target: scaling.ScalableTarget) -> None:
            scaling.remove_policies_within(connection, target.name)

        gone = self.scaling.targets.remove(resource, also=also) is not None
        self.scaling.policies.touched()
        return gone

    def record_logs(
        self,
        name: str,
        change: Callable[[TrainingJob], TrainingJob],
        data: Iterable[Datum],
        streams: Iterable[LogStream],
        objective: Iterable[Emission] = (),
    ) -> None:
        """Store what was read in a job's logs and how far, at once: nothing is counted twice.

        Raises:
            StorageError: the database cannot be written.
        """
        with self._database.writing() as connection:
            job = training_jobs.change_within(connection, name, change)
            if job is not None:
                metric_data.add_within(connection, data)
                trials.add_values_within(connection, job.number, objective)
                for stream in streams:
                    log_streams.add_within(connection, stream)
