from __future__ import annotations

import os
import subprocess
import sys

import pytest

from clary.vision.cores import usable_cores


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="no affinity here")
def test_only_the_cores_that_the_process_may_use_count() -> None:
    program = (
        "import os, sys; from clary.vision.cores import usable_cores\n"
        "os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})\n"
        "print(usable_cores(), 'torch' in sys.modules)"
    )
    ended = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert ended.stdout.split() == ["1", "False"]
    assert usable_cores() == len(os.sched_getaffinity(0))
