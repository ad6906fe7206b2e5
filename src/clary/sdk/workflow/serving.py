"""The model as an endpoint that stays, in place of the one that an earlier run has left."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

from clary.errors import Interrupted, UsageError
from clary.formats.files import write_text
from clary.formats.service_record import ServiceRecord
from clary.formats.workflow_record import Deployed, Found, StageName, Trained
from clary.sdk.deploying import ModelChoice, deploy, free_name, require_service
from clary.sdk.endpoint import IN_SERVICE, Endpoint, EndpointDescription
from clary.sdk.redeploying import redeploy
from clary.sdk.training_job import TrainingJob
from clary.sdk.workflow.stage import Outcome, Progress, Run
from clary.settings import Settings

SCRIPT = Path(__file__).with_name("ask_with_boto3.py")
_WORDS = {
    "Creating": "starting a replica",
    "Updating": "starting a replica of the new model, the old one answers",
    "Deleting": "waiting for the end of the earlier one",
}


class Deploy:
    """Makes the endpoint, or puts the new model into it without losing a request."""

    name: ClassVar[StageName] = "deploy"

    def inputs(self, run: Run) -> Mapping[str, Any]:
        """The training whose model is served."""
        return {"job": run.found(Trained).job}

    def holds(self, run: Run, found: Found) -> bool:
        """Whether the endpoint answers, by the model that it was made for."""
        if not isinstance(found, Deployed):
            return False
        endpoint = Endpoint(run.session, found.endpoint)
        now = _own(run, endpoint, found)
        if now is None or now.status != IN_SERVICE or not run.script.is_file():
            return False
        return found.archive == _archive(run, endpoint)

    def work(self, run: Run, before: Found | None, *, same: bool) -> Outcome:
        """Make the endpoint, or change what it serves, and wait until it answers.

        Raises:
            ServiceError: it cannot be made, or fails.
            StorageError: the program that asks it cannot be written.
            Interrupted: a stop was asked for; what was begun goes on.
        """
        job = TrainingJob(run.session, run.found(Trained).job)
        known = before if isinstance(before, Deployed) else None
        endpoint, now = self._there(run, known)
        if endpoint is None:
            name = run.ask(lambda: free_name(run.session, run.plan.name))
            run.note(Deployed(endpoint=name))
            endpoint = deploy(job, session=run.session, name=name, wait=False)
        elif now is not None:
            run.note(Deployed(endpoint=endpoint.name, created=now.created))
            archive = run.ask(job.description).model_artifacts
            if archive != _archive(run, endpoint):
                there = endpoint
                redeploy(there, ModelChoice(job), watch=lambda: self._settled(run, there))
        now = self._settled(run, endpoint)
        require_service(endpoint, now)
        write_text(run.script, SCRIPT.read_text(encoding="utf-8"))
        found = Deployed(
            endpoint=endpoint.name, created=now.created, archive=_archive(run, endpoint)
        )
        return Outcome(f"the endpoint {endpoint.name} is in service", found)

    def _there(
        self, run: Run, known: Deployed | None
    ) -> tuple[Endpoint | None, EndpointDescription | None]:
        """The endpoint of an earlier run, once nothing moves any more; a failed one is removed."""
        if known is None:
            return None, None
        endpoint = Endpoint(run.session, known.endpoint)
        now = _own(run, endpoint, known)
        if now is None:
            return None, None
        if not now.ended:
            try:
                now = self._settled(run, endpoint)
            except UsageError:
                return None, None  # it was being deleted
        if now.status != IN_SERVICE:
            run.ask(endpoint.delete)
            return None, None
        return endpoint, now

    def _settled(self, run: Run, endpoint: Endpoint) -> EndpointDescription:
        while not (now := run.ask(endpoint.description)).ended:
            run.listener.moved(self.name, Progress(_WORDS.get(now.status, now.status)))
            if run.pause(endpoint.poll_seconds):
                raise Interrupted("stopped in deploy")
        return now


def address_on_this_machine(settings: Settings, name: str) -> str | None:
    """Where an endpoint of this machine takes requests; None while the service does not run.

    Raises:
        FormatError: the record of the service is damaged, or of a later version.
    """
    record = ServiceRecord.read(settings)
    return None if record is None else f"{record.url}/endpoints/{name}/invocations"


def _own(run: Run, endpoint: Endpoint, known: Deployed) -> EndpointDescription | None:
    """How an endpoint stands; None where there is none, or one of the same name that somebody
    else has made since.
    """
    try:
        now = run.ask(endpoint.description)
    except UsageError:
        return None
    return now if known.created in {None, now.created} else None


def _archive(run: Run, endpoint: Endpoint) -> str:
    """What the endpoint serves; "" where it serves several models, or none that is known."""
    archives = {model.data for model in run.ask(endpoint.models).values()}
    return archives.pop() if len(archives) == 1 else ""
