# SPDX-License-Identifier: PostgreSQL
"""The demo's page in a real browser: its buttons, what was missed, a phone, the end of the demo and
the next one."""

import json
import signal

import pytest
from lib.browser import Browser, find
from test_demo import demo, nothing_left, tree  # noqa: F401

pytestmark = pytest.mark.skipif(not find(), reason="not installed: chromium")

PANE = "document.querySelectorAll('.pane')"
CONNECTED = "document.querySelectorAll('.status.connected').length"
# how many whole panes are in sight
IN_SIGHT = f"""[...{PANE}].filter((p) => {{ const r = p.getBoundingClientRect();
  return r.top >= 0 && r.bottom <= innerHeight && r.left >= 0 && r.right <= innerWidth; }}).length"""


def press(page, word):
    """A button, until the manager has heard of it."""
    before = page.eval(f"{PANE}[0].querySelector('.count').textContent")
    page.eval(f"document.querySelector('[data-act={word}]').click(), 0")
    page.wait(f"{PANE}[0].querySelector('.count').textContent !== '{before}'", word)


@pytest.fixture
def browser():
    b = Browser()
    yield b
    b.close()


def test_the_page(tree, demo, browser):  # noqa: F811
    d = demo()
    d.wait_text("Ctrl-C ends everything")
    url = next(line.split()[-1] for line in d.text().splitlines() if "Live page" in line)
    page = browser.open(url, 1280, 800)
    page.wait(f"{CONNECTED} === 3")
    for word in ("create", "status", "reassign", "rename", "delete", "create"):
        press(page, word)
    assert page.eval("document.getElementById('done').textContent").startswith("foreman")
    assert page.eval("document.querySelectorAll('.caught-up').length") == 0
    raw = page.eval(f"{PANE}[0].querySelector('pre').textContent")
    assert raw.startswith('{\n  "event": "estimate.created",\n  "data": {\n    "estimate_id": ')
    assert json.loads(raw)["data"]["status"] == "Draft"

    # What happens while a stream is closed is marked when it comes: in the seconds before it opens.
    toggle = f"{PANE}[0].querySelector('.toggle').click(), 0"
    page.eval(toggle)
    page.eval("fetch('act', { method: 'POST', headers: { 'Content-Type': 'application/json' },"
              " body: JSON.stringify('create') }).then((r) => r.json())")
    page.wait("Date.now() / 1000 > (window.then ??= Math.floor(Date.now() / 1000) + 1)", "the next second")
    page.eval(toggle)
    page.wait(f"{PANE}[0].querySelectorAll('.caught-up .late').length === 1", "what was missed")
    press(page, "create")
    assert not page.eval(f"{PANE}[0].querySelector('.card').classList.contains('caught-up')")

    assert page.eval(IN_SIGHT) == 3 and page.eval("innerWidth") == 1280
    for width, height in ((390, 844), (360, 640)):
        page.size(width, height, mobile=True)
        page.wait(f"{IN_SIGHT} === 2", f"two users on a phone of {width}x{height}")
        assert page.eval("document.documentElement.scrollWidth") <= width

    d.process.send_signal(signal.SIGINT)
    assert d.end() == 130
    page.wait("!document.getElementById('ended').hidden", "it says that the demo has ended")
    nothing_left(tree)
    d = demo("--russian")
    d.wait_text("Ctrl-C ends everything")
    if f"{url}\n" in d.text():  # the port may have been taken by somebody
        page.wait(f"document.getElementById('ended')?.hidden && {CONNECTED} === 3", "it comes back")
        press(page, "create")
        assert page.eval(f"{PANE}[0].querySelector('h3').textContent").startswith("Смета_")
