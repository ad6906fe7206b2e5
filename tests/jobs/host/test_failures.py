"""What users read when their script fails."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clary.formats.job_directory import FAILURE_LIMIT
from clary.jobs.host.failures import failure_reason, killed_by, last_error, script_failure

ON_A_RANK = "[rank1]: Traceback (most recent call last):", "[rank1]: RuntimeError: unwell"
TRACEBACK = ["Traceback (most recent call last):", '  File "train.py", line 1, in <module>']


@pytest.mark.parametrize(
    ("lines", "found"),
    [
        ([*TRACEBACK, "ValueError: no such label"], "ValueError: no such label"),
        ([*TRACEBACK, "KeyboardInterrupt"], "KeyboardInterrupt"),
        ([*TRACEBACK, "botocore.exceptions.ClientError: An error"], None),
        ([*TRACEBACK, "KeyError: 'a'", "Exception ignored in: x", ""], "KeyError: 'a'"),
        (["epoch 1", "usage: train.py", "train.py: error: argument --lr"], None),
        (
            [f"[rank1]: {line}" for line in [*TRACEBACK, "RuntimeError: unwell"]],
            "RuntimeError: unwell",
        ),
        (
            [*TRACEBACK, "OSError: disk", *TRACEBACK, "torch.multi.ChildFailedError: ", "==="],
            "OSError: disk",
        ),
        ([*TRACEBACK, "ValueError: first", "", *TRACEBACK, "TypeError: then"], "TypeError: then"),
        ([], ""),
    ],
)
def test_the_last_error(lines: list[str], found: str | None) -> None:
    assert last_error(lines) == (lines[-1] if found is None else found)


def test_the_words_are_the_training_toolkits() -> None:
    text = script_failure(1, [*TRACEBACK, "ValueError: x"], "python train.py --lr 1")
    assert text == (
        'ExecuteUserScriptError:\nExitCode 1\nErrorMessage "ValueError: x"\n'
        'Command "python train.py --lr 1"'
    )
    assert failure_reason(1, text) == f"AlgorithmError: {text}, exit code: 1"


@pytest.mark.parametrize(
    ("code", "sentence"),
    [
        (137, "killed by SIGKILL, most often because memory ran out"),
        (139, "killed by SIGSEGV"),
        (143, None),
        (1, None),
        (255, None),
    ],
)
def test_signals_are_named(code: int, sentence: str | None) -> None:
    assert killed_by(code) == sentence


@given(st.integers(1, 255), st.lists(st.text(max_size=3000), max_size=5), st.text(max_size=400))
def test_a_reason_fits_and_ends_with_the_exit_code(
    code: int, lines: list[str], command: str
) -> None:
    reason = failure_reason(code, script_failure(code, lines, command))
    assert len(reason) <= FAILURE_LIMIT
    assert reason.endswith(f", exit code: {code}")
