"""`clary run`."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from typing import Annotated, Literal

from cyclopts import Group, Parameter
from rich.console import Console

from clary.cli.parser import Switch
from clary.cli.run_end import print_end
from clary.cli.run_view import RunView
from clary.cli.training_parameters import given_options, with_training_options
from clary.cli.watching import counting_stops
from clary.errors import UsageError
from clary.formats.workflow_record import WorkflowRecord
from clary.sdk.picture_debugging import parse_debug
from clary.sdk.profiling import parse_profile
from clary.sdk.workflow.plan import WorkflowPlan
from clary.sdk.workflow.workflow import Workflow
from clary.settings import Settings

StageWord = Literal["check", "tune", "train", "evaluate", "report", "deploy", "predict"]
RUN = Group("The run", sort_key=0)
NAMED = Parameter(group=RUN, consume_multiple=(0, 1), negative=())
RANGES = Parameter(group=RUN, consume_multiple=True, negative=())
NO_DATA = (
    "`clary run` needs the folder of your pictures, as in `clary run photos/`; "
    "`clary run digits` tries it without any"
)
_LOOK_SECONDS = 0.1


@with_training_options()
def run(
    data: str | None = None,
    /,
    *,
    name: Annotated[str | None, Parameter(group=RUN)] = None,
    trials: Annotated[int | None, Parameter(group=RUN)] = None,
    space: Annotated[list[str] | None, RANGES] = None,
    time_limit: Annotated[str | None, Parameter(group=RUN)] = None,
    until: Annotated[StageWord, Parameter(group=RUN)] = "predict",
    debug: Annotated[list[str] | None, NAMED] = None,
    profile: Annotated[list[str] | None, NAMED] = None,
    skip_check: Annotated[Switch, Parameter(group=RUN)] = False,
    **options: str | bool | None,
) -> int:
    """Do it all: check the pictures, tune, train with the best hyperparameters, judge, report,
    deploy an endpoint, and ask it.

    The same command again keeps what holds, goes on where Ctrl-C or a crash has stopped it, and
    does anew what other pictures or options change.

    Args:
        data: A folder with one folder of pictures per class (or train/, valid/ and test/ with
            such folders in them), a manifest, an archive, or one of: cifar10, digits, dogs.
        name: The run's name, and its endpoint's; that of the data by default.
        trials: Trainings to find the hyperparameters by, 8 by default; 0 leaves tuning out. More
            than before go on with those that were made.
        space: What is tuned, such as lr=1e-4..1e-1:log batch_size=32,64; what fits by default.
        time_limit: For tuning and training together, such as 10m or 1h30m; what is cut is said.
        until: The last stage: check, tune, train, evaluate, report, deploy or predict.
        debug: What the training is watched for, as for `clary train`.
        profile: What is recorded of where its time goes, as for `clary train`.
        skip_check: Do not look at the pictures, only count them.

    Raises:
        UsageError: an option is out of bounds, or the run goes on in another terminal.
        DataError: there is no such data.
        StageFailed: a stage could not be done.
        Interrupted: Ctrl-C; the same command goes on there.
        StorageError: the home cannot be written.
    """
    if data is None:
        raise UsageError(NO_DATA)
    settings = Settings.from_environment()
    plan = WorkflowPlan.prepare(
        data,
        given_options(options),
        settings,
        name=name,
        trials=trials,
        space=space,
        until=until,
        time_limit=time_limit,
        debug=parse_debug(debug),
        profile=parse_profile(profile or ()),
        skip_check=skip_check,
    )
    console = Console(highlight=False)
    with counting_stops() as asked, RunView(console, plan) as view:
        workflow = Workflow(plan, settings, view)
        record = _until_it_ends(workflow, view, asked)
    print_end(console, plan, record, settings, seconds=view.seconds, kept=view.kept_all)
    return 0


def _until_it_ends(workflow: Workflow, view: RunView, asked: list[int]) -> WorkflowRecord:
    """Run it on a thread of its own, so that Ctrl-C is heard at once."""
    work = _Background(workflow.run)
    stopping = False
    while not work.over.wait(_LOOK_SECONDS):
        view.draw()
        if len(asked) > 1:
            raise KeyboardInterrupt
        if asked and not stopping:
            stopping = True
            print(
                "clary: stopping, what is known is kept; Ctrl-C again leaves the rest to itself",
                file=sys.stderr,
                flush=True,
            )
            workflow.stop()
    return work.result()


class _Background:
    """Calls a function on a thread; `over` is set when it has ended."""

    def __init__(self, work: Callable[[], WorkflowRecord]) -> None:
        self.over = threading.Event()
        self._work = work
        self._record: WorkflowRecord | None = None
        self._error: BaseException | None = None
        threading.Thread(target=self._run, name="run", daemon=True).start()

    def result(self) -> WorkflowRecord:
        """What it has returned.

        Raises:
            BaseException: whatever it has raised.
        """
        if self._error is not None:
            raise self._error
        assert self._record is not None
        return self._record

    def _run(self) -> None:
        try:
            self._record = self._work()
        except BaseException as error:  # noqa: BLE001 - raised where the result is asked for
            self._error = error
        finally:
            self.over.set()
