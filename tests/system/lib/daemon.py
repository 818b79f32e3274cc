# SPDX-License-Identifier: PostgreSQL
"""A real daemon and real clients for the system tests. Nothing here sleeps: every wait is for a
condition and ends in an error that shows the daemon's log."""

import functools
import http.client
import json
import os
import pwd
import random
import re
import selectors
import signal
import socket
import subprocess
import threading
import time

EVENTS = "/api/v1/sse/events/"
STATS = "/api/v1/sse/stats/"
PATIENCE_S = 60.0  # for a broken system; on a slow machine a working one may need some of it


def wait_until(condition, what, timeout=PATIENCE_S):
    """Calls condition() until it is true; its value."""
    end = time.monotonic() + timeout
    pause = threading.Event()
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError("never happened: " + (what() if callable(what) else what))
        pause.wait(0.01)


def as_ordinary_user(argv):
    """The daemon refuses to be root: as root, run it as the user that owns the test cluster."""
    if os.geteuid() != 0:
        return argv
    user = next(u for u in ("postgres", "nobody") if _has_user(u))
    caps = "+dac_read_search"
    return ["setpriv", f"--reuid={user}", f"--regid={pwd.getpwnam(user).pw_gid}", "--clear-groups",
            f"--inh-caps={caps}", f"--ambient-caps={caps}", "--", *argv]


def _has_user(name):
    try:
        pwd.getpwnam(name)
        return True
    except KeyError:
        return False


def free_port():
    """A port that no outgoing connection can take while a daemon is down between two starts: from
    below the ephemeral range, at random, so that two test runs at once do not meet."""
    with open("/proc/sys/net/ipv4/ip_local_port_range") as f:
        low = int(f.read().split()[0])
    for _ in range(100):
        port = random.randrange(10000, max(low, 10001))
        with socket.socket() as s:
            try:
                s.bind(("127.0.0.1", port))
                return port
            except OSError:
                continue
    raise AssertionError("no free port")


def connect(address, source=None, rcvbuf=None):
    """A connection to (host, port), or to a Unix socket's path; by default the kernel keeps what it likes for us."""
    if rcvbuf:
        s = socket.socket()
        s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, rcvbuf)
        s.settimeout(PATIENCE_S)
        s.connect(address)
        return s
    if not isinstance(address, str):
        return socket.create_connection(address, PATIENCE_S, source)
    s = socket.socket(socket.AF_UNIX)
    s.settimeout(PATIENCE_S)
    s.connect(address)
    return s


class Daemon:
    """`pgherald serve`. Its port is written into the configuration by the first start(), so that
    clients can come back to it after stop() or kill() and another start()."""

    def __init__(self, binary, conf_path, log_path, nofile=None):
        self.binary, self.conf, self.log_path = str(binary), str(conf_path), str(log_path)
        self.nofile, self.prefix = nofile, []
        self.proc = None
        self.address = None

    def start(self, wait=True):
        offset = os.path.getsize(self.log_path) if os.path.exists(self.log_path) else 0
        self.settle_port()
        argv = as_ordinary_user([self.binary, "-c", self.conf, "serve"])
        if self.nofile:
            argv = ["prlimit", f"--nofile={self.nofile}", *argv]
        argv = [*self.prefix, *argv]
        with open(self.log_path, "ab") as log:
            self.proc = subprocess.Popen(argv, stdout=log, stderr=log, stdin=subprocess.DEVNULL)
        if wait:
            found = self.wait_log(r"listening on ([0-9.]+):(\d+)", offset)
            self.address = (found.group(1), int(found.group(2)))
        return self

    def settle_port(self):
        """A port in the file instead of 0, and the address that follows."""
        with open(self.conf) as f:
            text = f.read()
        if "listen = 127.0.0.1:0" in text:
            self.address = ("127.0.0.1", free_port())
            with open(self.conf, "w") as f:
                f.write(text.replace("listen = 127.0.0.1:0", f"listen = 127.0.0.1:{self.address[1]}"))

    def log(self, offset=0):
        with open(self.log_path, "rb") as f:
            f.seek(offset)
            return f.read().decode(errors="replace")

    def wait_log(self, pattern, offset=0, timeout=PATIENCE_S):
        def look():
            found = re.search(pattern, self.log(offset))
            if not found and self.proc.poll() is not None:
                raise AssertionError(f"daemon ended with {self.proc.returncode}:\n{self.log()}")
            return found
        return wait_until(look, lambda: f"{pattern!r} in the log:\n{self.log()}", timeout)

    def log_size(self):
        return os.path.getsize(self.log_path)

    def signal(self, number):
        self.proc.send_signal(number)

    def wait_end(self, timeout=PATIENCE_S):
        try:
            return self.proc.wait(timeout)
        except subprocess.TimeoutExpired:
            raise AssertionError("the daemon does not end:\n" + self.log()) from None

    def stop(self):
        if self.proc and self.proc.poll() is None:
            self.signal(signal.SIGTERM)
            status = self.wait_end()
            assert status == 0, f"exit status {status}:\n{self.log()}"

    def kill(self):
        if self.proc and self.proc.poll() is None:
            self.signal(signal.SIGKILL)
            self.wait_end()

    def request(self, method, path, headers=None, timeout=PATIENCE_S, body=None):
        """One ordinary request: (status, headers, body)."""
        c = http.client.HTTPConnection(*self.address, timeout=timeout)
        try:
            c.request(method, path, body, headers or {})
            r = c.getresponse()
            return r.status, r.headers, r.read()
        finally:
            c.close()

    def get(self, path, token=None, **kw):
        headers = {"Authorization": "Token " + token} if token else {}
        return self.request("GET", path, headers | kw.pop("headers", {}), **kw)

    def wait_ready(self):
        wait_until(lambda: self._status("/readyz") == 200, lambda: "ready:\n" + self.log())
        return self

    def _status(self, path):
        try:
            return self.get(path)[0]
        except OSError:
            return None

    def streams(self, token):
        return json.loads(self.get(STATS, token)[2])["total_connections"]

    def descriptors(self):
        return len(os.listdir(f"/proc/{self.proc.pid}/fd"))

    def keeps_freed_memory(self):
        """AddressSanitizer does, on purpose: what a process has says nothing then."""
        with open(f"/proc/{self.proc.pid}/maps") as f:
            return "libasan" in f.read()


class Frame:
    """One SSE event as the standard parses it."""

    def __init__(self, event_id, data, comments):
        self.id, self.data, self.comments = event_id, data, comments

    @functools.cached_property
    def json(self):
        return json.loads(self.data)

    def __repr__(self):
        return f"Frame(id={self.id!r}, data={self.data!r}, {self.comments})"


class Parser:
    """The WHATWG event-stream parser, bytes in, frames out."""

    def __init__(self):
        self.rest, self.id, self.retry = b"", None, None
        self.data, self.comments = [], []

    def feed(self, data):
        *lines, self.rest = (self.rest + data).split(b"\n")
        for raw in lines:
            line = raw.decode()
            if line == "":
                if self.data:
                    yield Frame(self.id, "\n".join(self.data), self.comments)
                self.data, self.comments = [], []
                continue
            if line.startswith(":"):
                self.comments.append(line[1:].strip())
                continue
            name, _, value = line.partition(":")
            value = value[1:] if value.startswith(" ") else value
            if name == "data":
                self.data.append(value)
            elif name == "id":
                self.id = value
            elif name == "retry":
                self.retry = int(value)
            else:
                raise AssertionError(f"unexpected field {name!r}")


class Lines:
    """A reader of newline-delimited JSON, frames out: what is no object is no line."""

    def __init__(self):
        self.rest, self.retry = b"", None

    def feed(self, data):
        *lines, self.rest = (self.rest + data).split(b"\n")
        for line in lines:
            message = json.loads(line)
            self.retry = message.pop("retry", self.retry)
            yield Frame(message.pop("id", None), json.dumps(message), [])


class Answer:
    """A reader of long-poll's document, which is none before its end: then finish() has the frames."""

    def __init__(self):
        self.rest = b""

    def feed(self, data):
        self.rest += data
        return []

    def finish(self):
        """Frames and the position to go on from; None, and nothing, of an answer that was cut off."""
        try:
            answer = json.loads(self.rest)
        except ValueError:
            return [], None
        return ([Frame(m.pop("id", None), json.dumps(m), []) for m in answer["events"]],
                answer["last_event_id"])


class Client:
    """A real HTTP client of a stream, read by the test when it wants to."""

    def __init__(self, daemon, token, last_id=None, by_query=True, headers=None, version="1.1",
                 path=EVENTS, extra_query="", source=None, parser=None, behind=b"", rcvbuf=None):
        query = []
        if by_query and token is not None:
            query.append("token=" + token)
        if extra_query:
            query.append(extra_query)
        target = path + ("?" + "&".join(query) if query else "")
        lines = [f"GET {target} HTTP/{version}", "Host: test"]
        if not by_query:
            lines.append("Authorization: Token " + token)
        if last_id is not None:
            lines.append("Last-Event-ID: " + last_id)
        lines += [f"{k}: {v}" for k, v in (getattr(parser, "headers", {}) | (headers or {})).items()]
        self.sock = connect(daemon.address, source, rcvbuf)
        self.sock.sendall(("\r\n".join(lines) + "\r\n\r\n").encode() + behind)
        self.daemon, self.buffer = daemon, b""
        self.status, self.headers, self.chunked = None, None, False
        self.parser, self.frames, self.ended = parser or Parser(), [], False
        self.last_id = last_id
        self.raw_body = b""

    def fileno(self):
        return self.sock.fileno()

    def _head(self):
        if self.headers is not None or b"\r\n\r\n" not in self.buffer:
            return self.headers is not None
        head, _, self.buffer = self.buffer.partition(b"\r\n\r\n")
        first, *rest = head.decode("latin-1").split("\r\n")
        self.status = int(first.split()[1])
        self.headers = http.client.HTTPMessage()
        for line in rest:
            k, _, v = line.partition(":")
            self.headers[k] = v.strip()
        self.chunked = self.headers.get("Transfer-Encoding") == "chunked"
        return True

    def _body(self):
        """Bytes of the body that are complete."""
        if not self.chunked:
            data, self.buffer = self.buffer, b""
            return data
        out = b""
        while True:
            line, sep, rest = self.buffer.partition(b"\r\n")
            if not sep:
                return out
            size = int(line, 16)
            if len(rest) < size + 2:
                return out
            if size == 0:
                self.ended = True
            out += rest[:size]
            assert rest[size:size + 2] == b"\r\n", "broken chunk"
            self.buffer = rest[size + 2:]

    def take(self, data):
        """Feeds received bytes (b"" = the end)."""
        if data == b"":
            self.ended = True
            return
        self.buffer += data
        if not self._head():
            return
        body = self._body()
        self.raw_body += body
        if self.status not in (101, 200):
            return
        for frame in self.parser.feed(body):
            if frame.id is not None:
                self.last_id = frame.id
            self.frames.append(frame)

    def read_some(self, timeout):
        self.sock.settimeout(timeout)
        try:
            self.take(self.sock.recv(1 << 18))
        except (TimeoutError, BlockingIOError):
            return False
        except ConnectionError:
            self.ended = True
        return True

    def read_until(self, condition, what="what the test waits for", timeout=PATIENCE_S):
        end = time.monotonic() + timeout
        while not condition():
            left = end - time.monotonic()
            if self.ended or left <= 0 or not self.read_some(left):
                raise AssertionError(
                    f"never came: {what}; {'ended' if self.ended else 'silent'}; "
                    f"status {self.status}, frames {self.frames[-8:]}\n{self.daemon.log()[-6000:]}")
        return self

    def hello(self):
        self.read_until(lambda: self.frames, "the hello")
        assert self.status in (101, 200), self.status
        return self

    def messages(self, keepalive=False):
        """Every message after the hello, as JSON."""
        out = [f.json for f in self.frames]
        return [m for m in out if m["event"] != "connected"
                and (keepalive or m["event"] != "keepalive")]

    def wait_messages(self, n):
        self.read_until(lambda: len(self.messages()) >= n, f"{n} messages")
        return self.messages()

    def wait_message(self, event, **data):
        def found():
            for m in self.messages():
                if m["event"] == event and all(m["data"].get(k) == v for k, v in data.items()):
                    return m
            return None
        self.read_until(found, f"{event} {data}")
        return found()

    def wait_end(self):
        end = time.monotonic() + PATIENCE_S
        while not self.ended:
            assert time.monotonic() < end, "the stream does not end:\n" + self.daemon.log()[-4000:]
            self.read_some(1)
        return self

    def close(self):
        self.sock.close()


class Reader(threading.Thread):
    """Reads many clients in the background until stop(); each client stays what it was."""

    def __init__(self):
        super().__init__(daemon=True)
        self.selector, self.lock, self.running = selectors.DefaultSelector(), threading.Lock(), True

    def add(self, client):
        client.sock.setblocking(False)
        with self.lock:
            self.selector.register(client, selectors.EVENT_READ)
        return client

    def remove(self, client):
        with self.lock:
            try:
                self.selector.unregister(client)
            except (KeyError, ValueError):
                pass

    def run(self):
        while self.running:
            for key, _ in self.selector.select(0.05):
                client = key.fileobj
                with self.lock:
                    if client.fileno() < 0:
                        continue
                    client.read_some(0)
                    if client.ended:
                        try:
                            self.selector.unregister(client)
                        except (KeyError, ValueError):
                            pass

    def stop(self):
        self.running = False
        self.join()
