"""One running service: its parts, made in order and let go in reverse."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack

from clary.formats.client_environment import client_environment
from clary.formats.credentials import Credentials
from clary.formats.service_record import ServiceRecord
from clary.object_store.store import ObjectStore
from clary.service.app import App
from clary.service.executors.local_processes import LocalProcesses
from clary.service.executors.surroundings import inherited_environment
from clary.service.invocations.invocations import Invocations
from clary.service.invocations.traffic import Traffic
from clary.service.keys import ACCOUNT, KeyRing
from clary.service.office import Office
from clary.service.operations.table import COPYING, INVOKING, OPERATIONS, PATIENT
from clary.service.protocol.chain import Chain
from clary.service.service_log import ServiceLog
from clary.service.state.state import State
from clary.service.supervisor.supervisor import Supervisor
from clary.service.supervisor.transforms.supervisor import TransformSupervisor
from clary.settings import Settings


class Service:
    """The parts of the service on one home. Made, started and closed by the main thread."""

    def __init__(self, settings: Settings, log: ServiceLog) -> None:
        """Make all parts; nothing is done with them yet.

        Raises:
            FormatError: a file of the home is damaged, or of a later version.
            StorageError: the home cannot be written, or its database cannot be read.
        """
        self._settings = settings
        self._credentials = Credentials.ensure(settings)
        self._record: ServiceRecord | None = None
        with ExitStack() as parts:
            state = State(settings.state_file)
            parts.callback(state.close)
            store = ObjectStore(settings.buckets_dir)
            parts.callback(store.close)
            executor = LocalProcesses(settings, store, warm=settings.warm)
            traffic = Traffic()
            # Closes the executor, too.
            self._supervisor = Supervisor(
                state, executor, settings, self._job_environment, traffic=traffic
            )
            parts.callback(self._supervisor.close)
            self._transforms = TransformSupervisor(
                state, executor.transforms, settings, job_environment=self._job_environment
            )
            parts.callback(self._transforms.close)
            keys = KeyRing(self._credentials)
            self._invocations = Invocations(
                state,
                store,
                traffic,
                region=self._credentials.region,
                account=ACCOUNT,
                want=self._supervisor.endpoints.want,
                fetch_model=self._supervisor.endpoints.fetch_model,
            )
            parts.callback(self._invocations.close)
            office = Office(
                settings,
                self._credentials.region,
                store,
                state,
                self._supervisor,
                keys,
                traffic,
                self._invocations,
                self._transforms,
            )
            chain = Chain(office, OPERATIONS, keys)
            self.app = App(chain, log, patient=PATIENT, copying=COPYING, invoking=INVOKING)
            parts.callback(self.app.close)
            self._parts = parts.pop_all()

    def start(self, record: ServiceRecord) -> None:
        """Take up the jobs that are there. `record` says where their requests are to go."""
        self._record = record
        self._supervisor.start()
        self._transforms.start()
        self._invocations.start()

    def wake(self) -> None:
        """Let calls that wait for a job or a model answer now: the service is about to end."""
        self._supervisor.release()
        self._transforms.release()
        self._invocations.release()

    def close(self) -> None:
        """Let go of everything; running jobs go on."""
        self._parts.close()

    def _job_environment(self) -> Mapping[str, str]:
        assert self._record is not None
        earlier = inherited_environment()
        return client_environment(self._settings, self._record, self._credentials, earlier)
