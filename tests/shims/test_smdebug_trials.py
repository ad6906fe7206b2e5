"""Trials of `smdebug` on logs as they grow, in a plain interpreter: neither torch nor pydantic."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from clary.formats.client_environment import SHIMS
from clary.formats.tensor_log import TensorLogWriter
from clary.formats.tensor_log.entries import (
    Capture,
    CollectionRecord,
    Mode,
    RawTensor,
    Statistics,
    Step,
)

LOSS = "CrossEntropyLoss_output_0"
GRADIENT = "gradient/Net_fc.weight"


@pytest.fixture(scope="module", autouse=True)
def smdebug(smdebug_path: None) -> Any:
    import smdebug
    import smdebug.rules
    import smdebug.trials

    return smdebug


class Made:
    """Writes a training step by step, as a hook would."""

    def __init__(self, folder: Path, worker: str = "worker_0") -> None:
        self.writer = TensorLogWriter(
            folder,
            worker=worker,
            collections=[CollectionRecord("gradients", ("^gradient",), (GRADIENT,))],
        )

    def step(self, number: int, mode: Mode, mode_step: int, *, gradient: bool = False) -> None:
        statistics = Statistics(4, min=-1, max=2, mean=0.5, std=1.0, l1=4.0, l2=2.5)
        self.writer.write(
            Capture(
                Step(number, mode, mode_step, 1000.0 + number),
                scalars={LOSS: 1 / (1 + number)},
                statistics={GRADIENT: statistics} if gradient else {},
                raw={"Net_fc.weight": RawTensor.of(np.full((2, 2), number, np.float32))},
            )
        )
        self.writer.flush()


@pytest.fixture
def made(tmp_path: Path) -> Made:
    """Steps 0, 2 and 4 in training, and two of evaluation; still going on."""
    made = Made(tmp_path)
    for number in (0, 2, 4):
        made.step(number, Mode.TRAIN, number, gradient=number != 2)
    made.step(5, Mode.EVAL, 0)
    made.step(6, Mode.EVAL, 1)
    return made


def create(folder: Path, **more: Any) -> Any:
    from smdebug.trials import create_trial

    return create_trial(str(folder), **more)


def test_steps_and_modes(made: Made, tmp_path: Path) -> None:
    from smdebug import modes
    from smdebug.exceptions import SMDebugValueError

    trial = create(tmp_path)
    assert trial.steps() == [0, 2, 4, 5, 6]
    assert trial.steps(mode=modes.TRAIN) == [0, 2, 4]
    assert trial.steps(modes.PREDICT) == []
    assert trial.modes() == [modes.TRAIN, modes.EVAL]
    assert (trial.mode(5), trial.mode_step(5)) == (modes.EVAL, 0)
    assert f"{trial.mode(5)}" == str(modes.EVAL) == "ModeKeys.EVAL"
    assert (trial.mode(3), trial.mode_step(3)) == (None, None)
    assert trial.global_step(modes.EVAL, 1) == 6
    assert trial.global_step(modes.EVAL, 7) is None
    assert trial.workers() == ["worker_0"]
    for unknown in ("TRAIN", 1):
        with pytest.raises(SMDebugValueError, match=r"modes\.TRAIN"):
            trial.steps(mode=unknown)
    assert (trial.name, trial.num_workers, trial.loaded_all_steps) == (tmp_path.name, 1, False)


def test_names(made: Made, tmp_path: Path) -> None:
    from smdebug import modes

    trial = create(tmp_path)
    assert trial.tensor_names() == [LOSS, "Net_fc.weight", GRADIENT]
    assert trial.tensor_names(regex="weight") == ["Net_fc.weight", GRADIENT]
    assert trial.tensor_names(regex=["^Cross", "^grad"]) == [LOSS, GRADIENT]
    assert trial.tensor_names(collection="gradients") == [GRADIENT]
    assert trial.tensor_names(collection=trial.collection("losses")) == [LOSS]
    assert trial.tensor_names(collection="nothing") == []
    assert trial.tensor_names(step=2) == [LOSS, "Net_fc.weight"]
    assert trial.tensor_names(step=1) == []
    assert trial.tensor_names(mode=modes.EVAL) == [LOSS, "Net_fc.weight"]
    assert trial.tensor_names(step=0, mode=modes.TRAIN, regex="grad") == [GRADIENT]
    assert not trial.has_tensor("nothing")
    with pytest.raises(ValueError, match="leave one out"):
        trial.tensor_names(regex="a", collection="losses")


def test_values_reductions_and_shapes(made: Made, tmp_path: Path) -> None:
    from smdebug import exceptions, modes

    trial = create(tmp_path)
    loss, gradient, weight = map(trial.tensor, (LOSS, GRADIENT, "Net_fc.weight"))
    assert (loss.value(4).shape, loss.value(4).dtype) == ((), np.float32)
    assert loss.value(0, mode=modes.EVAL) == pytest.approx(1 / 6)
    assert weight.values(mode=modes.EVAL).keys() == {0, 1}
    assert weight.value(1, modes.EVAL, worker="worker_0").tolist() == [[6, 6], [6, 6]]
    assert weight.shape(0) == (2, 2)
    assert weight.shapes(modes.TRAIN) == {0: (2, 2), 2: (2, 2), 4: (2, 2)}
    assert gradient.reduction_value(0, "mean") == 0.5
    assert gradient.reduction_value(0, "mean", abs=True) == 1.0
    # As torch divides: by n - 1.
    assert gradient.reduction_value(0, "variance") == pytest.approx(4 / 3)
    assert weight.reduction_value(2, "l2") == 4.0
    assert gradient.reduction_values(0)["max", False] == 2.0
    assert gradient.prev_steps(10, 2) == [0, 4]
    assert loss.prev_steps(4, None, mode=modes.TRAIN) == [0, 2, 4]
    assert loss.workers(4) == ["worker_0"]
    with pytest.raises(exceptions.SMDebugValueError, match="median"):
        gradient.reduction_value(0, "median")


def test_values_are_the_reader_s_own_and_numbers_are_numbers(tmp_path: Path) -> None:
    made = Made(tmp_path)
    made.writer.write(
        Capture(Step(0, Mode.TRAIN, 0, 1.0), scalars={LOSS: 0.5, "scalar/accuracy": 0.75})
    )
    made.step(1, Mode.TRAIN, 1)
    trial = create(tmp_path)
    weight = trial.tensor("Net_fc.weight").value(1)
    weight += 1
    assert trial.tensor("Net_fc.weight").value(1).tolist() == [[1, 1], [1, 1]]
    assert f"{trial.tensor(LOSS).value(0):.2f}" == "0.50"
    accuracy = trial.tensor("scalar/accuracy").value(0)
    assert (accuracy.shape, accuracy[0]) == ((1,), 0.75)
    assert (float(accuracy), int(accuracy), f"{accuracy:.1%}") == (0.75, 0, "75.0%")
    assert np.mean([accuracy, accuracy]) == 0.75


def test_what_is_missing_is_told_apart(made: Made, tmp_path: Path) -> None:
    from smdebug import exceptions, modes

    trial = create(tmp_path)
    gradient = trial.tensor(GRADIENT)
    with pytest.raises(exceptions.TensorUnavailable, match="nothing"):
        trial.tensor("nothing")
    with pytest.raises(exceptions.TensorUnavailableForStep, match="reduction_value") as caught:
        gradient.value(0)
    assert caught.value.has_reductions
    with pytest.raises(exceptions.TensorUnavailableForStep) as caught:
        gradient.value(2)
    assert not caught.value.has_reductions
    with pytest.raises(exceptions.StepUnavailable):
        gradient.value(1)
    with pytest.raises(exceptions.StepNotYetAvailable):
        gradient.value(7)
    with pytest.raises(exceptions.InvalidWorker, match="worker_5"):
        gradient.reduction_value(0, "mean", worker="worker_5")
    with pytest.raises(exceptions.ShapeUnavailableForStep):
        gradient.shape(0)
    made.writer.close()
    for step, mode in ((3, modes.TRAIN), (5, modes.TRAIN), (0, modes.PREDICT)):
        with pytest.raises(exceptions.StepUnavailable):
            trial.tensor(LOSS).value(step, mode=mode)
    with pytest.raises(exceptions.NoMoreData) as ended:
        trial.wait_for_steps([5], mode=modes.TRAIN)
    assert (ended.value.step, ended.value.last_step) == (5, 4)


def test_a_trial_goes_on_when_another_hook_of_its_job_does(made: Made, tmp_path: Path) -> None:
    made.writer.close()
    trial = create(tmp_path)
    assert trial.loaded_all_steps
    assert trial.tensor(LOSS).steps() == [0, 2, 4, 5, 6]
    again = Made(tmp_path)
    again.step(7, Mode.TRAIN, 5)
    trial.wait_for_steps([7])
    assert not trial.loaded_all_steps
    assert trial.tensor(LOSS).steps() == [0, 2, 4, 5, 6, 7]
    assert trial.tensor(LOSS).value(7) == pytest.approx(1 / 8)
    again.step(8, Mode.TRAIN, 6)
    again.writer.close()
    (tmp_path / "training_job_end.ts").touch()
    assert trial.steps()[-1] == 8
    assert trial.loaded_all_steps


def test_steps_that_pass(made: Made, tmp_path: Path) -> None:
    from smdebug import exceptions, modes
    from smdebug.core.tensor import StepState

    trial = create(tmp_path)
    assert trial.has_passed_step(2) is StepState.AVAILABLE
    assert trial.has_passed_step(3) is StepState.UNAVAILABLE
    assert trial.has_passed_step(7) is StepState.NOT_YET_AVAILABLE
    with pytest.raises(exceptions.StepUnavailable):
        trial.wait_for_steps([1])

    def later() -> None:
        time.sleep(0.3)
        made.step(8, Mode.EVAL, 2)
        made.writer.close()

    thread = threading.Thread(target=later)
    thread.start()
    trial.wait_for_steps([2], mode=modes.EVAL)
    assert trial.steps(modes.EVAL) == [0, 1, 2]
    thread.join()
    with pytest.raises(exceptions.NoMoreData):
        trial.wait_for_steps([9])
    assert trial.has_passed_step(9) is StepState.UNAVAILABLE


def test_nothing_new_appears_while_refreshing_is_off(made: Made, tmp_path: Path) -> None:
    from smdebug.analysis.utils import no_refresh

    trial = create(tmp_path)
    with no_refresh(trial):
        made.step(8, Mode.EVAL, 2)
        assert trial.steps()[-1] == 6
    assert trial.steps()[-1] == 8


def test_steps_of_several_workers_are_complete_when_all_have_them(tmp_path: Path) -> None:
    from smdebug.core.tensor import StepState

    both = [Made(tmp_path, f"worker_{rank}") for rank in (0, 1)]
    for number in (0, 1):
        both[0].step(number, Mode.TRAIN, number)
    both[1].step(0, Mode.TRAIN, 0)
    trial = create(tmp_path)
    assert (trial.workers(), trial.num_workers) == (["worker_0", "worker_1"], 2)
    assert trial.steps() == trial.tensor(LOSS).steps() == [0]
    assert trial.steps(show_incomplete_steps=True) == [0, 1]
    assert trial.has_passed_step(1) is StepState.NOT_YET_AVAILABLE
    assert trial.tensor(LOSS).workers(0) == ["worker_0", "worker_1"]
    for made in both:
        made.writer.close()
    assert trial.steps() == [0, 1]
    assert trial.tensor(LOSS).workers(1) == ["worker_0"]


def test_a_range_of_steps(made: Made, tmp_path: Path) -> None:
    from smdebug import modes

    trial = create(tmp_path, range_steps=(1, 5))
    assert trial.steps() == [2, 4]
    assert trial.tensor(LOSS).steps(modes.EVAL) == []
    assert trial.modes() == [modes.TRAIN]
    with pytest.raises(ValueError, match="range_steps"):
        create(tmp_path, range_steps=(5, 5))


def test_places_that_are_none(tmp_path: Path) -> None:
    from smdebug.exceptions import SMDebugNotImplementedError, SMDebugTypeError
    from smdebug.trials import create_trial

    with pytest.raises(SMDebugTypeError, match="debugger_hook_config"):
        create_trial(None)
    for place in (f"file://{tmp_path}", "gs://bucket/prefix"):
        with pytest.raises(SMDebugNotImplementedError, match="without a scheme"):
            create_trial(place)


def test_a_training_that_has_ended_without_tensors(tmp_path: Path) -> None:
    from smdebug.exceptions import MissingCollectionFiles

    (tmp_path / "training_job_end.ts").touch()
    with pytest.raises(MissingCollectionFiles, match="holds no tensors"):
        create(tmp_path)


def test_a_trial_waits_for_its_first_data(tmp_path: Path) -> None:
    thread = threading.Timer(0.4, lambda: Made(tmp_path).step(0, Mode.TRAIN, 0))
    thread.start()
    trial = create(tmp_path / ".")
    trial.wait_for_steps([0])
    thread.join()
    assert (trial.steps(), trial.workers()) == ([0], ["worker_0"])


def test_numbers_that_are_not_finite_spread(tmp_path: Path) -> None:
    made = Made(tmp_path)
    statistics = Statistics(4, nans=1, infs=0, min=0, max=1, mean=0.5, std=0.1, l1=1, l2=1)
    infinite = Statistics(4, nans=0, infs=1, min=0, max=1, mean=0.5, std=0.1, l1=1, l2=1)
    step = Step(0, Mode.TRAIN, 0, 1.0)
    made.writer.write(Capture(step, statistics={"gradient/a": statistics, "gradient/b": infinite}))
    made.writer.close()
    trial = create(tmp_path)
    assert np.isnan(trial.tensor("gradient/a").reduction_value(0, "mean"))
    assert np.isinf(trial.tensor("gradient/b").reduction_value(0, "l2"))
    assert np.isinf(trial.tensor("gradient/b").reduction_value(0, "mean", abs=True))
    assert np.isnan(trial.tensor("gradient/b").reduction_value(0, "mean"))


def test_ahead_of_an_installed_one_and_without_torch_or_pydantic(
    made: Made, tmp_path: Path
) -> None:
    made.writer.close()
    installed = tmp_path / "site"
    (installed / "smdebug").mkdir(parents=True)
    (installed / "smdebug" / "__init__.py").write_text("raise RuntimeError('the installed one')")
    script = f"""
import sys
sys.modules["torch"] = sys.modules["pydantic"] = sys.modules["boto3"] = None
from smdebug.trials import create_trial
from smdebug.core.modes import ModeKeys
from smdebug.profiler.utils import str2bool
import smdebug.trials.utils, smdebug.rules.req_tensors, smdebug.analysis.utils
assert str2bool("yes") and not str2bool("0")
trial = create_trial({str(tmp_path)!r})
print(trial.tensor({LOSS!r}).steps(mode=ModeKeys.TRAIN))
import clary, pathlib
assert not any(pathlib.Path(clary.__path__[0]).parent == pathlib.Path(entry) for entry in sys.path)
"""
    ended = subprocess.run(
        # -I -S: neither Clary nor anything of its environment; numpy's folder alone is added.
        [sys.executable, "-S", "-c", f"import sys; sys.path[1:1] = {_paths(tmp_path)}\n{script}"],
        env={},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (ended.returncode, ended.stdout) == (0, "[0, 2, 4]\n"), ended.stderr


def _paths(folder: Path) -> list[str]:
    """The shims, then an installed smdebug, then numpy and nothing else."""
    alone = folder / "alone"
    alone.mkdir()
    site = Path(np.__file__).parent.parent
    for name in ("numpy", "numpy.libs"):
        if (site / name).exists():
            (alone / name).symlink_to(site / name)
    return [str(SHIMS), str(folder / "site"), str(alone)]
