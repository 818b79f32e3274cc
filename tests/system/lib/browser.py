# SPDX-License-Identifier: PostgreSQL
"""A real browser without a window: Debian's Chromium over its debugging pipe. Nothing but the
standard library; it ends when the pipe does, however we end."""

import base64
import fcntl
import json
import os
import select
import shutil
import signal
import subprocess
import tempfile
import time

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
PATIENCE_S = 60.0
# The pages are ours and from this machine: no sandbox, which a container or root has not.
SWITCHES = ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
            "--no-first-run", "--disable-background-networking", "--disable-component-update",
            "--disable-sync", "--no-default-browser-check", "--mute-audio", "--hide-scrollbars",
            "--ignore-certificate-errors", "--remote-debugging-pipe"]


def find():
    return next((path for path in map(shutil.which, NAMES) if path), None)


class Browser:
    def __init__(self, *switches):
        self.profile = tempfile.mkdtemp(prefix="pgherald-browser-")
        ours_r, theirs_w = os.pipe()
        theirs_r, ours_w = os.pipe()
        # Chromium wants 3 and 4; ours may have these numbers.
        high = [fcntl.fcntl(fd, fcntl.F_DUPFD, 10) for fd in (theirs_r, theirs_w)]
        argv = [find(), *SWITCHES, *switches, f"--user-data-dir={self.profile}", "about:blank"]
        self.log = open(os.path.join(self.profile, "log"), "wb")
        env = {k: v for k, v in os.environ.items() if k != "DBUS_SESSION_BUS_ADDRESS"}
        self.process = subprocess.Popen(
            ["bash", "-c", f'exec "$@" 3<&{high[0]} 4>&{high[1]}', "browser", *argv],
            pass_fds=high, stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log,
            env=dict(env, HOME=self.profile), start_new_session=True)
        for fd in (theirs_r, theirs_w, *high):
            os.close(fd)
        self.ours_r, self.ours_w = ours_r, ours_w
        self.rest, self.number, self.answers, self.events = b"", 0, {}, []

    def call(self, method, session=None, **params):
        """One command of the DevTools protocol; its result."""
        self.number += 1
        message = {"id": self.number, "method": method, "params": params}
        if session:
            message["sessionId"] = session
        data = json.dumps(message).encode() + b"\0"
        while data:
            data = data[os.write(self.ours_w, data):]
        end = time.monotonic() + PATIENCE_S
        while self.number not in self.answers:
            self.read(end - time.monotonic(), method)
        answer = self.answers.pop(self.number)
        assert "error" not in answer, f"{method}: {answer['error']}"
        return answer["result"]

    def read(self, timeout, what):
        ready, _, _ = select.select([self.ours_r], [], [], max(timeout, 0))
        assert ready, f"the browser does not answer: {what}"
        data = os.read(self.ours_r, 1 << 20)
        assert data, "the browser has ended"
        *messages, self.rest = (self.rest + data).split(b"\0")
        for raw in messages:
            message = json.loads(raw)
            if "id" in message:
                self.answers[message["id"]] = message
            else:
                self.events.append(message)

    def open(self, url, width=1280, height=800, mobile=False):
        return Page(self, url, width, height, mobile)

    def close(self):
        try:
            os.killpg(self.process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self.process.wait()
        for fd in (self.ours_r, self.ours_w):
            os.close(fd)
        self.log.close()
        shutil.rmtree(self.profile, ignore_errors=True)


class Page:
    def __init__(self, browser, url, width, height, mobile):
        self.browser = browser
        self.target = browser.call("Target.createTarget", url="about:blank")["targetId"]
        self.session = browser.call("Target.attachToTarget", targetId=self.target,
                                    flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Network"):
            self.call(domain + ".enable")
        self.size(width, height, mobile)
        self.failed = self.call("Page.navigate", url=url).get("errorText")  # net::ERR_CONNECTION_RESET, or None
        self.wait("document.readyState === 'complete' && location.href !== 'about:blank'")

    def call(self, method, **params):
        return self.browser.call(method, self.session, **params)

    def size(self, width, height, mobile=False):
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height,
                  deviceScaleFactor=2 if mobile else 1, mobile=mobile)

    def eval(self, code):
        """The value of an expression; a promise is waited for."""
        done = self.call("Runtime.evaluate", expression=code, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in done, json.dumps(done["exceptionDetails"], indent=1)
        return done["result"].get("value")

    def wait(self, condition, what=None, timeout=PATIENCE_S):
        """Until an expression is true; its value."""
        end = time.monotonic() + timeout
        while True:
            value = self.eval(condition)
            if value:
                return value
            assert time.monotonic() < end, f"never in the page: {what or condition}"
            time.sleep(0.02)

    def told(self, method):
        """The parameters of every event of that name that this page has had so far."""
        self.eval("0")
        return [e["params"] for e in self.browser.events
                if e["method"] == method and e.get("sessionId") == self.session]

    def screenshot(self, path, full=False):
        image = self.call("Page.captureScreenshot", format="png", captureBeyondViewport=full)
        with open(path, "wb") as f:
            f.write(base64.b64decode(image["data"]))

    def close(self):
        self.browser.call("Target.closeTarget", targetId=self.target)
