# SPDX-License-Identifier: PostgreSQL
"""A project's backend as its document has it, file by file, in the framework that it is written for: with pgherald's
Broadcast where it imports one, its own endpoint tells what its own task sends; and what a page gets there byte by byte it
gets of `presets/projects.conf` as well. FastAPI and the library of its streams come from PyPI, once, into .cache/."""

import contextlib
import http.client
import json
import os
import re
import subprocess
import sys
import textwrap

import pytest

from conftest import HEAD, HERE, Install, Served
from lib.daemon import PATIENCE_S, free_port, wait_until
from test_compat_python import ENDPOINT, PUBSUB, SEND
from test_foreign_clients import CACHE, fetch
from test_snippets import DONE, PROGRESS, TASK

FRAMEWORK = ("fastapi==0.115.6", "sse-starlette==2.2.1", "uvicorn==0.34.0")

MESSAGE = """
# backend/pipeline/schemas/services/websocket.py
from pydantic import BaseModel
from pipeline.enums.websocket import WSMessageTypeEnum

class WSMessage(BaseModel):
    type: WSMessageTypeEnum  # Тип события
    object: dict | str       # Данные события
"""
TYPES = """
# backend/pipeline/enums/websocket.py
class WSMessageTypeEnum(str, Enum):
    task = "task"
    data = "data"
    file = "file"
    entity = "entity"
    scene = "scene"
    render_progress = "render_progress"
    render_result = "render_result"
"""
REGISTER = """
# main.py
from api.v1.endpoints import sse

app.include_router(
    sse.router,
    prefix="/api/v1/events",
    tags=["events"],
)
"""
TASKS = """
# В любом pipeline flow или задаче
from pipeline.services.event_service import send_event
from pipeline.schemas.services.websocket import WSMessage
from pipeline.enums.websocket import WSMessageTypeEnum
""" + TASK
GUARDED = """
from fastapi import Depends, HTTPException
from api.dependencies.user import get_current_user

@router.get("/{channel}")
async def subscribe(
    channel: str,
    user: User = Depends(get_current_user)
):
    # Проверка прав доступа
    if not validate_channel_access(channel, user):
        raise HTTPException(status_code=403, detail="Access denied")

    # ... остальной код
"""
CURL = r"""curl -N -H "Accept: text/event-stream" \
  "http://localhost:8000/api/v1/events/test"
"""

# What the application has besides.
BESIDE = {
    "config.py": """
        import os
        from types import SimpleNamespace
        settings = SimpleNamespace(TEST_MODE=os.environ["TEST_MODE"] == "true", REDIS_URL=os.environ["REDIS_URL"])
        """,
    "broadcaster.py": "from pgherald.compat.broadcast import Broadcast\n",
    "api/dependencies/user.py": """
        from types import SimpleNamespace
        from fastapi import Header
        async def get_current_user(x_user: str = Header()):
            return SimpleNamespace(name=x_user)
        """,
    "work.py": """
        import asyncio
        import sys
        from types import SimpleNamespace
        import tasks
        from tasks import *
        async def do_some_work():
            return SimpleNamespace(model_dump=lambda: {"type": "mesh", "project_id": 7, "value": "é"})
        tasks.do_some_work, task, project_id = do_some_work, SimpleNamespace(id=5), "7"
        async def no_time(seconds):
            pass  # where the document sleeps a second
        async def main():
            await some_task("8")
            await some_task("7")
        """,
}


def laid_out(place):
    """The application's tree."""
    files = {
        "main.py": "from fastapi import FastAPI\napp = FastAPI()\n" + REGISTER + "from api.v1.endpoints import guarded\n"
                   'app.include_router(guarded.router, prefix="/guarded")\n',
        "core/pubsub.py": PUBSUB, "pipeline/core/pubsub.py": PUBSUB, "pipeline/services/event_service.py": SEND,
        "pipeline/schemas/services/websocket.py": MESSAGE, "pipeline/enums/websocket.py": "from enum import Enum\n" + TYPES,
        "api/v1/endpoints/sse.py": ENDPOINT, "tasks.py": TASKS,
        "api/v1/endpoints/guarded.py": ENDPOINT.partition("@router")[0] + "from types import SimpleNamespace as User\n"
                                       "def validate_channel_access(channel, user): return user.name == channel\n" + GUARDED +
                                       '    return {"heard": channel}\n'}
    for name, text in {**files, **{n: textwrap.dedent(t) for n, t in BESIDE.items()}}.items():
        path = place / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    work = (place / "work.py").read_text()
    for text in (DONE, PROGRESS.replace("asyncio.WAIT", "no_time")):
        work += textwrap.indent(text, "    ")
    (place / "work.py").write_text(work + "\nasyncio.run(main())\n", encoding="utf-8")
    return place


@pytest.fixture
def place(db, tmp_path):
    pytest.importorskip("httpx", reason="not installed: httpx")
    fetch("fastapi", sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--target", ".", *FRAMEWORK)
    install = Install(db, tmp_path)
    install.write(HEAD.replace("receives = all\n", "receives = all\nchannels = *\npublish = *\n") + f"""
[auth everybody]
preset = none
role = manager
[publish]
roles = pgherald
[watch project]
table = public.api_project
fields = id
include = {HERE.parents[1]}/presets/projects.conf
include = {HERE.parents[1]}/presets/publishing.conf
[route project]
auth = drf, everybody
line_ends = crlf
ids = no
""")
    install.apply()
    s = Served(install, tmp_path)
    s.daemon.start().wait_ready()
    s.at = "127.0.0.1:%d" % s.daemon.address[1]
    s.tree = laid_out(tmp_path / "backend")
    yield s
    s.daemon.kill()


def environment(place, test_mode="false"):
    return {"PATH": "/usr/bin:/bin", "HOME": str(place.tree), "PYTHONDONTWRITEBYTECODE": "1", "TEST_MODE": test_mode,
            "REDIS_URL": f"http://{place.boss}@{place.at}",
            "PYTHONPATH": os.pathsep.join(map(str, (place.tree, CACHE / "fastapi", HERE.parents[1] / "clients/python/src")))}


@contextlib.contextmanager
def backend(place, test_mode="false"):
    """uvicorn main:app"""
    port = free_port()
    with open(place.tree / "log", "wb") as log:
        process = subprocess.Popen([sys.executable, "-m", "uvicorn", "main:app", "--port", str(port)], cwd=place.tree,
                                   env=environment(place, test_mode), stdout=log, stderr=log)
    try:
        wait_until(lambda: b"Uvicorn running" in (place.tree / "log").read_bytes(), lambda: (place.tree / "log").read_text())
        yield port
    finally:
        process.kill()
        process.wait()


class Page:
    """A stream, read as it comes."""

    def __init__(self, port, path, headers=None):
        self.connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE_S)
        self.connection.request("GET", path, headers={"Accept": "text/event-stream", **(headers or {})})
        self.answer, self.got = self.connection.getresponse(), b""
        assert self.answer.status == 200

    def read(self, words):
        while words not in self.got:
            more = self.answer.read1(65536)
            assert more, self.got
            self.got += more
        return self.got

    def messages(self):
        """The bytes of what has data, without pings and retries."""
        return [m for m in re.split(rb"(?<=\r\n\r\n)", self.got) if b"data: " in m]


def test_the_backend_as_it_stands(place):
    with backend(place) as port:
        theirs = Page(port, "/api/v1/events/project.7")
        ours = Page(place.daemon.address[1], "/api/v1/events/project.7")
        wait_until(lambda: place.daemon.log().count("stream opened") == 2, "both listen")
        done = subprocess.run([sys.executable, "work.py"], cwd=place.tree, env=environment(place), capture_output=True, text=True,
                              timeout=PATIENCE_S)
        assert done.returncode == 0, done.stderr
        for page in (theirs, ours):
            page.read(b'"progress": 100}}\r\n\r\n')  # as PostgreSQL writes it
        assert theirs.messages() == [m[m.index(b"data: "):] for m in ours.messages()]
        told = [json.loads(m[len(b"data: "):]) for m in theirs.messages()]
        assert told[:2] == [{"type": "data", "object": {"type": "mesh", "project_id": 7, "value": "é"}},
                            {"type": "task", "object": {"id": 5, "status": "completed", "progress": 100,
                                                        "result_url": "https://example.com/result.mp4"}}]
        assert told[2:] == [{"type": "render_progress", "object": {"progress": n}} for n in range(0, 101, 10)]
        for who, answer in (("project.7", (200, {"heard": "project.7"})), ("anna", (403, {"detail": "Access denied"}))):
            c = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE_S)
            c.request("GET", "/guarded/project.7", headers={"X-User": who})
            r = c.getresponse()
            assert (r.status, json.loads(r.read())) == answer


def test_its_test_mode(place):
    """The same bytes, and the end, of the application's own endpoint and of a route of pgherald's."""
    with backend(place, "true") as port:
        theirs = subprocess.run(["sh", "-c", CURL.replace("8000", str(port))], capture_output=True, timeout=PATIENCE_S)
    place.install.conf.write_text(place.install.conf.read_text() + "test_mode = yes\n")
    place.daemon.stop()
    place.daemon.start().wait_ready()
    ours = subprocess.run(["sh", "-c", CURL.replace("localhost:8000", place.at)], capture_output=True, timeout=PATIENCE_S)
    assert theirs.returncode == ours.returncode == 0
    assert ours.stdout.strip() == theirs.stdout.strip() == b'data: {"type":"test","message":"SSE endpoint working"}'
