"""An environment for the original smdebug, which needs an older numpy than Clary has.

It is made once, outside of the tree, and finds torch where the caller has it.
"""

from __future__ import annotations

import os
import platform
import shutil
import site
import subprocess
import sys
from pathlib import Path

VERSION = "1.0.34"
PACKAGES = (f"smdebug=={VERSION}", "numpy<2.3", "pandas", "requests", "setuptools<80")
_READY = "ready"


def default_folder() -> Path:
    """`clary-benchmarks/smdebug-…` among this user's caches."""
    caches = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    python = ".".join(platform.python_version_tuple()[:2])
    return Path(caches) / "clary-benchmarks" / f"smdebug-{VERSION}-python{python}"


def python_of(folder: Path) -> Path:
    """The Python of the environment in a folder, which is made where it is not there yet."""
    python = folder / "bin" / "python"
    ready = folder / _READY
    wanted = "\n".join(PACKAGES)
    if not ready.is_file() or ready.read_text() != wanted:
        print(f"making an environment for smdebug {VERSION} in {folder}", file=sys.stderr)
        shutil.rmtree(folder, ignore_errors=True)
        subprocess.run(["uv", "venv", "-q", "--python", sys.executable, str(folder)], check=True)
        install = ["uv", "pip", "install", "-q", "--python", str(python), *PACKAGES]
        subprocess.run(install, check=True)
        ready.write_text(wanted)
    (own,) = (folder / "lib").glob("python*/site-packages")
    # Read after the environment's own packages, so that those come first.
    (own / "torch_of_the_caller.pth").write_text("\n".join(site.getsitepackages()) + "\n")
    return python
