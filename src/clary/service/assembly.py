"""One running service: its parts, made in order and let go in reverse."""

from __future__ import annotations

from clary.formats.credentials import Credentials
from clary.formats.service_record import ServiceRecord
from clary.service.app import App
from clary.service.keys import KeyRing
from clary.service.office import Office
from clary.service.operations.table import OPERATIONS, PATIENT
from clary.service.protocol.chain import Chain
from clary.settings import Settings


class Service:
    """The parts of the service on one home. Made, started and closed by the main thread."""

    def __init__(self, settings: Settings) -> None:
        credentials = Credentials.ensure(settings)
        self.office = Office(
            settings=settings,
            region=credentials.region,
            store=None,  # type: ignore[arg-type]
            state=None,  # type: ignore[arg-type]
            supervisor=None,  # type: ignore[arg-type]
        )
        self.app = App(Chain(self.office, OPERATIONS, KeyRing(credentials)), PATIENT)

    def start(self, record: ServiceRecord) -> None:
        """Take up the jobs that are there."""

    def wake(self) -> None:
        """Let calls that wait for a job answer now: the service ends."""

    def close(self) -> None:
        """Let go of everything; running jobs go on."""
        self.app.close()
