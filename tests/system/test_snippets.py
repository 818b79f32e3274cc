# SPDX-License-Identifier: PostgreSQL
"""What the documents show, as it stands there, against the presets: pages that were written for a chat's own server,
before and after that had changed its transport; a project's store and what its backend sends; the streaming system's
page, commands and lines for a terminal. The tokens that are spelled in them are there; where localhost:8000 is, the
browser and curl are told."""

import asyncio
import json
import shutil
import subprocess
import sys
import textwrap
from types import SimpleNamespace

import pytest

from conftest import HEAD, HERE, Install, Served
from lib import browser
from lib.recipe import exchanged

sys.path.insert(0, str(HERE.parents[1] / "clients" / "python" / "src"))

NAMED_EVENTS = """
const eventSource = new EventSource('/my/chat/session-id/events/?token=jwt');

eventSource.addEventListener('task_started', (e) => {
  const data = JSON.parse(e.data);
  console.log('Task started:', data);
});
"""

LINES = """
const response = await fetch('/my/chat/session-id/events/', {
  headers: {
    'Authorization': 'Bearer ' + token
  },
  signal: abortController.signal
});

const reader = response.body.getReader();
const decoder = new TextDecoder();

while (true) {
  const {done, value} = await reader.read();
  if (done) break;
  
  const chunk = decoder.decode(value);
  const lines = chunk.split('\\n').filter(line => line.trim());
  
  for (const line of lines) {
    const event = JSON.parse(line);
    if (event.event_type === 'task_started') {
      console.log('Task started:', event);
    }
  }
}
"""

LISTEN = """
window.told = [];
console.log = (what, data) => window.told.push([what, data]);
const token = 'jwt', abortController = new AbortController();
window.failed = null;
(async () => {%s})().catch(e => window.failed = String(e));
0
"""


PAGE = """
const ws = new WebSocket("ws://localhost:8000/ws/connect?token=your-jwt-token");

ws.onopen = function (event) {
  console.log("WebSocket подключен");
};

ws.onmessage = function (event) {
  const data = JSON.parse(event.data);
  console.log("Получено сообщение:", data);
};

const eventSource = new EventSource(
  "http://localhost:8000/sse/connect?token=your-jwt-token"
);

eventSource.onopen = function (event) {
  console.log("SSE подключен");
};

eventSource.addEventListener("message", function (event) {
  const data = JSON.parse(event.data);
  console.log("Получено сообщение:", data);
});

eventSource.addEventListener("notification", function (event) {
  const notification = JSON.parse(event.data);
  console.log("Уведомление:", notification);
});
"""

SAID = [
    """{
  "action": "ping",
  "request_id": "unique-id"
}""",
    """{
  "action": "subscribe",
  "data": { "channel": "test_channel" },
  "request_id": "unique-id"
}""",
    """{
  "action": "send_to_channel",
  "data": {
    "channel": "test_channel",
    "content": "Привет всем!"
  },
  "request_id": "unique-id"
}""",
    """{
  "action": "send_to_user",
  "data": {
    "user_id": "user123",
    "content": "Личное сообщение"
  },
  "request_id": "unique-id"
}""",
]

POSTED = [
    r"""curl -X POST "http://localhost:8000/ws/broadcast" \
  -H "Content-Type: application/json" \
  -d '{
    "message": {
      "id": "msg-123",
      "type": "broadcast",
      "content": "Сообщение всем пользователям"
    }
  }'""",
    r"""curl -X POST "http://localhost:8000/ws/send-to-channel" \
  -H "Content-Type: application/json" \
  -d '{
    "channel": "notifications",
    "message": {
      "id": "msg-124",
      "type": "notification",
      "content": {
        "title": "Новое уведомление",
        "message": "Содержимое уведомления"
      }
    },
    "persist": true
  }'""",
    r"""curl -X POST "http://localhost:8000/sse/send-to-channel" \
  -H "Content-Type: application/json" \
  -d '{
    "channel": "news",
    "event": "news_update",
    "data": {
      "title": "Новая статья",
      "content": "Содержимое новости"
    }
  }'""",
    r"""curl -X POST "http://localhost:8000/sse/notification" \
  -H "Content-Type: application/json" \
  -d '{
    "title": "Важное уведомление",
    "content": "Текст уведомления",
    "type": "warning"
  }'""",
]
STATS = 'curl "http://localhost:8000/ws/stats"'
CONNECTIONS = 'curl "http://localhost:8000/ws/connections"'
DISCONNECT = 'curl -X DELETE "http://localhost:8000/ws/connections/connection-id"'
USERS = r"""curl -H "Authorization: Bearer YOUR_TOKEN" \
  http://localhost:8000/api/v1/sse/stats/"""


# A store of the application's own, with its types as TypeScript has them, and two handlers.
FACTORY = """
export const createEventSourceStore = (name: string) =>
    create<EventSourceStore>((set, get) => ({
        connection: null,
        handlers: [],
        addHandlers: (newHandlers) => {
            const { handlers } = get();
            set({ handlers: [...handlers, ...newHandlers] });
        },
        removeHandlers: (delHandlers) => {
            const { handlers, connection } = get();
            const filteredHandlers = handlers.filter(
                (h) => !delHandlers.includes(h)
            );
            set({ handlers: filteredHandlers });

            if (filteredHandlers.length === 0 && connection) {
                connection.close();
                set({ connection: null });
            }
        },
        initConnection: (url, handlers) => {
            const { connection, addHandlers, removeHandlers } = get();

            if (connection) {
                if ((connection as any).url === url) return;
                connection.close();
            }

            const eventSource = new EventSource(url);
            const channel = url.split("/").pop();

            eventSource.onopen = () => {
                addHandlers(handlers);
                console.log(`${name} SSE connected. Channel: ${channel}`);
            };

            eventSource.onerror = () => {
                console.log(`${name} SSE error. Channel: ${channel}`);
            };

            eventSource.onmessage = (event) => {
                const { handlers } = get();
                const eventData = JSON.parse(event.data) as WSMessage;
                handlers.forEach((h) => h(eventData));
            };

            eventSource.addEventListener("error", () => {
                removeHandlers(handlers);
                console.log(`${name} SSE disconnected. Channel: ${channel}`);
            });

            set({ connection: eventSource });
        },
    }));

const taskEventHandler: EventHandler = (eventData) => {
    if (eventData.type === WSMessageTypeEnum.TASK) {
        const task = eventData.object as TaskUpdate;
        showNotification(`Task ${task.status}: ${task.progress}%`);
    }
};

const progressEventHandler: EventHandler = (eventData) => {
    if (eventData.type === WSMessageTypeEnum.RENDER_PROGRESS) {
        const { progress } = eventData.object as { progress: number };
        setProgress(progress);
    }
};
"""

# What is a type and nothing else; zustand's part, and the components'.
TYPES = [(t, "") for t in ("export ", ": string", "<EventSourceStore>", " as any", " as WSMessage", ": EventHandler", " as TaskUpdate",
                           " as { progress: number }")]
BESIDE = """
window.told = [];
console.log = (line) => window.told.push(line);
const create = (make) => {
  let state;
  const get = () => state, set = (part) => { state = { ...state, ...part }; };
  state = make(set, get);
  return { getState: get };
};
const WSMessageTypeEnum = { TASK: "task", RENDER_PROGRESS: "render_progress" };
const showNotification = (text) => window.told.push(text), setProgress = (n) => window.told.push(n);
"""
TASK = """
async def some_task(project_id: str):
    # Выполняем какую-то работу...
    result = await do_some_work()

    # Отправляем событие
    await send_event(
        channel=f"project.{project_id}",
        message=WSMessage(
            type=WSMessageTypeEnum.data,
            object=result.model_dump()
        )
    )
"""
DONE = """
# Backend
await send_event(
    channel=f"project.{project_id}",
    message=WSMessage(
        type=WSMessageTypeEnum.task,
        object={
            "id": task.id,
            "status": "completed",
            "progress": 100,
            "result_url": "https://example.com/result.mp4"
        }
    )
)
"""
PROGRESS = """
# Backend
for progress in range(0, 101, 10):
    await send_event(
        channel=f"project.{project_id}",
        message=WSMessage(
            type=WSMessageTypeEnum.render_progress,
            object={"progress": progress}
        )
    )
    await asyncio.WAIT(1)
"""


@pytest.fixture
def projects(db, tmp_path):
    install = Install(db, tmp_path)
    install.write(HEAD.replace("receives = all\n", "receives = all\npublish = project.*\n").replace(
        "receives = own\n", "receives = own\nchannels = project.*\n") + f"""
[auth everybody]
preset = none
role = foreman
[publish]
roles = pgherald
[watch project]
table = public.api_project
fields = id
include = {HERE.parents[1]}/presets/projects.conf
include = {HERE.parents[1]}/presets/publishing.conf
[route project]
auth = everybody
""" + "".join(f"[route {name}]\nauth = drf\n" for name in ("ws-broadcast", "ws-send", "ws-send-user", "sse-send", "sse-notification")))
    install.apply()
    s = Served(install, tmp_path)
    s.daemon.start().wait_ready()
    s.at = "127.0.0.1:%d" % s.daemon.address[1]
    yield s
    s.daemon.kill()


def test_a_project_s_page_and_its_backend(projects):
    """Without a client of ours in the browser: what send_event() tells reaches the store's handlers, and no other project's."""
    pytest.importorskip("httpx", reason="not installed: httpx")
    if not browser.find():
        pytest.skip("no Chromium is installed")
    from pgherald import compat
    from pgherald.compat import broadcast

    async def backend():
        names = {"send_event": broadcast.send_event, "WSMessage": broadcast.WSMessage,
                 "WSMessageTypeEnum": broadcast.WSMessageTypeEnum, "project_id": "7", "task": SimpleNamespace(id=5),
                 "asyncio": SimpleNamespace(WAIT=no_time), "do_some_work": work}
        exec(TASK, names)
        await names["some_task"]("8")
        await names["some_task"]("7")
        for text in (DONE, PROGRESS):
            exec("async def part():\n" + textwrap.indent(text, "    "), names)
            await names["part"]()

    async def no_time(seconds):
        """Where the document sleeps."""

    async def work():
        return SimpleNamespace(model_dump=lambda: {"type": "mesh", "project_id": 7, "value": "é"})
    compat.configure(f"http://{projects.at}/", projects.boss)
    b = browser.Browser(f"--host-resolver-rules=MAP localhost:8000 {projects.at}")
    try:
        page = b.open("http://localhost:8000/healthz")
        page.eval("(() => {" + BESIDE + exchanged(FACTORY, *TYPES) + """
          window.store = createEventSourceStore("Project").getState;
          const other = (m) => window.told.push(m.type === "data" ? m.object.value : "-");
          store().initConnection("http://localhost:8000/api/v1/events/project.7", [taskEventHandler, progressEventHandler, other]);
        })(); 0""")
        page.wait("window.told.length === 1", "it is open")
        asyncio.run(backend())
        page.wait("window.told.includes(100)", "the last of it")
        want = ["é", "Task completed: 100%", "-"]
        for n in range(0, 101, 10):
            want += [n, "-"]
        page.wait(f"window.told.length === {1 + len(want)}", "all of it")
        assert page.eval("window.told") == ["Project SSE connected. Channel: project.7", *want]
        page.eval("store().removeHandlers(store().handlers); 0")
        assert page.eval("store().connection") is None
    finally:
        compat.configure(None)
        b.close()


@pytest.fixture
def chat(db, tmp_path):
    install = Install(db, tmp_path)
    install.write(HEAD.replace("receives = own\n", "receives = own\nchannels = chat:*\n") + f"""
[publish]
roles = app
[watch project]
table = public.api_project
fields = id
""" + f"\ninclude = {HERE.parents[1]}/presets/chat.conf\n")
    install.apply()
    db.run("UPDATE authtoken_token SET key = 'jwt' WHERE user_id = 2")
    s = Served(install, tmp_path)
    s.daemon.start().wait_ready()
    yield s
    s.daemon.kill()


@pytest.mark.parametrize("snippet, payload", [(NAMED_EVENTS, None), (LINES, "payload")], ids=["named events", "lines"])
def test_a_chat_s_page(chat, snippet, payload):
    if not browser.find():
        pytest.skip("no Chromium is installed")
    host, port = chat.daemon.address
    b = browser.Browser()
    try:
        page = b.open(f"http://{host}:{port}/healthz")  # any page of that origin
        page.eval(LISTEN % snippet)
        chat.daemon.wait_log("stream opened")
        for channel, n in (("chat:another", 0), ("chat:session-id", 1), ("chat:session-id", 2)):
            chat.db.run("SELECT pgherald.publish(%s, 'task_started', %s::jsonb)", (channel, json.dumps({"task": n})), user="app")
            if n:  # one after the other: the second page takes for granted that no line is cut on its way
                page.wait(f"window.failed || window.told.length === {n}")
        assert page.eval("window.failed") is None
        told = page.eval("window.told")
        assert [what for what, _ in told] == ["Task started:"] * 2
        documents = [data[payload] if payload else data for _, data in told]
        assert documents == [{"task": 1}, {"task": 2}]
    finally:
        b.close()


@pytest.fixture
def streaming(db, tmp_path):
    install = Install(db, tmp_path)
    install.write(HEAD.replace("receives = all\n", "receives = all\nchannels = *\npublish = *\n") + """
[publish]
roles = pgherald
[watch project]
table = public.api_project
fields = id
""" + "".join(f"include = {HERE.parents[1]}/presets/{name}.conf\n" for name in ("streaming", "publishing", "estimates")))
    install.apply()
    db.run("UPDATE authtoken_token SET key = 'your-jwt-token' WHERE user_id = 1")
    s = Served(install, tmp_path)
    s.daemon.start().wait_ready()
    s.at = "127.0.0.1:%d" % s.daemon.address[1]
    yield s
    s.daemon.kill()


def terminal(served, tmp_path, line, token="your-jwt-token"):
    """A line for a shell, as it stands; what curl reads besides is the address and the credential."""
    (tmp_path / ".curlrc").write_text(f'silent\nfail-with-body\nconnect-to = "localhost:8000:{served.at}"\n' +
                                      (f'header = "Authorization: Bearer {token}"\n' if token else ""))
    done = subprocess.run(["sh", "-c", line], env={"HOME": str(tmp_path), "PATH": "/usr/bin:/bin"}, capture_output=True, text=True,
                          timeout=60)
    assert done.returncode == 0, (line, done.stdout, done.stderr)
    return json.loads(done.stdout)


def test_the_streaming_system_s_page_and_lines(streaming, tmp_path):
    if not browser.find() or not shutil.which("curl"):
        pytest.skip("no Chromium or no curl is installed")
    b = browser.Browser(f"--host-resolver-rules=MAP localhost:8000 {streaming.at}")
    try:
        page = b.open("http://localhost:8000/healthz")
        page.eval("window.told = []; console.log = (...words) => window.told.push(words); 0")
        page.eval("(() => {" + PAGE + "window.ws = ws; })(); 0")
        for opened in ("WebSocket подключен", "SSE подключен"):
            page.wait(f"window.told.some(([words]) => words === '{opened}')", opened)
        for command in SAID:
            page.eval(f"ws.send({json.dumps(command)}); 0")
        page.wait("window.told.filter(([, m]) => m && m.request_id === 'unique-id').length === 4", "four answers")
        answers = page.eval("window.told.map(([, m]) => m).filter((m) => m && m.request_id === 'unique-id').map((m) => m.type)")
        assert sorted(answers) == ["pong", "published", "published", "subscribed"]
        for line in POSTED:
            assert terminal(streaming, tmp_path, line)["status"] == "ok"
        page.eval("ws.send('{\"action\": \"message\", \"data\": {\"content\": 7}}'); 0")
        note = {"title": "Важное уведомление", "content": "Текст уведомления", "type": "warning"}
        page.wait("window.told.some(([words, m]) => words === 'Уведомление:')", "a notification")
        page.wait("window.told.some(([words, m]) => words === 'Получено сообщение:' && m === 7)", "an event named message")
        told = page.eval("window.told")
        assert ["Уведомление:", note] in told  # by SSE, which is not subscribed to a channel …
        heard = [(m["type"], m["content"]) for m in (said[-1] for said in told) if isinstance(m, dict) and "type" in m and "content" in m]
        assert ("text", "Привет всем!") in heard and ("broadcast", "Сообщение всем пользователям") in heard
        assert not [c for _, c in heard if c == "Личное сообщение"]  # … and nobody is user123
        stats = terminal(streaming, tmp_path, STATS)
        assert list(stats) == ["websocket", "sse", "channels", "total_connections"] and stats["total_connections"] == 2
        there = {c["transport"]: c["connection_id"] for c in terminal(streaming, tmp_path, CONNECTIONS)["connections"]}
        page.eval("ws.onclose = () => window.told.push(['closed']); 0")
        terminal(streaming, tmp_path, DISCONNECT.replace("connection-id", there["websocket"]))
        page.wait("window.told.some(([words]) => words === 'closed')", "its end")
        streaming.db.run("UPDATE authtoken_token SET key = 'YOUR_TOKEN' WHERE user_id = 1")
        assert list(terminal(streaming, tmp_path, USERS, None))[:3] == ["total_users", "total_connections", "users"]
    finally:
        b.close()
