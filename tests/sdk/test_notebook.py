"""`%load_ext clary` in a kernel of its own, against a real service."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from clary.formats.client_environment import SHIMS

KERNEL = """
import json, os, sys
import clary
clary.load_ipython_extension(None)
clary.load_ipython_extension(None)
import boto3, smdebug
from smdebug.trials import create_trial
account = boto3.client("sts").get_caller_identity()["Account"]
shims = os.path.dirname(os.path.dirname(smdebug.__file__))
found = [account, smdebug.__file__, sys.path.count(shims)]
clary.unload_ipython_extension(None)
print(json.dumps([*found, "AWS_ENDPOINT_URL" in os.environ, shims in sys.path]))
"""


def test_a_kernel_gets_clarys_aws_and_its_smdebug_and_gives_them_back(
    clary_environment: Mapping[str, str], tmp_path: Path
) -> None:
    script = tmp_path / "kernel.py"
    script.write_text(KERNEL)
    ended = subprocess.run(
        [sys.executable, str(script)],
        env=dict(clary_environment),
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    account, place, times, aws, still = json.loads(ended.stdout.splitlines()[-1])
    assert account == "000000000000"
    assert Path(place) == SHIMS / "smdebug" / "__init__.py"
    assert times == 1
    assert not aws
    assert not still
