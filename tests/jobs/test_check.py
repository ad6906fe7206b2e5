"""`python -m clary.jobs.check` in a real process: table, JSON, exit codes, no torch."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from rich.console import Console

from clary.formats.data_check import CheckFinding, CheckReport
from clary.jobs.check_table import print_next_step, print_report
from tests.conftest import PictureFolder
from tests.waiting import PATIENCE_S


def run(*arguments: object, home: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "clary.jobs.check", *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "CLARY_HOME": str(home)},
    )


@pytest.fixture
def photos(picture_folder: PictureFolder) -> Path:
    return picture_folder("my photos", splits={"train": 12, "valid": 4, "test": 4})


def test_healthy_pictures_end_with_what_to_type_next(photos: Path, tmp_path: Path) -> None:
    ended = run(photos, home=tmp_path)
    assert (ended.returncode, ended.stderr) == (0, "")
    lines = ended.stdout.splitlines()
    assert lines[:2] == [
        "my photos: a folder per split and class",
        "60 pictures of 3 classes, all 64×64 px",
    ]
    assert "train: 36 pictures, 12 of each class" in lines
    assert lines[-1] == f"next: clary train '{photos}'"
    assert "\x1b" not in ended.stdout


def test_pictures_can_be_counted_without_a_look_at_them(photos: Path, tmp_path: Path) -> None:
    (photos / "train" / "class_0" / "0001.jpg").write_bytes(b"no picture")
    ended = run(photos, "--count", home=tmp_path)
    assert (ended.returncode, ended.stderr) == (0, "")
    report = CheckReport.model_validate_json(ended.stdout)
    assert (report.pictures, report.findings) == (60, ())
    assert {name: sum(counts.values()) for name, counts in report.counts.items()} == {
        "train": 36,
        "valid": 12,
        "test": 12,
    }


def test_a_reader_that_leaves_is_exit_code_141(photos: Path, tmp_path: Path) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "wb") as gone:
        ended = subprocess.run(
            [sys.executable, "-m", "clary.jobs.check", str(photos)],
            stdout=gone,
            stderr=subprocess.PIPE,
            check=False,
            env={**os.environ, "CLARY_HOME": str(tmp_path)},
        )
    assert (ended.returncode, ended.stderr) == (141, b"")


def test_a_seed_below_zero_is_one_sentence(photos: Path, tmp_path: Path) -> None:
    ended = run(photos, "--seed", "-1", home=tmp_path)
    assert ended.returncode == 2
    assert "--seed is -1: give 0 or more" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_what_blocks_training_is_exit_code_one(photos: Path, tmp_path: Path) -> None:
    broken = photos / "train" / "class_0" / "0001.jpg"
    broken.write_bytes(broken.read_bytes()[:500])
    for options in ((), ("--quick",)):
        ended = run(photos, *options, home=tmp_path)
        assert ended.returncode == 1
        assert "error: 1 picture is cut short" in ended.stdout
        assert "    train/class_0/0001.jpg (JPEG truncated after 500 bytes)" in ended.stdout
        assert "Training would go wrong: 1 error" in ended.stdout


def test_json_is_a_report_and_nothing_else(photos: Path, tmp_path: Path) -> None:
    broken = photos / "valid" / "class_1" / "broken.png"
    broken.write_bytes(b"")
    ended = run(photos, "--json", home=tmp_path)
    assert (ended.returncode, ended.stderr) == (1, "")
    report = CheckReport.model_validate_json(ended.stdout)
    assert report.blocks_training
    assert report.counts["train"] == {"class_0": 12, "class_1": 12, "class_2": 12}
    assert json.loads(ended.stdout)["findings"][0]["names"] == ["valid/class_1/broken.png"]


def test_splits_are_cut_as_asked(picture_folder: PictureFolder, tmp_path: Path) -> None:
    root = picture_folder(per_class=20)
    ended = run(
        root, "--json", "--valid-fraction", 0.4, "--test-fraction", 0, "--seed", 3, home=tmp_path
    )
    report = CheckReport.model_validate_json(ended.stdout)
    assert {name: sum(counts.values()) for name, counts in report.counts.items()} == {
        "train": 36,
        "valid": 24,
    }
    assert report.made_splits == ("valid",)


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("missing-folder",), 1, "missing-folder"),
        (("missing-folder", "--bath-size", "3"), 2, "--bath-size"),
        (("missing-folder", "--workers", "0"), 2, "--workers is 0: give 1 or more"),
        (("missing-folder", "--valid-fraction", "much"), 2, "--valid-fraction"),
    ],
)
def test_bad_arguments_are_one_sentence(
    arguments: tuple[str, ...], code: int, words: str, tmp_path: Path
) -> None:
    ended = run(*arguments, home=tmp_path)
    assert (ended.returncode, ended.stdout) == (code, "")
    assert ended.stderr.startswith("clary: ")
    assert ended.stderr.count("\n") == 1
    assert words in ended.stderr


def test_torch_is_not_imported(photos: Path) -> None:
    program = (
        "import sys\n"
        "from clary.jobs.check import main\n"
        f"code = main([{str(photos)!r}])\n"
        "heavy = {'torch', 'torchvision', 'timm', 'openvino', 'sklearn'} & set(sys.modules)\n"
        "sys.exit(f'{heavy}' if heavy else code)"
    )
    ended = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )
    assert (ended.returncode, ended.stderr) == (0, "")


def test_ctrl_c_is_clean(photos: Path) -> None:
    # The real check, held up in its progress so that the signal meets it at work.
    program = (
        "import time\n"
        "from clary.jobs.program import run_program\n"
        "def main(arguments):\n"
        "    from clary.vision.checks import check_dataset\n"
        "    from clary.vision.datasets import open_dataset\n"
        "    from clary.settings import Settings\n"
        "    dataset = open_dataset(arguments[0], settings=Settings.from_environment())\n"
        "    def progress(what, done, total):\n"
        "        print('ready', flush=True)\n"
        "        time.sleep(60)\n"
        "    check_dataset(dataset, progress=progress)\n"
        "run_program(main)"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program, str(photos)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        time.sleep(0.1)
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=PATIENCE_S)
    assert (process.returncode, errors) == (130, "clary: stopped\n")


REPORT = CheckReport(
    dataset="photos",
    layout="a folder per class",
    classes=("ant", "bee"),
    counts={"train": {"ant": 100, "bee": 8}, "valid": {"ant": 10, "bee": 10}},
    findings=(
        CheckFinding(
            code="truncated-picture",
            severity="error",
            message="7 pictures are cut short: copy them again",
            count=70,
            names=tuple(f"ant/[bold]{number}\x1b[2J.jpg" for number in range(50)),
        ),
        CheckFinding(code="x", severity="notice", message="look :smile: here", count=1),
    ),
    pictures=128,
    seconds=0.5,
    widths=(10, 20, 30),
    heights=(40, 50, 60),
    made_splits=("valid",),
)


@pytest.mark.parametrize("terminal", [True, False])
@pytest.mark.parametrize("soft_wrap", [True, False])
@pytest.mark.parametrize("width", [40, 80, 120])
def test_the_table_shows_everything_at_every_width(
    terminal: bool, soft_wrap: bool, width: int
) -> None:
    console = Console(width=width, force_terminal=terminal, color_system=None, soft_wrap=soft_wrap)
    with console.capture() as captured:
        print_report(REPORT, console)
        print_next_step(REPORT, "my photos", console)
    text = captured.get()
    flat = " ".join(text.split())
    assert "100" in text
    assert "valid (cut from train)" in flat
    assert "7 pictures are cut short: copy them again." in flat
    assert "ant/[bold]0\ufffd[2J.jpg" in text
    assert "\x1b[2J" not in text
    assert "and 65 more" in flat
    if terminal:
        assert all(len(line) <= width for line in text.splitlines()[3:-2])
    assert "Look :smile: here." in flat
    assert "Training would go wrong: 1 error, 1 notice." in flat
    assert text.splitlines()[-1] == "next: correct the errors, then run: clary check 'my photos'"


def test_the_next_step_of_a_quick_check_is_the_full_one() -> None:
    console = Console(width=80)
    healthy = REPORT.model_copy(update={"findings": (), "full": False})
    with console.capture() as captured:
        print_report(healthy, console)
        print_next_step(healthy, "photos", console)
    assert "Ready for training: nothing found." in captured.get()
    assert "next: clary check photos" in captured.get()
