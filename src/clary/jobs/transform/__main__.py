"""Transform what one host of a batch transform job got: `python -m clary.jobs.transform FOLDER`.

Exit code 0 when every object has its output. Otherwise `output/failure` says why, beginning as
AWS's reasons do.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from datetime import datetime, timezone
from pathlib import Path

from clary.cores import usable_cores
from clary.errors import ClaryError
from clary.formats.files import storage_errors
from clary.formats.job_directory import JobDirectory
from clary.formats.transform_plan import TransformPlan, output_file, read_objects
from clary.jobs.program import ProgramParser, run_program
from clary.jobs.transform.failures import Blame
from clary.jobs.transform.feeding import Feeder, Outcome
from clary.jobs.transform.model_client import ModelClient
from clary.jobs.transform.model_server import ModelServer

_SEE_LOGS = "See job logs for more information"


def main(arguments: Sequence[str]) -> int:
    """Transform the objects of a folder."""
    parser = ProgramParser("transform", "Transform the objects of one host of a transform job.")
    parser.add_argument("folder", type=Path, help="holds transform.json and replica.json")
    folder: Path = parser.parse_args(arguments).folder
    plan = TransformPlan.read(folder)
    try:
        outcome = _transform(plan, folder)
    except ClaryError as error:
        _fail(folder, "AlgorithmError", str(error))
        raise
    if outcome.first is None:
        return 0
    first, failure = outcome.first
    count = outcome.done + outcome.failed
    which = "" if count == 1 else f"{outcome.failed} of {count} objects failed, the first was "
    where = first.uri.removeprefix("s3://")
    _fail(folder, failure.blamed, f"{which}{where}: {failure.sentence}")
    return 1


def _transform(plan: TransformPlan, folder: Path) -> Outcome:
    outputs = output_file(folder, 0).parent
    with storage_errors(outputs):
        outputs.mkdir(parents=True, exist_ok=True)
    server = ModelServer(folder)
    try:
        listening = server.wait_until_ready()
        concurrent = plan.concurrent or 2 * usable_cores()
        _say(_settings_line(plan, concurrent))
        begun = time.monotonic()
        client = ModelClient(listening, plan, server.lives)
        feeder = Feeder(plan, folder, client.invoke, concurrent=concurrent, say=_say)
        outcome = feeder.run(read_objects(folder))
        seconds = time.monotonic() - begun
        _say(
            f"{outcome.done + outcome.failed} objects in {outcome.requests} requests and "
            f"{seconds:.1f} s, {outcome.failed} of them failed"
        )
        return outcome
    finally:
        server.stop()


def _settings_line(plan: TransformPlan, concurrent: int) -> str:
    megabytes = 0 if plan.max_payload_bytes is None else plan.max_payload_bytes >> 20
    strategy = "MULTI_RECORD" if plan.several_records else "SINGLE_RECORD"
    return (
        f"MaxConcurrentTransforms={concurrent}, MaxPayloadInMB={megabytes}, "
        f"BatchStrategy={strategy}"
    )


def _say(text: str) -> None:
    """A line as SageMaker's own in a transform job's log."""
    now = datetime.now(timezone.utc).isoformat(timespec="milliseconds").removesuffix("+00:00")
    sys.stdout.write(f"{now}:[sagemaker logs]: {text}\n")
    sys.stdout.flush()


def _fail(folder: Path, blamed: Blame, sentence: str) -> None:
    JobDirectory(folder).write_failure(f"{blamed}: {_SEE_LOGS}: {sentence}")


if __name__ == "__main__":
    run_program(main)
