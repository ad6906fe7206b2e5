"""Requirements in layers: built from a package made here, so that no registry is needed."""

from __future__ import annotations

import fcntl
import json
import sys
import threading
import zipfile
from pathlib import Path

import pytest

from clary.errors import ClaryError
from clary.service.executors.executor import Ended
from clary.service.executors.local_processes import LocalProcesses
from clary.service.executors.requirements import Requirements
from tests.service.executors.conftest import Bench


@pytest.fixture
def wheel(tmp_path: Path) -> Path:
    """A package of one module."""
    path = tmp_path / "tiny_requirement-1.0-py3-none-any.whl"
    about = "tiny_requirement-1.0.dist-info"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("tiny_requirement.py", "answer = 42\n")
        archive.writestr(
            f"{about}/METADATA", "Metadata-Version: 2.1\nName: tiny-requirement\nVersion: 1.0\n"
        )
        archive.writestr(
            f"{about}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        archive.writestr(f"{about}/RECORD", "")
    return path


def code(tmp_path: Path, name: str, text: str) -> Path:
    folder = tmp_path / name
    folder.mkdir()
    (folder / "requirements.txt").write_text(text)
    return folder


def test_a_script_gets_what_it_requires_over_what_is_here(
    bench: Bench, executor: LocalProcesses, wheel: Path
) -> None:
    text = (
        "import json, numpy, tiny_requirement\nfrom importlib.util import find_spec\n"
        "brought = [numpy.__file__, find_spec('torch').origin]\n"
        "print(json.dumps([tiny_requirement.answer, *brought]))\n"
    )
    requirements = f"tiny-requirement @ {wheel.as_uri()}\nnumpy>=1.20\ntorch\n"
    job = bench.script("requires", text, files={"requirements.txt": requirements})
    ended = bench.run(executor, job)
    assert isinstance(ended, Ended) and ended.exit_code == 0, bench.lines(executor, job)
    answer, *brought = json.loads(bench.lines(executor, job)[-1])
    assert answer == 42
    assert all(path.startswith(sys.prefix) for path in brought)


def test_the_same_requirements_share_a_layer_also_when_they_come_at_once(
    tmp_path: Path, wheel: Path
) -> None:
    requirements = Requirements(tmp_path / "environments")
    text = f"# ours\ntiny-requirement @ {wheel.as_uri()}  # pinned\n"
    folders = [code(tmp_path, "one", text), code(tmp_path, "two", text + "\n")]
    pythons: dict[int, str] = {}

    def ask(number: int) -> None:
        folder = folders[number % 2]
        pythons[number] = requirements.python_for(f"job-{number}", folder, tmp_path / "own")

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(pythons.values())) == 1 and len(pythons) == 4


@pytest.mark.parametrize("text", ["", "# nothing\n\n"])
def test_nothing_required_is_this_interpreter(tmp_path: Path, text: str) -> None:
    requirements = Requirements(tmp_path / "environments")
    assert requirements.python_for("j", code(tmp_path, "c", text), tmp_path / "own") == (
        sys.executable
    )


def test_files_beside_the_requirements_make_a_layer_of_the_jobs_own(
    tmp_path: Path, wheel: Path
) -> None:
    requirements = Requirements(tmp_path / "environments")
    folder = code(tmp_path, "c", "-r more.txt\n")
    (folder / "more.txt").write_text(f"tiny-requirement @ {wheel.as_uri()}\n")
    python = requirements.python_for("j", folder, tmp_path / "own")
    assert python == str(tmp_path / "own" / "bin" / "python")


def test_what_cannot_be_installed_is_said_in_one_sentence(tmp_path: Path) -> None:
    requirements = Requirements(tmp_path / "environments")
    folder = code(tmp_path, "c", "tiny-requirement @ file:///nowhere/tiny-1.0-py3-none-any.whl\n")
    with pytest.raises(ClaryError, match=r"the requirements cannot be installed: .*nowhere"):
        requirements.python_for("j", folder, tmp_path / "own")


def test_a_half_made_layer_is_made_anew(tmp_path: Path, wheel: Path) -> None:
    requirements = Requirements(tmp_path / "environments")
    folder = code(tmp_path, "c", f"tiny-requirement @ {wheel.as_uri()}\n")
    python = Path(requirements.python_for("j", folder, tmp_path / "own"))
    layer = python.parent.parent
    (layer / ".complete").unlink()
    module = next(layer.glob("lib/*/site-packages/tiny_requirement.py"))
    module.unlink()
    requirements.python_for("j", folder, tmp_path / "own")
    assert module.exists()


def test_a_stop_counts_while_another_job_installs_the_same(tmp_path: Path, wheel: Path) -> None:
    requirements = Requirements(tmp_path / "environments")
    own = tmp_path / "own"
    folder = code(tmp_path, "c", f"-r more.txt\ntiny-requirement @ {wheel.as_uri()}\n")
    with (tmp_path / ".own.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        stopper = threading.Timer(0.2, requirements.cancel, ["j"])
        stopper.start()
        with pytest.raises(ClaryError, match="was stopped"):
            requirements.python_for("j", folder, own)
        stopper.join()


def test_what_a_script_installs_by_itself_goes_into_a_layer_of_its_own(
    bench: Bench, executor: LocalProcesses, wheel: Path
) -> None:
    text = (
        "import subprocess, sys\n"
        f"wheel = {str(wheel)!r}\n"
        "subprocess.check_call([sys.executable, '-m', 'pip', 'install', '-q', wheel])\n"
        "import tiny_requirement\n"
        "print(tiny_requirement.__file__)\n"
    )
    job = bench.script("installs-itself", text)
    ended = bench.run(executor, job)
    assert isinstance(ended, Ended) and ended.exit_code == 0, bench.lines(executor, job)
    assert bench.lines(executor, job)[-1].startswith(str(job.directory.root / ".layer"))
