"""`clary run`."""

from __future__ import annotations

import sys
from concurrent.futures import wait
from typing import Annotated

from cyclopts import Group, Parameter
from rich.console import Console

from clary.cli.parser import Switch
from clary.cli.run_end import print_end
from clary.cli.run_view import RunView
from clary.cli.training_parameters import given_options, with_training_options
from clary.cli.watching import counting_stops, in_background
from clary.errors import UsageError
from clary.formats.workflow_record import StageName, WorkflowRecord
from clary.sdk.picture_debugging import parse_debug
from clary.sdk.profiling import parse_profile
from clary.sdk.workflow.plan import WorkflowPlan
from clary.sdk.workflow.workflow import Workflow
from clary.settings import Settings

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
    until: Annotated[StageName, Parameter(group=RUN)] = "predict",
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
        KeyboardInterrupt: Ctrl-C came a second time.
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
    work = in_background(workflow.run)
    stopping = False
    while wait([work], _LOOK_SECONDS).not_done:
        view.draw()
        if len(asked) > 1:
            _say("left what stops to itself; the same command goes on there")
            raise KeyboardInterrupt
        if asked and not stopping:
            stopping = True
            _say("stopping, what is known is kept; Ctrl-C again leaves the rest to itself")
            workflow.stop()
    return work.result()


def _say(sentence: str) -> None:
    print(f"clary: {sentence}", file=sys.stderr, flush=True)
