"""Whatever is typed wrongly is answered with one sentence and exit code 2 (1 for the data)."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from clary.cli.parser import SYNONYMS, nearest_option
from clary.errors import DataError
from clary.formats.tar_gz import pack_files
from clary.formats.training_options import TrainingOptions
from clary.sdk.locations import resolve_data
from tests.cli.conftest import Clary


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ("chek photos", "there is no command chek: did you mean `clary check`?"),
        ("qqq", "there is no command qqq: `clary --help` lists the commands"),
        ("--json check", "there is no option --json before a command: `clary --help` lists the"),
        ("train digits --epoch 3", "`clary train` has no option --epoch: did you mean --epochs?"),
        (
            "train digits --learning-rate 1",
            "`clary train` has no option --learning-rate: did you mean --lr?",
        ),
        ("predict latest --formt csv", "`clary predict` has no option --formt"),
        ("train digits --epochs many", "--epochs is 'many' but must be a whole number"),
        ("train digits --epochs 0", "--epochs is '0' but must be greater than or equal to 1"),
        ("train digits --lr -0.1", "--lr is '-0.1' but must be greater than 0"),
        ("train digits --optimizer sdg", "--optimizer is 'sdg' but must be 'adamw', 'adam' or"),
        ("train digits --epochs", "`clary train` needs a value for --epochs"),
        ("train digits --epochs 1 --epochs 2", "--epochs is given twice"),
        ("train digits more", "`clary train` has no use for more"),
        ("train digits --mixup 0.2 --weights w.pth", "--weights is 'w.pth' but there is no such"),
        ("train digits --trainable-layers 0 --weights none", "--trainable-layers is 0 but --weigh"),
        ("train digits --name a_b", "--name is 'a_b' but must be 1 to 63 letters"),
        ("train digits --processes 0", "--processes is 0 but must be at least 1"),
        ("train digits --weights no.pth", "--weights is 'no.pth' but there is no such file"),
        ("train digits --weight-path no", "there is no model and no job no"),
        ("train digits --resume", "there is no job on digits to resume"),
        ("train --resume", "there is no job in"),
        ("train", "`clary train` needs the folder of your pictures"),
        ("tune", "`clary tune` needs the folder of your pictures"),
        ("tune --resume", "there is no tuning job in"),
        ("tune digits --attach", "a tuning job that exists has its data, options and ranges"),
        ("tune --attach --resume", "--resume starts a tuning job and --attach shows one"),
        (
            "tune --attach --trials 3 --detach",
            "--attach only shows a tuning job: leave out --trials, --detach",
        ),
        (
            "tune --resume one --strategy random --target 0.9 --objective valid_loss --skip-check",
            "a tuning job that exists has its data, options and ranges already: leave out "
            "--strategy, --objective, --target, --skip-check, or start a new one",
        ),
        ("tune digits --space", "--space names no range: give some"),
        ("tune digits --epoch 3", "`clary tune` has no option --epoch: did you mean --epochs?"),
        ("tune digits --strategy best", "--strategy is 'best' but must be one of bayesian, random"),
        ("tune digits --objective top5", "--objective is 'top5' but must be one of valid_accuracy"),
        ("tune digits --time-limit 10", "--time-limit is '10' but must be a time such as 10m"),
        ("tune digits --parallel 0", "--parallel is 0 but must be 1 to 100"),
        ("tune digits --space lr=1..0", "the range of lr is empty"),
        ("tune digits --space epocs=1..2", "there is no option --epocs: did you mean --epochs?"),
        ("tune digits --strategy grid --trials 5", "--trials is 5 but the grid has 36 combinat"),
        ("tune digits --strategy grid --space lr=0.1..1.0", "a grid tries listed values, but lr"),
        ("jobs metrics nothing --regex loss", "'loss' has no group: put the number in paren"),
        ("data link", "`clary data link` needs the folder to serve"),
        ("predict", "`clary predict` needs MODEL"),
        ("predict latest", "`clary predict latest` needs pictures: files, folders, URLs, or -"),
        ("kernel install --python /bin/true", "/bin/true has no ipykernel, which Jupyter needs"),
        ("predict latest a.jpg", "there is no job in"),
        ("explain latest a.jpg", "there is no job in"),
        ("export latest", "`clary export` needs a value for --format"),
        ("export latest --format onx", "--format is 'onx' but must be one of onnx, openvino"),
        ("report nothing", "there is no job nothing, nor any other, in"),
        ("jobs show nothing", "there is no job nothing, nor any other, in"),
        ("train digits --profile x", "--profile is 'x' but must be one of steps, full, off"),
        ("profile nothing", "there is no job nothing, nor any other, in"),
        ("exec", "`clary exec` needs a program"),
        ("exec --profile --", "`clary exec --profile` needs a program"),
        ("jobs remove", "`clary jobs` has no use for remove"),
        ("deploy", "`clary deploy` needs MODEL"),
        ("deploy nothing", "there is no model and no job nothing"),
        ("deploy latest --name a_b", "--name is 'a_b' but must be 1 to 63 letters"),
        ("deploy latest --replicas 0", "--replicas is 0 but must be at least 1"),
        ("deploy latest --replica 2", "`clary deploy` has no option --replica: did you mean --rep"),
        ("deploy latest --port 80", "--port is for a server of this terminal's: add --foreground"),
        ("deploy latest --foreground --port 70000", "--port is 70000 but must be 0 to 65535"),
        ("deploy latest --foreground --replicas 2", "--replicas is for endpoints: leave it out"),
        ("deploy s3://a/b.tar.gz --precision int8 --calibrate c", "--calibrate needs the model on"),
        ("endpoints show nothing", "there is no endpoint nothing, nor any other"),
        ("endpoints delete", "`clary endpoints delete` needs the name of an endpoint"),
        ("endpoints update a", "there is nothing to change: name a model"),
        ("deploy photos --replicas 1000", "--replicas is 1000 but must be 1 to 32"),
        ("deploy photos --env LEVEL", "--env is 'LEVEL' but must be NAME=VALUE"),
        ("deploy photos --detach --foreground", "--detach is for endpoints: leave it out"),
        ("deploy photos --variant B --foreground", "--variant is for endpoints: leave it out"),
        ("deploy photos --env A=1 --foreground", "--env is for endpoints: with --foreground the"),
        ("endpoints update a --replicas 2 --precision int8", "--precision, --calibrate and --env"),
        ("endpoints update a --calibrate b --weight 1", "--precision, --calibrate and --env are"),
        ("endpoints update a --remove", "--remove goes with --variant, and with nothing else"),
        ("endpoints update a b --variant c --remove", "--remove goes with --variant, and with"),
        ("endpoints update a --weight -1", "--weight is -1.0 but must be at least 0"),
        ("predict nothing a.jpg", "there is no model, no job and no endpoint nothing: see `clary"),
    ],
)
def test_one_sentence_and_exit_code_2(clary: Clary, words: str, sentence: str) -> None:
    ended = clary(*words.split())
    assert ended.returncode == 2
    assert ended.stderr.startswith(f"clary: {sentence}")
    assert ended.stderr.count("\n") == 1
    assert ended.stdout == ""


@pytest.mark.parametrize("verb", ["check", "train"])
def test_a_missing_folder_names_its_nearest_neighbour(
    clary: Clary, tmp_path: Path, verb: str
) -> None:
    (tmp_path / "photos").mkdir()
    ended = clary(verb, "phtos")
    assert ended.returncode == 1
    assert ended.stderr == "clary: there is no folder or file phtos: did you mean photos?\n"
    assert not (tmp_path / "home").exists()


def test_what_is_no_model_is_not_deployed(clary: Clary, tmp_path: Path, picture_folder) -> None:
    photos = picture_folder("photos", classes=2, per_class=2)
    (tmp_path / "words.txt").write_text("words")
    pack_files({"words.txt": tmp_path / "words.txt"}, tmp_path / "words.tar.gz")
    for place in (photos, "words.tar.gz"):
        ended = clary("deploy", place)
        assert ended.returncode == 2
        assert "holds no model, neither model.json, code/inference.py nor a .pt" in ended.stderr
        assert ended.stderr.count("\n") == 1
    ended = clary("deploy", next(photos.rglob("*.jpg")))
    assert (ended.returncode, ended.stderr.count("\n")) == (2, 1)
    assert "is no archive: give a job's name, a model folder or a model.tar.gz" in ended.stderr
    assert not (tmp_path / "home").exists()


def test_every_wrong_option_is_named_at_once(clary: Clary) -> None:
    ended = clary("train", "digits", "--epochs", "0", "--batch-size", "x")
    assert ended.returncode == 2
    assert [line.split(" is ")[0] for line in ended.stderr.splitlines()] == [
        "clary: --epochs",
        "clary: --batch-size",
    ]


def test_a_home_that_cannot_be_written_is_one_sentence(clary: Clary, tmp_path: Path) -> None:
    (tmp_path / "home").write_text("a file where the home should be")
    ended = clary("train", "digits", "--weights", "none")
    assert ended.returncode == 1
    assert ended.stderr.startswith("clary: ")
    assert "cannot be written" in ended.stderr
    assert ended.stderr.count("\n") == 1


def test_an_unknown_network_is_refused_before_anything_is_begun(
    clary: Clary, tmp_path: Path
) -> None:
    ended = clary("train", "digits", "--model", "resnet19")
    assert (ended.returncode, ended.stdout) == (1, "")
    assert ended.stderr.startswith("clary: there is no model 'resnet19' among timm's")
    assert "did you mean resnet1" in ended.stderr
    assert ended.stderr.count("\n") == 1
    assert not (tmp_path / "home").exists()


@pytest.mark.parametrize(
    ("words", "code", "sentence"),
    [
        (("--model", "test_resnet"), 1, "the pretrained weights of test_resnet (timm/test_resnet"),
        (("--weights", "none", "--valid-fraction", "0"), 2, "there is no valid split and --valid"),
        (("--weights", "none", "--group-by", "("), 2, "group_by '(' is not a regular expression"),
    ],
    ids=("no weights", "nothing to judge by", "no groups"),
)
def test_what_a_training_would_end_by_is_said_before_there_is_one(
    clary: Clary,
    tmp_path: Path,
    picture_folder,
    clary_environment: dict[str, str],
    words: tuple[str, ...],
    code: int,
    sentence: str,
) -> None:
    caches = {"HF_HUB_OFFLINE": "1", "HF_HOME": str(tmp_path), "TORCH_HOME": str(tmp_path)}
    clary_environment.update(caches)
    photos = picture_folder("photos", classes=2, per_class=4)
    ended = clary("train", photos, *words)
    assert (ended.returncode, ended.stdout) == (code, "")
    assert ended.stderr.startswith(f"clary: {sentence}")
    assert ended.stderr.count("\n") == 1
    assert not (tmp_path / "home" / "state.sqlite").exists()


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("photo/", "did you mean photos?"),
        ("somewhere/else", "give a folder of pictures, or one of cifar10, digits, dogs"),
        ("digit", "did you mean digits?"),
        ("nothing", "give a folder of pictures, or one of cifar10, digits, dogs"),
    ],
)
def test_names_are_suggested_by_themselves_not_by_their_folders(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, hint: str
) -> None:
    (tmp_path / "photos").mkdir()
    (tmp_path / "somewhere" / "apples").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DataError) as caught:
        resolve_data(name)
    assert str(caught.value) == f"there is no folder or file {name}: {hint}"


def test_an_empty_name_is_not_the_working_folder() -> None:
    with pytest.raises(DataError, match="the name of the data is empty: give a folder"):
        resolve_data("")


@pytest.mark.parametrize(
    ("redirection", "code", "said"),
    [
        (">&-", 0, ""),
        ("<&- >&-", 0, ""),
        ("2>&-", 0, ""),
        (">/dev/full", 1, "clary: the disk is full (No space left on device): free some space and"),
    ],
)
@pytest.mark.parametrize("words", ["--version", "--help"])
def test_output_that_goes_nowhere_is_no_traceback(
    clary_environment: Mapping[str, str], words: str, redirection: str, code: int, said: str
) -> None:
    ended = subprocess.run(
        f'"{sys.executable}" -m clary {words} {redirection}',
        shell=True,
        env=clary_environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == code
    assert ended.stderr.startswith(said)
    assert ended.stderr.count("\n") == (1 if said else 0)


def test_synonyms_lead_to_options_that_exist() -> None:
    options = {f"--{name.replace('_', '-')}" for name in TrainingOptions.model_fields}
    for habit, option in SYNONYMS.items():
        assert habit not in options
        assert option in {*options, "--output"}
        assert nearest_option(habit, [*options, "--output"]) == option
