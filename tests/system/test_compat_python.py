# SPDX-License-Identifier: PostgreSQL
"""What applications have written for servers of their own, as it stands, with pgherald.compat behind the names
that it imports; only the port is ours, and a sleep ends when what it waits for has come."""

import asyncio
import contextlib
import json
import sys
import textwrap
import types
from pathlib import Path

import pytest
from conftest import HEAD, HERE, Install, Served, served_by
from lib.daemon import Client, wait_until
from lib.posting import post

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "clients" / "python" / "src"))
pytest.importorskip("httpx", reason="not installed: httpx")

from pgherald import compat  # noqa: E402
from pgherald.compat import broadcast, manager, notes, streaming  # noqa: E402

SECRET = "a secret of at least thirty-two bytes"
CONF = HEAD.replace("receives = all\n", "receives = all\nchannels = *\npublish = *, user/*\n").replace(
    "receives = own\n", "receives = own\nchannels = *\n") + f"""
[auth everybody]
preset = none
role = manager
[publish]
roles = pgherald
[watch project]
table = public.api_project
fields = id
include = {HERE.parents[1]}/presets/streaming.conf
include = {HERE.parents[1]}/presets/projects.conf
[route ws]
auth = drf, everybody
[route sse]
auth = drf, everybody
[route broadcast]
path = /ws/broadcast
kind = broadcast
[route ws-send]
path = /ws/send-to-channel
kind = send
[route sse-send]
path = /sse/send-to-channel
kind = send
[route stats]
path = /api/v1/sse/stats/
kind = stats
[route notification]
path = /sse/notification
kind = broadcast
auth = drf, everybody
"""


@pytest.fixture(scope="module")
def place(cluster, tmp_path_factory):
    with served_by(cluster, tmp_path_factory.mktemp("compat"), CONF) as s:
        s.url = "http://%s:%d/" % s.daemon.address
        compat.configure(s.url, s.boss)
        yield s
        compat.configure(None)


class Raw:
    """Of a stream with named events only the bytes."""

    def feed(self, data):
        return []


async def until(condition, what):
    end = asyncio.get_running_loop().time() + 60
    while not condition():
        assert asyncio.get_running_loop().time() < end, what
        await real_sleep(0.02)


real_sleep = asyncio.sleep


@pytest.fixture
def core(monkeypatch):
    """The application's own package, which is one line by now."""
    package, module = types.ModuleType("core"), types.ModuleType("core.streaming")
    exec("from pgherald.compat.streaming import *", module.__dict__)
    package.streaming = module
    monkeypatch.setitem(sys.modules, "core", package)
    monkeypatch.setitem(sys.modules, "core.streaming", module)


def run(place, monkeypatch, capsys, text, done, meanwhile=None):
    """A program, until its output says that it is done."""
    said = []

    async def wait(seconds):
        if seconds < 10:
            return await real_sleep(seconds)
        if meanwhile:
            meanwhile()
        await until(lambda: said.append(capsys.readouterr().out) or done in "".join(said), lambda: said)
    monkeypatch.setattr(asyncio, "sleep", wait)
    text = text.replace("8000", str(place.daemon.address[1])).replace("WAIT", "sleep")
    exec(compile(text, "snippet", "exec"), {"__name__": "snippet"})
    return "".join(said)


WS_CLIENT = '''
import asyncio
from core.streaming import create_ws_client


async def main():
    # Создаем клиент
    client = create_ws_client(host="localhost", port=8000)

    # Добавляем обработчики
    @client.on_message("text")
    async def handle_message(data):
        print(f"Получено: {data}")

    # Подключаемся
    await client.connect()

    # Подписываемся на канал
    await client.subscribe_to_channel("test_channel")

    # Отправляем сообщение
    await client.send_to_channel("test_channel", "Привет!")

    # Ждем события
    await asyncio.WAIT(10)

    # Отключаемся
    await client.disconnect()


asyncio.run(main())
'''

SSE_CLIENT = '''
import asyncio
from core.streaming import create_sse_client


async def main():
    # Создаем клиент
    client = create_sse_client(host="localhost", port=8000)

    # Добавляем обработчики
    @client.on_event("notification")
    async def handle_notification(event_data):
        print(f"Уведомление: {event_data}")

    # Подключаемся
    await client.connect()

    # Отправляем уведомление
    await client.send_notification(
        title="Тест",
        content="Тестовое уведомление"
    )

    # Ждем события
    await asyncio.WAIT(10)

    # Отключаемся
    await client.disconnect()


asyncio.run(main())
'''


def test_a_websocket_s_client(place, core, monkeypatch, capsys):
    assert "'content': 'Привет!'" in run(place, monkeypatch, capsys, WS_CLIENT, "Получено: {")


def test_an_sse_client(place, core, monkeypatch, capsys):
    said = run(place, monkeypatch, capsys, SSE_CLIENT, "Уведомление: {")
    assert "'title': 'Тест'" in said and "'content': 'Тестовое уведомление'" in said


TOKEN = '''
from core.streaming import authenticator

# Создание токена
token = authenticator.create_access_token({
    "sub": "user123",
    "name": "Иван Иванов",
    "role": "user"
})

# Использование в клиенте
client = create_ws_client(
    host="localhost",
    port=8000,
    token=token
)
'''
KEY = '''
client = create_ws_client(
    host="localhost",
    port=8000,
    api_key="secret123"
)
'''
RECONNECT = '''
# WebSocket автопереподключение
client = create_ws_client(
    host="localhost",
    port=8000,
    auto_reconnect=True,
    max_reconnect_attempts=10,
    reconnect_interval=5
)

# SSE автопереподключение
sse_client = create_sse_client(
    host="localhost",
    port=8000,
    auto_reconnect=True,
    max_reconnect_attempts=10,
    reconnect_interval=5
)
'''


def test_tokens_keys_and_attempts(core, monkeypatch):
    monkeypatch.setenv("WS_JWT_SECRET_KEY", SECRET)
    names = dict(vars(streaming))
    exec(TOKEN, names)
    claims = names["authenticator"].verify_token(names["token"])
    assert {k: claims[k] for k in ("sub", "name", "role")} == {"sub": "user123", "name": "Иван Иванов", "role": "user"}
    assert 3590 <= claims["exp"] - claims["iat"] <= 3600
    assert names["client"].headers == {"Authorization": "Bearer " + names["token"]}
    assert names["authenticator"].verify_token(names["token"][:-4] + "AAAA") is None
    assert names["authenticator"].verify_token(names["authenticator"].create_access_token({}, -1)) is None
    exec(KEY, names)
    assert names["client"].headers == {"X-API-Key": "secret123"}
    exec(RECONNECT, names)
    for c in (names["client"], names["sse_client"], streaming.create_ws_client(), streaming.create_sse_client()):
        assert (c.auto_reconnect, c.attempts, c.interval) == (True, 10, 5)
    monkeypatch.setenv("WS_JWT_EXPIRE_MINUTES", "5")
    claims = streaming.authenticator.verify_token(streaming.authenticator.create_access_token({"sub": "2"}))
    assert 290 <= claims["exp"] - claims["iat"] <= 300
    monkeypatch.setenv("WS_JWT_SECRET_KEY", "your-websocket-secret-key")
    with pytest.raises(ValueError, match="32 bytes"):
        streaming.authenticator.create_access_token({})


def test_the_token_opens_the_gateway_s_door(cluster, db, tmp_path, monkeypatch):
    """What the helper signs is what [auth] with preset = jwt takes: sub is the user, role his role."""
    key = tmp_path / "secret"
    key.write_text(SECRET)
    key.chmod(0o600)
    install = Install(db, tmp_path)
    install.write(HEAD + f"""
[watch project]
table = public.api_project
fields = id
[auth tokens]
preset = jwt
key_file = {key}
users = claims
role_claim = role
[route events]
path = /events
auth = tokens
""")
    install.apply()
    s = Served(install, tmp_path)
    s.daemon.start().wait_ready()
    try:
        token = notes.Authenticator(SECRET).create_access_token({"sub": "2", "role": "foreman"})
        c = Client(s.daemon, token, path="/events", by_query=False, extra_query="hello=full")
        c.read_until(lambda: c.frames or c.ended, "a greeting")
        assert (c.status, c.frames and c.frames[0].json["user"]) == (200, "2"), c.raw_body
        c.close()
        bad = notes.Authenticator(SECRET + "!").create_access_token({"sub": "2", "role": "foreman"})
        assert s.daemon.get("/events", bad)[0] == 401
    finally:
        s.daemon.kill()


CHANNELS = '''
# WebSocket
await client.subscribe_to_channel("news")
await client.subscribe_to_channel("notifications")

# Отписка
await client.unsubscribe_from_channel("news")
'''
NOTES = '''
from core.streaming import NotificationMessage

notification = NotificationMessage(
    title="Обновление системы",
    content="Система будет недоступна с 22:00 до 23:00",
    type="warning",
    auto_hide=False,
    duration=10000
)

# Отправка всем
await connection_manager.broadcast_to_all(notification)

# Отправка в канал
await connection_manager.broadcast_to_channel("admin", notification)

# Отправка пользователю
await connection_manager.send_to_user("user123", notification)
'''
PERSIST = '''
# Сообщения сохраняются для новых подписчиков
await connection_manager.broadcast_to_channel(
    "important_updates",
    message,
    persist=True
)
'''
CLEANUP = '''
# Ручная очистка неактивных соединений
await connection_manager.cleanup_inactive_connections()
'''
ON_ERROR = '''
@client.on_message("error")
async def handle_error(data):
    error_type = data.get("content", {}).get("type")
    error_message = data.get("content", {}).get("error")
    print(f"Ошибка {error_type}: {error_message}")
'''
ON_SSE_ERROR = '''
@client.on_event("error")
async def handle_error(event_data):
    error = event_data.get("data", {})
    print(f"SSE ошибка: {error}")
'''


async def statements(text, names):
    """Lines that stand in some coroutine of the application's."""
    exec("async def part(g):\n" + textwrap.indent(text, "    ") + "\n    g.update(locals())", names)
    await names["part"](names)


def clients(place, **options):
    host, port = place.daemon.address
    return streaming.create_ws_client(host, port, **options), streaming.create_sse_client(host, port, **options)


def test_channels_notifications_and_errors(place, core, capsys):
    async def main():
        client, sse = clients(place, token=place.anna)
        heard, texts, kept = [], [], []
        client.on_message("text")(lambda m: texts.append(m["content"]))
        client.on_message("notification")(lambda m: heard.append(m["content"]["title"]))
        sse.on_event("notification")(lambda e: heard.append(e["data"]["type"]))
        names = {"client": client, "connection_manager": streaming.connection_manager, "message": "хранить"}
        await statements(ON_ERROR, names)
        await statements(ON_SSE_ERROR, {"client": sse})
        await client.connect()
        await sse.connect()
        await statements(CHANNELS, names)
        assert client.channels == ["notifications"]
        await client.subscribe_to_channel("admin")
        await statements(NOTES, names)
        await until(lambda: len(heard) >= 3, heard)
        assert sorted(heard) == ["warning", "Обновление системы", "Обновление системы"]
        assert await streaming.connection_manager.send_to_user(2, "лично")
        await until(lambda: texts == ["лично"], texts)  # or who comes later hears it, too
        await statements(PERSIST, names)
        await statements(CLEANUP, names)
        late, _ = clients(place, token=place.anna)
        late.channels.append("important_updates")
        late.on_message("text")(lambda m: kept.append(m["content"]))
        await late.connect()
        await until(lambda: kept == ["хранить"], kept)
        assert await client.send_to_channel("admin", "нельзя") is False
        assert await client.ping() is True
        for c in (client, sse, late):
            await c.disconnect()
    asyncio.run(main())
    assert "Ошибка forbidden: " in capsys.readouterr().out


def test_they_come_back_with_their_channels(place, capsys):
    async def main():
        heard = []
        both = clients(place, token=place.anna, reconnect_interval=0.1, max_reconnect_attempts=1000)
        for c, on in zip(both, (both[0].on_message, both[1].on_event)):
            on("text")(lambda m, c=c: heard.append((c is both[0], m.get("content"))))
            await c.connect()
            await c.subscribe_to_channel("news")
        await streaming.connection_manager.broadcast_to_channel("news", "1")
        await until(lambda: len(heard) == 2, heard)
        loop = asyncio.get_running_loop()
        await loop.run_in_executor(None, place.daemon.kill)
        await until(lambda: not both[0].connected and not both[1].connected, "the end")
        await loop.run_in_executor(None, lambda: place.daemon.start().wait_ready())
        place.url = "http://%s:%d/" % place.daemon.address
        compat.configure(place.url, place.boss)
        for c in both:
            c.url = place.url.rstrip("/")
        await streaming.connection_manager.broadcast_to_channel("news", "2")
        await until(lambda: len(heard) == 4, heard)
        assert sorted(heard) == [(False, "1"), (False, "2"), (True, "1"), (True, "2")]
        for c in both:
            await c.disconnect()
        refused = clients(place, token="nobody")
        for c in refused:
            with pytest.raises(ConnectionError, match="401"):
                await c.connect()
    asyncio.run(main())


def test_what_is_no_notification(place):
    for more in ({"type": "loud"}, {"duration": -1}, {"duration": "10"}):
        with pytest.raises(ValueError):
            streaming.NotificationMessage("a", "b", **more)
    note = streaming.NotificationMessage(title="a", content="b", type="error").model_dump()
    assert list(note) == ["title", "content", "type", "auto_hide", "duration"]
    assert post(place, "/sse/notification", {**note, "type": "loud"})[0] == 422


ENDPOINT = '''
# backend/api/v1/endpoints/sse.py
from fastapi import APIRouter
from sse_starlette.sse import EventSourceResponse
from core.pubsub import pubsub_client
from config import settings

router = APIRouter()

@router.get("/{channel}")
async def subscribe(channel: str):
    async def event_generator():
        if settings.TEST_MODE:
            yield {"data": '{"type":"test","message":"SSE endpoint working"}'}
            return

        async with pubsub_client.subscribe(channel=channel) as subscriber:
            async for event in subscriber:
                yield {"data": event.message}

    return EventSourceResponse(event_generator())
'''
PUBSUB = '''
# backend/core/pubsub.py
from broadcaster import Broadcast
from config import settings

def use_pubsub_client() -> Broadcast:
    return Broadcast(settings.REDIS_URL)

pubsub_client = use_pubsub_client()
'''
SEND = '''
# backend/pipeline/services/event_service.py
from pipeline.core.pubsub import use_pubsub_client
from pipeline.schemas.services.websocket import WSMessage

async def send_event(channel: str, message: WSMessage):
    async with use_pubsub_client() as pubsub_client:
        await pubsub_client.publish(
            channel=channel,
            message=message.model_dump_json()
        )
'''


def test_a_channel_of_texts(place, monkeypatch):
    """The three files of such a backend as they stand: what one of them sends the other one tells."""
    def module(name, text="", **names):
        made = types.ModuleType(name)
        made.__dict__.update(names)
        monkeypatch.setitem(sys.modules, name, made)
        exec(text, made.__dict__)
        return made

    class Router:
        def get(self, path):
            return lambda f: f
    settings = types.SimpleNamespace(TEST_MODE=False, REDIS_URL=place.url.replace("://", f"://{place.boss}@"))
    for name in ("core", "pipeline", "pipeline.core", "pipeline.schemas", "pipeline.schemas.services", "sse_starlette"):
        module(name)
    module("config", settings=settings)
    module("fastapi", APIRouter=Router)
    module("sse_starlette.sse", EventSourceResponse=lambda events: events)
    module("broadcaster", Broadcast=broadcast.Broadcast)
    module("pipeline.schemas.services.websocket", WSMessage=broadcast.WSMessage)
    module("core.pubsub", PUBSUB)
    module("pipeline.core.pubsub", PUBSUB)
    endpoint, service = module("endpoint", ENDPOINT), module("service", SEND)

    async def main():
        events = await endpoint.subscribe("project.7")
        first = asyncio.ensure_future(events.__anext__())
        await until(lambda: place.daemon.streams(place.boss) == 1, "the stream")
        message = broadcast.WSMessage(type=broadcast.WSMessageTypeEnum.data, object={"id": 7, "é": "ж"})
        await service.send_event("project.8", message)
        await service.send_event("project.7", message)
        assert json.loads((await first)["data"]) == {"type": "data", "object": {"id": 7, "é": "ж"}}
        await service.send_event("project.7", broadcast.WSMessage("file", "text"))
        assert json.loads((await events.__anext__())["data"]) == {"type": "file", "object": "text"}
        await events.aclose()
        settings.TEST_MODE = True
        assert [e async for e in await endpoint.subscribe("x")] == [{"data": '{"type":"test","message":"SSE endpoint working"}'}]
    asyncio.run(main())


def test_a_broadcast_s_own_ways(place):
    async def main():
        compat.configure(place.url, place.boss)
        async with broadcast.Broadcast("redis://localhost:6379") as b:
            async with b.subscribe("test") as one, b.subscribe("test") as other:
                await b.publish("test", "plain words")
                for subscriber in (one, other):
                    event = await subscriber.get()
                    assert (event.channel, event.message) == ("test", "plain words")
                await broadcast.send_event("test", broadcast.WSMessage("task", {"progress": 100}))
                assert json.loads((await one.get()).message)["object"] == {"progress": 100}
        refused = broadcast.Broadcast(place.url, token="nobody")
        with pytest.raises(broadcast.Refused, match="401"):
            async with refused.subscribe("test"):
                pass
        await refused.disconnect()
        with pytest.raises(ValueError):
            broadcast.WSMessage("no such type", {})
    asyncio.run(main())
    wait_until(lambda: place.daemon.streams(place.boss) == 0, "no stream is left")


def test_the_types_of_messages():
    """Those that there are, and nothing else; a document goes through as it is."""
    types = ["task", "data", "file", "entity", "scene", "render_progress", "render_result"]
    assert [t.value for t in broadcast.WSMessageTypeEnum] == types
    for kind in types:
        assert broadcast.WSMessage.model_validate_json(broadcast.WSMessage(kind, "text").model_dump_json()).type == kind
    task = {"id": "7", "status": "completed", "progress": 100, "result_url": "https://example.com/result.mp4"}
    assert json.loads(broadcast.WSMessage("task", task).model_dump_json()) == {"type": "task", "object": task}
    for kind, thing in (("render", {}), ("task", 7), ("task", None)):
        with pytest.raises((ValueError, TypeError)):
            broadcast.WSMessage(kind, thing)


ALIASES = [("event", """
# В app/schemas/event.py
SSEEvent = StreamEvent
SSEEventType = StreamEventType
"""), ("stream_manager", """
# В app/core/stream_manager.py
SSEManager = StreamManager
get_sse_manager = get_stream_manager
""")]


@pytest.mark.parametrize("file, lines", ALIASES)
def test_the_aliases_as_they_stand(file, lines):
    """Below one line, the import, they are an application's file; who imports from it goes on."""
    names = {}
    exec("from pgherald.compat.manager import *\n" + lines, names)
    for old in [line.split(" = ") for line in lines.splitlines() if " = " in line]:
        assert names[old[0]] is names[old[1]] is getattr(manager, old[0])


@pytest.mark.parametrize("names", [("StreamManager", "StreamConnection", "StreamEvent", "StreamEventType", "get_stream_manager"),
                                   ("SSEManager", "SSEConnection", "SSEEvent", "SSEEventType", "get_sse_manager")])
def test_managers_by_both_names(place, names):
    """The same file with both sets of names: one class behind each pair."""
    Manager, Connection, Event, Type, get = (getattr(manager, n) for n in names)
    assert manager.SSEManager is manager.StreamManager and manager.SSEEvent is manager.StreamEvent
    assert manager.SSEEventType is manager.StreamEventType and get() is manager.get_stream_manager()

    async def main():
        bus, told = manager.EventBus(), []
        m = Manager(bus, compat.gateway().publisher())
        bus.subscribe("task.progress", told.append)
        c = Connection("client", "session", {"task.*"})
        assert (c.client_id, c.session_id, c.subscriptions) == ("client", "session", {"task.*"})
        m.register_connection("client", c)
        wire = Client(place.daemon, place.anna, path="/sse/connect", parser=Raw())
        wire.read_until(lambda: b"retry" in wire.raw_body, "the stream")
        event = Event("task.progress", {"task_id": "123", "progress": 50}, id=names[0], retry=5000)
        await m.broadcast_event(Event("other", 1))
        await m.broadcast_event(event)
        assert (await c.__anext__()) is event and told == [{"task_id": "123", "progress": 50}]
        c.unsubscribe("task.*")
        c.subscribe("chat")
        assert await m.send_to_client("client", event) and not await m.send_to_client("nobody", event)
        assert c.queue.empty() and {"task.progress"} == set(m.event_bus.subscribers)
        bus.unsubscribe("task.progress", told.append)
        m.unregister_connection("client")
        assert [e async for e in c] == [] and c.closed and m.connections == {}
        await asyncio.get_running_loop().run_in_executor(None, lambda: wire.read_until(
            lambda: b'"progress": 50' in wire.raw_body, "the event of the gateway"))
        wire.close()
        slow = Connection("slow")
        for i in range(200):
            await slow.send_event(Event("x", i))
        assert slow.closed and len([e async for e in slow]) == 100
    asyncio.run(main())
    assert Event("task.progress", {"a": "ж"}, "1234567890", 5000).to_sse_format() == (
        'event: task.progress\ndata: {"a": "ж"}\nid: 1234567890\nretry: 5000\n\n')
    assert Event(Type.task_started, payload=1).to_ndjson() == '{"event_type": "task_started", "payload": 1}\n'
    with contextlib.suppress(KeyError), pytest.raises(ValueError):
        Event("a\nb")
