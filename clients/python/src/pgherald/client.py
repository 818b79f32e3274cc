# SPDX-License-Identifier: PostgreSQL
"""The client: one stream at a time, read by `for` or by `async for`, that goes on whatever breaks."""

from __future__ import annotations

import asyncio
import inspect
import json
import threading
from socket import timeout as socket_timeout
from typing import (
    AsyncGenerator,
    AsyncIterator,
    Callable,
    Generator,
    Iterator,
    List,
    Optional,
    Sequence,
    Union,
)

from .keeper import CLOSED, CONNECT_S, DETAIL_MAX, Ended, Keeper, log
from .ladder import Via
from .types import Event, Retry, Status, Token
from .websocket import AsyncWebSocket, Closed, Denied, WebSocket

try:
    import httpx
except ImportError as error:  # pragma: no cover
    raise ImportError("pgherald's client needs httpx: pip install 'pgherald[httpx]'") from error


class Herald:
    """A stream of events of one user.

    `token` is a text, or a function (a coroutine function, for `async for`) that is called with the
    reason and gives one: once, and once more when the daemon says 401. Without it `headers` say who it is,
    a session's cookie for instance. `renew` is the daemon's route of renewals (`/auth/renew`): told that
    its token ends, the client asks the function for another one ("expired") and the stream goes on; a
    WebSocket needs no route for it. `position` is an event's, from an earlier run: what has happened since
    comes first. `via` is a transport, or several, of which the next is taken where one does not come through
    (`ladder.ALL`). `transport` is httpx's, of a proxy or a test; a WebSocket goes past it."""

    def __init__(
        self,
        url: str,
        *,
        token: Optional[Token] = None,
        position: str = "",
        retry: Retry = Retry(),  # noqa: B008 frozen
        renew: str = "",
        headers: Optional[dict[str, str]] = None,
        via: Union[Via, Sequence[Via]] = "sse",
        channels: Sequence[str] = (),
        verify: Union[bool, str] = True,
        transport: Optional[Union[httpx.BaseTransport, httpx.AsyncBaseTransport]] = None,
    ) -> None:
        self._url, self._token, self._headers = httpx.URL(url), token, dict(headers or {})
        self._verify, self._transport = verify, transport
        self._keeper = Keeper(position, retry, via=via)
        self._keeper.channels = checked(channels)
        self._renew = self._url.join(renew) if renew else None
        self._changed = threading.Event()  # the channels, so that another stream is wanted
        self._say: Optional[Callable[[str], None]] = None  # while it is a WebSocket
        self._closed = threading.Event()
        self._listening = False

    @property
    def status(self) -> Status:
        return self._keeper.status

    @property
    def position(self) -> str:
        """After the last event that was handed out."""
        return self._keeper.position

    def subscribe(self, changed: Callable[[Status], object]) -> Callable[[], None]:
        """Calls it with each new status, from where the events are read; what it returns ends that."""
        key = object()
        self._keeper.watchers[key] = changed
        return lambda: void(self._keeper.watchers.pop(key, None))

    def events(self, *types: str, start: bool = False) -> Events:
        """For `for` or `async for`: the events of these types (`order.updated`, `order.*`; none: all).

        `start`: begin with a `system.resync` of reason "start" and topics ["*"] as soon as the stream is
        there, unless it goes on from a position. What is loaded then misses nothing."""
        return Events(self, types or ("*",), start)

    @property
    def channels(self) -> Sequence[str]:
        return tuple(self._keeper.channels)

    def join(self, *channels: str) -> None:
        """Hears these as well. A stream that is open goes on from its place by another one, as soon as the
        next bytes come; a WebSocket at once, which for `async for` is to be said in the loop's thread. A
        channel that the role may not hear raises `Refused` where the events are read."""
        more = [c for c in checked(channels) if c not in self._keeper.channels]
        self._keeper.channels += more
        self._turn("subscribe", more)

    def leave(self, *channels: str) -> None:
        less = [c for c in channels if c in self._keeper.channels]
        self._keeper.channels = [c for c in self._keeper.channels if c not in less]
        self._turn("unsubscribe", less)

    def _turn(self, action: str, channels: Sequence[str]) -> None:
        say = self._say
        if channels and say:
            say(json.dumps({"action": action, "data": {"channels": list(channels)}, "request_id": action}))
        elif channels and self._listening:
            self._changed.set()

    def close(self) -> None:
        """For good: the loop ends with the next bytes, or at once when it waits. From any thread."""
        self._closed.set()

    # --- what both ways share ----------------------------------------------------------------

    def _begin(self) -> None:
        if self._listening:
            raise RuntimeError("this Herald is being listened to already; make another one")
        self._listening = True
        websocket = "websocket" in self._keeper.ladder.rungs
        self._keeper.renews = callable(self._token) and (self._renew is not None or websocket)

    def _end(self) -> None:
        self._listening = False
        if self.status.state != "failed":
            self._keeper.show(state="closed" if self._closed.is_set() else "idle", retry_at=None)

    def _request(
        self, client: Union[httpx.Client, httpx.AsyncClient], read_s: Optional[float]
    ) -> httpx.Request:
        query, headers = self._keeper.request()
        return client.build_request(
            "GET",
            self._url.copy_merge_params(query),
            headers={**self._headers, **headers},
            timeout=httpx.Timeout(CONNECT_S, read=read_s),
        )

    def _handshake(self) -> tuple[str, dict[str, str]]:
        query, headers = self._keeper.request()
        return str(self._url.copy_merge_params(query)), {**self._headers, **headers}

    def _renewal(self, token: Optional[str]) -> Optional[httpx.Request]:
        """Hands it over by the WebSocket, or is the request that does."""
        keeper = self._keeper
        stream, keeper.expiring = keeper.expiring, None
        if not token or stream is None:
            return None
        if self._say:
            keeper.renewing = token
            self._say(json.dumps({"action": "renew", "data": {"token": token}, "request_id": "renew"}))
            return None
        if self._renew is None:
            return None
        headers = {**self._headers, "Authorization": "Bearer " + token}
        return httpx.Request("POST", self._renew.copy_merge_params({"stream": stream}), headers=headers)

    def _denied(self, end: Union[Denied, Closed]) -> Ended:
        if isinstance(end, Closed):
            return Ended(CLOSED.get(end.code, 0), str(end))
        return self._keeper.refused(end.status, end.body, end.after)

    def _no_token(self) -> Ended:
        return Ended(401, "there is no token")


class Events:
    """What events() gives. Each loop over it goes on where the last one stopped."""

    def __init__(self, herald: Herald, types: Sequence[str], start: bool) -> None:
        self._herald, self._types, self._start = herald, types, start

    def __iter__(self) -> Iterator[Event]:
        return _run(self._herald, self._types, self._start)

    def __aiter__(self) -> AsyncIterator[Event]:
        return _arun(self._herald, self._types, self._start)


def _run(herald: Herald, types: Sequence[str], start: bool) -> Iterator[Event]:
    keeper, closed = herald._keeper, herald._closed
    assert not isinstance(herald._transport, httpx.AsyncBaseTransport) or isinstance(
        herald._transport, httpx.BaseTransport
    ), "this transport is for `async for`"
    herald._begin()
    try:
        with httpx.Client(transport=herald._transport, verify=herald._verify) as client:
            while not closed.is_set():
                read_s = keeper.ladder.patience_s(keeper.idle_s)
                herald._changed.clear()
                try:
                    if herald._token and not keeper.token:
                        keeper.token = _ask(herald)
                        if not keeper.token:
                            raise herald._no_token()
                    pieces = (
                        _texts(herald)
                        if keeper.ladder.now == "websocket"
                        else _answer(herald, client, read_s)
                    )
                    try:
                        for piece in pieces:
                            for event in keeper.feed(piece, types, start):
                                yield event
                                if closed.is_set():
                                    return
                            if closed.is_set():
                                return
                            if keeper.expiring:
                                _renewed(herald, client)
                            if herald._changed.is_set():
                                break
                        else:
                            keeper.complete()
                        continue
                    finally:
                        pieces.close()
                except httpx.ReadTimeout:
                    # The keep-alive was not known yet when the time-out was set.
                    pause = 0.0 if keeper.idle_s > read_s else keeper.ended(Ended(0, "silent"), False)
                except (httpx.HTTPError, ValueError, OSError) as error:
                    pause = keeper.ended(Ended(0, str(error) or type(error).__name__), False)
                except (Denied, Closed) as end:
                    pause = keeper.ended(herald._denied(end), callable(herald._token))
                except Ended as end:
                    pause = keeper.ended(end, callable(herald._token))
                closed.wait(pause)
    finally:
        herald._end()


def _answer(herald: Herald, client: httpx.Client, read_s: float) -> Generator[bytes, None, None]:
    """What one request brings."""
    keeper = herald._keeper
    response = client.send(herald._request(client, read_s), stream=True)
    try:
        if response.status_code != 200:
            body = next(response.iter_bytes(DETAIL_MAX * 4), b"")
            raise keeper.refused(response.status_code, body, response.headers.get("Retry-After"))
        keeper.answered(200, response.headers.get("Content-Type", ""))
        yield from response.iter_bytes()
    finally:
        response.close()


def _texts(herald: Herald) -> Generator[bytes, None, None]:
    """The same from a WebSocket, a text a line."""
    keeper = herald._keeper
    url, headers = herald._handshake()
    socket = WebSocket(url, headers, herald._verify, CONNECT_S)
    herald._say = socket.send
    try:
        while True:
            try:
                texts = socket.receive(keeper.ladder.patience_s(keeper.idle_s))
            except socket_timeout:
                raise Ended(0, "silent") from None
            yield b"".join(text + b"\n" for text in texts)
    finally:
        herald._say = None
        socket.close()


def _ask(herald: Herald) -> Optional[str]:
    if not callable(herald._token):
        return herald._token
    token = herald._token(herald._keeper.reason)
    if inspect.isawaitable(token):
        if inspect.iscoroutine(token):
            token.close()
        raise TypeError("a token from a coroutine is for `async for`")
    return token


def _renewed(herald: Herald, client: httpx.Client) -> None:
    """What goes wrong here is told by the stream's end."""
    try:
        token = _ask(herald)
        request = herald._renewal(token)
        if request and client.send(request).status_code == 200:
            herald._keeper.token = token
    except Exception:
        log.exception("the stream was not renewed")


async def _arenewed(herald: Herald, client: httpx.AsyncClient) -> None:
    try:
        token = await _aask(herald)
        request = herald._renewal(token)
        if request and (await client.send(request)).status_code == 200:
            herald._keeper.token = token
    except Exception:
        log.exception("the stream was not renewed")


async def _arun(herald: Herald, types: Sequence[str], start: bool) -> AsyncIterator[Event]:
    keeper, closed = herald._keeper, herald._closed
    assert not isinstance(herald._transport, httpx.BaseTransport) or isinstance(
        herald._transport, httpx.AsyncBaseTransport
    ), "this transport is for `for`"
    herald._begin()
    try:
        async with httpx.AsyncClient(transport=herald._transport, verify=herald._verify) as client:
            while not closed.is_set():
                pause = 0.0
                herald._changed.clear()
                try:
                    if herald._token and not keeper.token:
                        keeper.token = await _aask(herald)
                        if not keeper.token:
                            raise herald._no_token()
                    websocket = keeper.ladder.now == "websocket"
                    pieces = _atexts(herald) if websocket else _aanswer(herald, client)
                    try:
                        async for piece in pieces:
                            for event in keeper.feed(piece, types, start):
                                yield event
                                if closed.is_set():
                                    return
                            if closed.is_set():
                                return
                            if keeper.expiring:
                                await _arenewed(herald, client)
                            if herald._changed.is_set():
                                break
                        else:
                            keeper.complete()
                        continue
                    finally:
                        await pieces.aclose()
                except asyncio.TimeoutError:
                    pause = keeper.ended(Ended(0, "silent"), False)
                except (httpx.HTTPError, ValueError, OSError) as error:
                    pause = keeper.ended(Ended(0, str(error) or type(error).__name__), False)
                except (Denied, Closed) as end:
                    pause = keeper.ended(herald._denied(end), callable(herald._token))
                except Ended as end:
                    pause = keeper.ended(end, callable(herald._token))
                await _pause(closed, pause)
    finally:
        herald._end()


async def _aanswer(herald: Herald, client: httpx.AsyncClient) -> AsyncGenerator[bytes, None]:
    keeper = herald._keeper
    # Silence is noticed here, since only the greeting says how long it may last.
    response = await asyncio.wait_for(client.send(herald._request(client, None), stream=True), keeper.idle_s)
    try:
        if response.status_code != 200:
            body = await asyncio.wait_for(response.aread(), CONNECT_S)
            raise keeper.refused(response.status_code, body, response.headers.get("Retry-After"))
        keeper.answered(200, response.headers.get("Content-Type", ""))
        pieces = response.aiter_bytes().__aiter__()
        while True:
            try:
                piece = await asyncio.wait_for(pieces.__anext__(), keeper.ladder.patience_s(keeper.idle_s))
            except StopAsyncIteration:
                return
            yield piece
    finally:
        await response.aclose()


async def _atexts(herald: Herald) -> AsyncGenerator[bytes, None]:
    keeper = herald._keeper
    url, headers = herald._handshake()
    socket = await AsyncWebSocket(url, headers, herald._verify).open(CONNECT_S)
    herald._say = socket.say
    try:
        while True:
            texts = await socket.receive(keeper.ladder.patience_s(keeper.idle_s))
            yield b"".join(text + b"\n" for text in texts)
    finally:
        herald._say = None
        await socket.close()


async def _aask(herald: Herald) -> Optional[str]:
    if not callable(herald._token):
        return herald._token
    token = herald._token(herald._keeper.reason)
    return await token if inspect.isawaitable(token) else token


async def _pause(closed: threading.Event, seconds: float) -> None:
    """close() may come from another thread, so it is looked for now and then."""
    loop = asyncio.get_running_loop()
    end = loop.time() + seconds
    while not closed.is_set() and loop.time() < end:
        await asyncio.sleep(min(0.1, end - loop.time()))


def checked(channels: Sequence[str]) -> List[str]:
    for name in channels:
        if not name or "," in name:
            raise ValueError(f"no name of a channel: {name!r}")
    return list(channels)


def void(_: object) -> None:
    return None
