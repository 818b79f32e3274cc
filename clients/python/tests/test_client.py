# SPDX-License-Identifier: PostgreSQL
"""The client against a daemon without a socket, by `for` and by `async for`: the same in both."""

import asyncio
import threading

import httpx
import pytest

from pgherald import Event, GaveUp, Herald, Refused, Retry
from pgherald.testing import FakeDaemon


def by_for(herald, n, *types, **options):
    got = []
    for event in herald.events(*types, **options):
        got.append(event)
        if len(got) == n:
            break
    return got


def by_async_for(herald, n, *types, **options):
    async def run():
        got = []
        stream = herald.events(*types, **options).__aiter__()
        try:
            async for event in stream:
                got.append(event)
                if len(got) == n:
                    break
        finally:
            await stream.aclose()
        return got

    return asyncio.run(asyncio.wait_for(run(), 60))


@pytest.fixture(params=[by_for, by_async_for], ids=["for", "async for"])
def take(request):
    """take(herald, n): the next n events."""
    return request.param


@pytest.fixture
def daemon():
    return FakeDaemon()


def at(daemon, position, *more):
    """A client that goes on from an event of this daemon."""
    return daemon.herald(position=f"fake.{position}", **dict(more))


def test_events_and_positions(daemon, take):
    for i in range(5):
        daemon.emit("order.updated", {"id": i}, timestamp=100 + i)
    got = take(at(daemon, 0), 3)
    assert got == [Event("order.updated", {"id": i}, 100 + i, None, f"fake.{i + 1}") for i in range(3)]
    assert daemon.streams == 0
    assert take(daemon.herald(position=got[1].position), 3) == [
        Event("order.updated", {"id": i}, 100 + i, None, f"fake.{i + 1}") for i in range(2, 5)
    ]


def test_a_second_loop_goes_on(daemon, take):
    for i in range(4):
        daemon.emit("order.created", i)
    herald = at(daemon, 0)
    assert [e.data for e in take(herald, 2)] == [0, 1]
    assert herald.status.state == "idle"
    assert [e.data for e in take(herald, 2)] == [2, 3]


def test_types(daemon, take):
    for kind in ("order.created", "invoice.created", "order.deleted", "orders.created"):
        daemon.emit(kind, kind)
    daemon.resync("storm", "invoice")
    got = take(at(daemon, 0), 3, "order.*")
    assert [e.type for e in got] == ["order.created", "order.deleted", "system.resync"]
    assert [e.gone for e in got] == [False, True, False] and got[0].topic == "order"
    assert take(at(daemon, 0), 1, "invoice.created", "x.*")[0].data == "invoice.created"


def test_leave_is_gone(daemon, take):
    daemon.emit("order.updated", {"id": 1}, scope="leave")
    (event,) = take(at(daemon, 0), 1)
    assert event.gone and event.scope == "leave"


def test_start(daemon, take):
    """Once: a stream that goes on has missed nothing."""
    daemon.emit("order.created", "before")
    herald = daemon.herald()
    (event,) = take(herald, 1, start=True)
    assert event == Event("system.resync", {"reason": "start", "topics": ["*"]}, position="fake.1")
    daemon.emit("order.created", "after")
    assert [e.data for e in take(herald, 1, start=True)] == ["after"]


def in_background(act):
    thread = threading.Thread(target=act, daemon=True)
    thread.start()
    return thread


def test_cuts(daemon, take):
    """Emitted while nobody hears it, or everybody: each comes once, in order."""

    def act():
        for i in range(50):
            daemon.emit("order.created", i)
            if i % 7 == 3:
                daemon.cut()
            if i % 11 == 5:
                daemon.bye(retry_ms=1)
            if i % 13 == 6:
                daemon.refuse(502)

    daemon.emit("order.created", -1)
    thread = in_background(act)
    assert [e.data for e in take(at(daemon, 0), 51)] == list(range(-1, 50))
    thread.join()


def test_the_status(daemon, take):
    daemon.emit("order.created", 1)
    herald, seen = at(daemon, 0), []
    off = herald.subscribe(lambda status: seen.append((status.state, status.attempt, status.user)))
    herald.subscribe(lambda status: 1 / 0)
    daemon.refuse(503, times=2, retry_after=0, detail="Later.")
    take(herald, 1)
    assert seen == [
        ("connecting", 0, None),
        ("waiting", 1, None),
        ("connecting", 1, None),
        ("waiting", 2, None),
        ("connecting", 2, None),
        ("open", 0, "1"),
        *[s for s in seen if s == ("open", 0, "1")][1:],
        ("idle", 0, "1"),
    ]
    off()
    herald.close()
    assert take(herald, 1) == []
    assert herald.status.state == "closed" and seen[-1][0] == "idle"


def test_a_token_that_is_refused_is_asked_for_once(daemon, take):
    daemon.token, reasons = "right", []

    def token(reason):
        reasons.append(reason)
        return "wrong"

    with pytest.raises(Refused) as caught:
        take(daemon.herald(token=token), 1)
    assert (caught.value.status, caught.value.message) == (401, "Invalid token.")
    assert reasons == ["start", "refused"] and len(daemon.requests) == 2
    with pytest.raises(Refused):
        take(daemon.herald(token="wrong"), 1)
    assert len(daemon.requests) == 3
    with pytest.raises(Refused):
        take(daemon.herald(token=lambda reason: None), 1)
    assert len(daemon.requests) == 3


def test_a_token_that_ends(daemon, take):
    daemon.token, reasons = "first", []

    def token(reason):
        reasons.append(reason)
        if reason == "expired":
            daemon.token = "second"
        return daemon.token

    daemon.emit("order.created", 1)
    herald = at(daemon, 0, ("token", token))
    assert take(herald, 1)[0].data == 1
    daemon.token = "renewed by somebody else"
    daemon.emit("order.created", 2)
    assert take(herald, 1)[0].data == 2
    assert reasons == ["start", "expired"]
    assert all("right" not in str(r.url) for r in daemon.requests)


def test_another_token_before_it_ends(daemon, take):
    daemon.token, reasons = "token 1", []

    def token(reason):
        reasons.append(reason)
        return f"token {len(reasons)}"

    daemon.emit("order.created", 1)
    daemon.emit("system.expiring", {"stream": "0.12", "seconds": 60})
    daemon.emit("order.created", 2)
    herald = at(daemon, 0, ("token", token), ("renew", "/auth/renew"))
    assert [e.data for e in take(herald, 2, "order.*")] == [1, 2]  # the notice is the client's affair
    assert reasons == ["start", "expired"]
    _stream, renewal = daemon.requests
    assert (renewal.method, str(renewal.url)) == ("POST", "http://pgherald.test/auth/renew?stream=0.12")
    assert renewal.headers["Authorization"] == "Bearer token 2" == "Bearer " + daemon.token
    daemon.emit("order.created", 3)
    assert take(herald, 1, "order.*")[0].data == 3  # and the next stream begins with it
    assert daemon.requests[2].headers["Authorization"] == "Bearer token 2"


@pytest.mark.parametrize("given", ["refused", None, ZeroDivisionError])
def test_a_renewal_in_vain_ends_nothing(daemon, take, given):
    def token(reason):
        if reason == "start":
            return "right"
        if given is ZeroDivisionError:
            raise given
        return given

    daemon.token = "right"
    daemon.emit("system.expiring", {"stream": "0.12", "seconds": 60})
    daemon.emit("order.created", 1)
    herald = at(daemon, 0, ("token", token), ("renew", "http://pgherald.test/auth/renew"))
    if given == "refused":
        original = daemon.handle_request, daemon.handle_async_request

        def refuse(request):
            if request.method == "POST":
                return httpx.Response(401, json={"detail": "Invalid token."})
            return original[0](request)

        async def arefuse(request):
            if request.method == "POST":
                return httpx.Response(401, json={"detail": "Invalid token."})
            return await original[1](request)

        daemon.handle_request, daemon.handle_async_request = refuse, arefuse
    assert take(herald, 1, "order.*")[0].data == 1
    assert herald._keeper.token == "right"


def test_the_notice_is_told_to_who_does_not_renew(daemon, take):
    daemon.emit("system.expiring", {"stream": "0.12", "seconds": 60})
    for token in ("x", lambda reason: "x"):
        assert take(at(daemon, 0, ("token", token)), 1)[0].type == "system.expiring"


def test_a_token_from_a_coroutine(daemon):
    daemon.token = "right"
    daemon.emit("order.created", 1)

    async def token(reason):
        return "right"

    assert by_async_for(at(daemon, 0, ("token", token)), 1)[0].data == 1
    with pytest.raises(TypeError):
        by_for(at(daemon, 0, ("token", token)), 1)


@pytest.mark.parametrize("status", [204, 403])
def test_final(daemon, take, status):
    daemon.refuse(status, detail="Your role may not.")
    herald = daemon.herald()
    with pytest.raises(Refused) as caught:
        take(herald, 1)
    assert caught.value.status == status and herald.status.state == "failed"
    assert herald.status.error.status == status


def test_attempts(daemon, take):
    daemon.refuse(502, times=9)
    herald = daemon.herald(retry=Retry(min=0, max=0, attempts=3))
    with pytest.raises(GaveUp):
        take(herald, 1)
    assert len(daemon.requests) == 3 and herald.status.state == "failed"
    daemon.emit("order.created", 1)
    herald = at(daemon, 0, ("retry", Retry(min=0, max=0, attempts=7)))
    assert take(herald, 1)[0].data == 1, "the other six, then it is there"


def test_no_event_stream(daemon, take):
    """A page that says 200 to every path."""

    class Login(httpx.BaseTransport, httpx.AsyncBaseTransport):
        def handle_request(self, request):
            return httpx.Response(200, html="<form>")

        async def handle_async_request(self, request):
            return httpx.Response(200, html="<form>")

    herald = Herald("http://x.test/", transport=Login(), retry=Retry(min=0, max=0, attempts=2))
    with pytest.raises(GaveUp, match="text/html"):
        take(herald, 1)


def test_two_at_once(daemon):
    daemon.emit("order.created", 1)
    herald = at(daemon, 0)
    stream = iter(herald.events())
    next(stream)
    with pytest.raises(RuntimeError):
        next(iter(herald.events()))
    stream.close()
    assert daemon.streams == 0


def test_close_from_elsewhere(daemon, take):
    herald = daemon.herald(retry=Retry(min=3600, max=3600))
    daemon.refuse(502)
    herald.subscribe(lambda status: status.state == "waiting" and herald.close())
    assert take(herald, 1) == []
    assert herald.status.state == "closed"


def test_a_position_in_a_url_with_a_query(daemon, take):
    daemon.emit("order.created", 1)
    herald = Herald("http://x.test/events/?types=order.*", transport=daemon, position="fake.0")
    take(herald, 1)
    assert dict(daemon.requests[0].url.params) == {
        "types": "order.*",
        "hello": "full",
        "last_event_id": "fake.0",
    }
