"""The SDK's tuner against a running service, with a script of one's own."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from clary.errors import ServiceError, UsageError
from clary.formats.tuning_record import TuningRecord
from clary.sdk.description import existing
from clary.sdk.endpoint import Endpoint
from clary.sdk.estimator import Estimator
from clary.sdk.hyperparameter_tuner import HyperparameterTuner, WarmStart
from clary.sdk.office import ensure_running
from clary.sdk.session import Session
from clary.sdk.training_job import TrainingJob
from clary.sdk.tuning_job import TuningJob, list_tuning_jobs
from clary.sdk.tuning_recording import find_record, record_folder, record_tuning
from clary.sdk.tuning_resume import all_trials, resume_tuning
from clary.settings import Settings
from tests.conftest import own_clary

SCRIPT = """
import argparse
parser = argparse.ArgumentParser()
parser.add_argument("--lr", type=float)
parser.add_argument("--kind")
given = parser.parse_args()
for epoch in (1, 2, 3):
    loss = abs(given.lr - 0.01) + (given.kind == "worse") + 1 / epoch
    print(f"epoch {epoch} loss: {loss:.6f}", flush=True)
"""
TUNED = ["lr=1e-4..1e-1:log", "kind=better,worse"]


@pytest.fixture(scope="module")
def session(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Session]:
    """A service for all tests, whose tuning jobs have names of their own."""
    with (
        own_clary(tmp_path_factory.mktemp("clary") / "home") as environment,
        pytest.MonkeyPatch.context() as patch,
    ):
        for name, value in {**environment, "CLARY_WARM": "0"}.items():
            patch.setenv(name, value)
        settings = Settings.from_environment()
        yield Session.on_this_machine(settings, record=ensure_running(settings, say=print))


@pytest.fixture(scope="module")
def tuner(session: Session, tmp_path_factory: pytest.TempPathFactory) -> HyperparameterTuner:
    script = tmp_path_factory.mktemp("code") / "script.py"
    script.write_text(SCRIPT)
    estimator = Estimator(
        session,
        image="pytorch-training:2.8",
        entry_point=str(script),
        metrics={"loss": r"loss: ([0-9.]+)"},
    )
    return HyperparameterTuner(
        estimator, "loss", TUNED, direction="Minimize", max_jobs=5, max_parallel_jobs=2, seed=3
    )


def test_a_search_from_fit_to_its_record(
    tuner: HyperparameterTuner, session: Session, capfd: pytest.CaptureFixture[str]
) -> None:
    job = tuner.fit(name="search")
    shown = [line for line in capfd.readouterr().out.splitlines() if line.startswith("trial ")]
    assert len(shown) == 5
    trials = job.trials()
    assert [trial.number for trial in trials] == [1, 2, 3, 4, 5]
    best = min(trials, key=lambda trial: trial.objective or 9)
    assert job.best_training_job().name == best.name
    chosen = job.best_hyperparameters()
    assert {name: chosen[name] for name in ("lr", "kind")} == best.values
    rows = job.analytics()
    assert {type(row["lr"]) for row in rows} == {float}
    assert [row["FinalObjectiveValue"] for row in rows] == [trial.objective for trial in trials]
    assert set(job.importances()) <= {"lr", "kind"}
    found = job.description()
    assert (found.objective, found.direction, found.seed) == ("loss", "Minimize", 3)
    assert set(found.space.ranges) == set(tuner.space.ranges)

    assert session.settings is not None
    assert find_record("search", session.settings) is None
    record = record_tuning(job, session.settings)
    assert TuningRecord.read(record_folder("search", session.settings)) == record
    assert find_record("search", session.settings) == record_folder("search", session.settings)
    assert record.best == best.number
    assert record.command is None  # the script is none that `clary train` could run
    for trial in record.trials:
        assert len(trial.curve) == 3
        assert trial.curve[-1] == trial.value

    # Going on: the numbers, the record and the best go through both.
    with pytest.raises(UsageError, match="has made all its 5 trials: give --trials 15 for ten"):
        resume_tuning(session, "search")
    more = resume_tuning(session, "search", trials=7)
    more.wait()
    assert more.name == "search-2"
    listed = [name for name in list_tuning_jobs(session) if name.startswith("search")]
    assert listed == ["search-2", "search"]
    assert [one.number for one in all_trials(more, more.description())] == list(range(1, 8))
    both = record_tuning(more, session.settings)
    assert [trial.job for trial in both.trials[:5]] == [trial.name for trial in trials]
    assert (both.parents, both.max_trials) == (("search",), 7)
    values = [tuple(trial.parameters.values()) for trial in both.trials]
    assert len(set(values)) == 7
    more.delete()
    assert existing(TuningJob(session, "search-2")) is None


def test_an_objective_that_is_never_said_stops_the_search(tuner: HyperparameterTuner) -> None:
    wrong = replace(tuner.estimator, metrics={"loss": "loss=([0-9.]+)"})
    with pytest.raises(ServiceError) as refused:
        replace(tuner, estimator=wrong, max_jobs=50).fit(name="silent", progress=False)
    said = str(refused.value).splitlines()
    job = TuningJob(tuner.estimator.session, "silent")
    assert said[0].startswith("the trial silent-00")
    assert "has ended without its objective 'loss', so silent was stopped" in said[0]
    assert any(line.startswith("  | epoch 3 loss: ") for line in said)
    assert said[-1].startswith("try an expression: clary jobs metrics silent-00")
    assert said[-1].endswith("--regex 'loss=([0-9.]+)'")
    assert job.wait().status == "Stopped"
    assert len(job.trials()) < 50
    with pytest.raises(ServiceError, match="no trial of silent has an objective"):
        job.best_training_job()


DIVERGING = """
import argparse, time
parser = argparse.ArgumentParser()
parser.add_argument("--lr", type=float)
given, _ = parser.parse_known_args()
time.sleep(given.lr < 0.05)
for epoch in (1, 2):
    print(f"epoch {epoch} loss: {'nan' if given.lr > 0.05 and epoch == 2 else 0.5}", flush=True)
"""


def test_a_search_goes_on_after_a_first_trial_that_diverged(
    tuner: HyperparameterTuner, tmp_path: Path
) -> None:
    (tmp_path / "script.py").write_text(DIVERGING)
    diverging = replace(
        tuner.estimator,
        entry_point=str(tmp_path / "script.py"),
        metrics={"loss": r"loss: (\S+)"},
    )
    job = replace(
        tuner,
        estimator=diverging,
        ranges=["lr=0.1,0.01"],
        strategy="Grid",
        max_jobs=None,
        max_parallel_jobs=1,
    ).fit(name="diverging", progress=False)
    objectives = {trial.values["lr"]: trial.objective for trial in job.trials()}
    assert objectives == {"0.1": None, "0.01": 0.5}


def test_a_grid_a_warm_start_and_a_name_that_is_taken(tuner: HyperparameterTuner) -> None:
    grid = replace(
        tuner, ranges=["lr=0.1,0.01", "kind=better,worse"], strategy="Grid", max_jobs=None
    )
    job = grid.fit(name="grid", progress=False)
    tried = {tuple(trial.values.values()) for trial in job.trials()}
    assert len(tried) == len(job.trials()) == 4
    assert job.best_hyperparameters()["kind"] == "better"
    with pytest.raises(UsageError, match="there is a tuning job grid already"):
        grid.fit(name="grid")
    with pytest.raises(UsageError, match=r"has made all its 4 trials$"):
        resume_tuning(job.session, "grid")
    learned = replace(
        grid, strategy="Random", max_jobs=2, warm_start=WarmStart(("grid",), "TransferLearning")
    )
    found = learned.fit(name="learned", progress=False).description()
    assert (found.parents, found.goes_on_from) == (("grid",), ())


def test_a_search_goes_on_with_what_is_left_under_the_same_numbers(
    tuner: HyperparameterTuner, session: Session
) -> None:
    few = replace(tuner, ranges=["lr=0.1,0.01", "kind=better,worse"], strategy="Random", max_jobs=3)
    job = few.fit(name="few", progress=False)
    more = resume_tuning(session, "few", trials=9)
    found = more.wait()
    assert found.max_trials == 4 - len({tuple(trial.values.items()) for trial in job.trials()})
    with pytest.raises(UsageError, match="has tried all 4 combinations of its values"):
        resume_tuning(session, more.name, trials=9)
    # A trial keeps its number when another one is deleted.
    numbers = {one.trial.name: one.number for one in all_trials(more, found)}
    TrainingJob(session, job.trials()[0].name).delete()
    left = {one.trial.name: one.number for one in all_trials(more, found)}
    assert left == dict(list(numbers.items())[1:])
    assert min(left.values()) == 2
    assert session.settings is not None
    assert record_tuning(more, session.settings).best in left.values()


def test_what_is_not_there(session: Session) -> None:
    with pytest.raises(UsageError, match="there is no tuning job nothing"):
        HyperparameterTuner.attach(session, "nothing")
    with pytest.raises(UsageError, match="there is no tuning job nothing"):
        resume_tuning(session, "nothing")
    for name in ("a_b", "words.txt"):  # names that none may have
        with pytest.raises(UsageError, match=f"there is no tuning job {name}: "):
            HyperparameterTuner.attach(session, name)
        with pytest.raises(UsageError, match=f"there is no job {name}: see"):
            TrainingJob(session, name).description()
        with pytest.raises(UsageError, match=f"there is no endpoint {name}: see"):
            Endpoint(session, name).description()
    assert existing(TuningJob(session, "nothing")) is None
    assert "nothing" not in list_tuning_jobs(session)
