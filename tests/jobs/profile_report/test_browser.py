"""The page in a real browser: its script runs, nothing is wider than the screen, and a notebook
that shows it stays as it was.
"""

from __future__ import annotations

import json
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


# A notebook shows a page by putting its text among its own elements, and runs its scripts; a cell
# may be run twice.
NOTEBOOK = """<!doctype html><title>waiting</title><style>
#output {{ position: fixed; width: 800px; height: 600px; overflow: auto; }}</style>
<nav><a href="#own">File</a></nav><main><section class="card"><h1>Mine</h1><p>Words</p>
<svg width="16" height="16"><text>x</text></svg><pre>code</pre>
<details><summary>more</summary></details><figure><figcaption>one</figcaption></figure>
<table class="list"><tr><th>a<td>1</table></section></main>
<div id="output"></div><script>
const own = [...document.querySelectorAll("html, body, body *:not(#output, script)")];
const looks = () => JSON.stringify(own.map((element) => {{
  const style = getComputedStyle(element);
  return [...style].map((name) => style.getPropertyValue(name));
}}));
const before = looks(), output = document.getElementById("output");
let errors = 0;
window.onerror = () => {{ errors += 1; }};
for (let run = 0; run < 2; run += 1) {{
  output.innerHTML = {page};
  for (const given of output.querySelectorAll("script:not([type])")) {{
    const script = document.createElement("script");
    script.textContent = given.textContent;
    given.replaceWith(script);
  }}
}}
const sorted = output.querySelectorAll("th button").length > 0;
const height = getComputedStyle(output.querySelector(".lane-main .plot")).height;
document.title = JSON.stringify([before === looks(), errors, sorted, height]);
</script>"""


def title_of(file: Path, browser: Path) -> list[object]:
    """What a page writes into its title, as JSON."""
    assert CHROMIUM is not None
    ended = subprocess.run(
        [CHROMIUM, *FLAGS, f"--user-data-dir={browser}", "--window-size=1400,1000",
         "--dump-dom", file.as_uri()],
        capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    found = re.search(r"<title>(\[.*?\])</title>", ended.stdout)
    assert found is not None, ended.stdout[:500] + ended.stderr[-2000:]
    said: list[object] = json.loads(found[1])
    return said


@pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium")
@pytest.mark.parametrize("width", [390, 1280])
def test_the_page_fits_the_screen_and_follows_the_pointer(tmp_path: Path, width: int) -> None:
    material = judged(everything(tmp_path / "a"))
    write_page(material, tmp_path / "profile.html", against=judged(slow_loading(tmp_path / "b")))
    (tmp_path / "frame.html").write_text(FRAME.format(width=width))
    wide, pointed, left, paths = title_of(tmp_path / "frame.html", tmp_path / "browser")
    assert isinstance(wide, int)
    assert isinstance(paths, int)
    assert wide <= width
    assert (pointed, left) == (True, True)
    assert paths > 10


@pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium")
def test_a_notebook_that_shows_the_page_stays_as_it_was(tmp_path: Path) -> None:
    write_page(judged(everything(tmp_path / "a")), tmp_path / "profile.html")
    page = json.dumps((tmp_path / "profile.html").read_text()).replace("</", "<\\/")
    (tmp_path / "notebook.html").write_text(NOTEBOOK.format(page=page))
    assert title_of(tmp_path / "notebook.html", tmp_path / "browser") == [True, 0, True, "84px"]
