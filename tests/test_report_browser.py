"""The report in a browser: headless Chromium without a network, on a desktop's width and a phone's."""

import html
import json
import os
import re
import shutil
import subprocess

import numpy as np
import pytest
from matplotlib import image
from test_runs import ROOT

from results import report

pytestmark = pytest.mark.xdist_group("browser")  # one process builds the page once

PROGRAMS = ("chromium", "chromium-browser", "google-chrome")
# No host is found and nothing is asked for in the background; --no-sandbox: containers run it as root.
QUIET = ("--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--hide-scrollbars", "--no-first-run")
QUIET += ("--host-resolver-rules=MAP * ~NOTFOUND", "--disable-background-networking", "--disable-component-update")
# What a page could do wrong, gathered from its first moment and, once all of it is loaded, handed to the page around it:
# a window is never narrower than 500 pixels, a frame in it may be.
BEFORE = """<script>
const wrong = [];
addEventListener("error", event => wrong.push(String(event.message || event.target.src || event.target.href)), true);
for (const level of ["error", "warn"]) console[level] = (...said) => wrong.push(said.join(" "));
addEventListener("load", () => {
  const wide = [...document.querySelectorAll("body *")].filter(e => e.getBoundingClientRect().right > innerWidth + 1);
  const found = {
    wrong, width: innerWidth, wide: document.documentElement.scrollWidth - innerWidth,
    asked: performance.getEntriesByType("resource").map(entry => entry.name).filter(name => !name.startsWith("data:")),
    images: [...document.images].map(image => image.complete && image.naturalWidth),
    first: wide.slice(0, 3).map(e => e.outerHTML.slice(0, 80)),
  };
  const node = document.createElement("pre");
  node.textContent = "FOUND" + JSON.stringify(found) + "FOUND";
  parent.document.body.append(node);
});
</script>"""


def browser():
    """Chromium: there in CI, and elsewhere a reason to skip."""
    program = next(filter(None, map(shutil.which, PROGRAMS)), None)
    if program is None:
        assert not os.environ.get("CI"), "Chromium is needed in CI (.ci/run installs it)"
        pytest.skip("needs Debian's chromium")
    return program


def chromium(folder, page, *arguments, width):
    """Open a page from a profile of its own; what was printed, and what was said of the page."""
    command = [browser(), *QUIET, f"--user-data-dir={folder / 'profile'}", f"--window-size={width},2000", *arguments]
    done = subprocess.run([*command, page.as_uri()], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout


def measured_page(folder, text, width):
    """What the browser finds of a page's text: see BEFORE."""
    framed = html.escape(text.replace("<head>", "<head>" + BEFORE, 1))
    page = folder / "page.html"
    page.write_text(f'<iframe srcdoc="{framed}" style="width: {width}px; height: 2000px; border: 0"></iframe>')
    dom = chromium(folder, page, "--dump-dom", width=1400)
    measurements = re.search(r"<pre>FOUND(.*?)FOUND</pre>", dom, re.DOTALL)
    assert measurements, dom[:500]
    return json.loads(html.unescape(measurements[1]))


@pytest.fixture(scope="module")
def text():
    return report.build([ROOT / "results/stored/quickstart.csv.gz"], reps=200)


@pytest.mark.parametrize("width", [1280, 400])
def test_a_report_shows_all_of_itself_and_asks_for_nothing(tmp_path, text, width):
    measurements = measured_page(tmp_path, text, width)
    assert measurements["width"] == width
    assert len(measurements["images"]) == text.count("<img ") > 5 and all(measurements["images"])
    assert measurements["wrong"] == [] and measurements["asked"] == []
    assert measurements["wide"] <= 0, measurements["first"]


def test_a_screenshot_is_not_blank(tmp_path, text):
    page, picture = tmp_path / "page.html", tmp_path / "page.png"
    page.write_text(text)
    chromium(tmp_path, page, f"--screenshot={picture}", width=1280)
    pixels = image.imread(picture)[..., :3]
    assert pixels.shape[1] == 1280 and 0.01 < np.mean(pixels.min(-1) < 0.5) < 0.5


def test_the_browser_sees_planted_faults(tmp_path):
    faults = '<div style="width: 900px">x</div><img src="data:image/png;base64,AAAA"><img src="http://example.org/x.png">'
    planted = f"<!doctype html><head></head><body>{faults}<script>console.error('planted'); nothing()</script></body>"
    measurements = measured_page(tmp_path, planted, 400)
    assert (
        measurements["wide"] >= 400
        and measurements["images"] == [0, 0]
        and measurements["asked"] == ["http://example.org/x.png"]
    )
    assert {"planted", "http://example.org/x.png"} <= set(measurements["wrong"])
    assert any("nothing" in fault for fault in measurements["wrong"])
