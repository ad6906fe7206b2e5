"""What libraries print in a lane."""

from __future__ import annotations

import socket
from pathlib import Path

from clary.formats.log_file import read_events
from tests.jobs.lane.conftest import Lane
from tests.waiting import PATIENCE_S

LINES, LINE = 40, "y" * 99_999
PRINTS = f"""
import json, os
from clary.jobs.lane.reception import Reception

reception = Reception(launches)
reception.wait({PATIENCE_S})
[job] = reception.take()
for number in range({LINES}):
    print("y" * 99_999)
    reception.look()
(job.files.root / "kept").write_text(str(os.fstat(1).st_blocks * 512))
job.end()
assert reception.close()
"""


def test_what_was_passed_on_is_not_kept(forks: socket.socket, tmp_path: Path) -> None:
    lane = Lane(forks, PRINTS)
    files = lane.send(tmp_path / "one")
    assert lane.wait() == 0
    assert int((files.root / "kept").read_text()) <= 2 * len(LINE)
    said = [event.message for event in read_events(files.root / "logs" / "algo-1.log")]
    assert "".join(said) == LINE * LINES
