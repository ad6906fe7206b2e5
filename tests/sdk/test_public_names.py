"""What `from clary.sdk import …` gives."""

from __future__ import annotations

import subprocess
import sys

import pytest

import clary.sdk


def test_every_name_is_there() -> None:
    assert clary.sdk.__all__ == sorted(clary.sdk._HOMES)
    for name, home in clary.sdk._HOMES.items():
        assert getattr(clary.sdk, name).__module__ == f"clary.sdk.{home}"
    with pytest.raises(AttributeError, match="no attribute 'Trainer'"):
        _ = clary.sdk.Trainer


def test_importing_the_package_loads_none_of_them() -> None:
    code = (
        "import sys, clary.sdk; print(sorted(m for m in sys.modules if m.startswith('clary.sdk')))"
    )
    said = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert said.stdout.strip() == "['clary.sdk']"
