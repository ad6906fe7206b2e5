"""The page in a real browser: its script runs, and nothing is wider than the screen."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from clary.jobs.profile_report import write_page
from tests.jobs.profile_report.test_page import judged
from tests.profiler.made_profiles import everything, slow_loading

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
    "--allow-file-access-from-files", "--virtual-time-budget=4000",
)  # fmt: skip
# A frame as wide as a screen; what its page says of itself is written into the title.
FRAME = """<!doctype html><title>waiting</title><iframe id="f" style="width:{width}px;height:900px"
 src="profile.html"></iframe><script>
document.getElementById("f").onload = (event) => {{
  const inner = event.target.contentWindow, lanes = inner.document.querySelector(".lanes");
  const output = inner.document.querySelector(".lane[data-lane] output");
  const before = output.textContent;
  const box = lanes.querySelector(".plot").getBoundingClientRect();
  lanes.dispatchEvent(new inner.PointerEvent("pointermove",
    {{ clientX: box.left + box.width / 2, clientY: box.top + 200, bubbles: true }}));
  const pointed = output.textContent;
  lanes.dispatchEvent(new inner.PointerEvent("pointerleave"));
  document.title = JSON.stringify([inner.document.documentElement.scrollWidth,
    before !== pointed, output.textContent === before, lanes.querySelectorAll("svg path").length]);
}};
</script>"""


@pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium")
@pytest.mark.parametrize("width", [390, 1280])
def test_the_page_fits_the_screen_and_follows_the_pointer(tmp_path: Path, width: int) -> None:
    material = judged(everything(tmp_path / "a"))
    write_page(material, tmp_path / "profile.html", against=judged(slow_loading(tmp_path / "b")))
    (tmp_path / "frame.html").write_text(FRAME.format(width=width))
    assert CHROMIUM is not None
    ended = subprocess.run(
        [CHROMIUM, *FLAGS, f"--user-data-dir={tmp_path / 'browser'}", "--window-size=1400,1000",
         "--dump-dom", (tmp_path / "frame.html").as_uri()],
        capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    found = re.search(r"<title>\[(\d+),(\w+),(\w+),(\d+)\]</title>", ended.stdout)
    assert found is not None, ended.stdout[:500] + ended.stderr[-2000:]
    assert int(found[1]) <= width
    assert (found[2], found[3]) == ("true", "true")
    assert int(found[4]) > 10
