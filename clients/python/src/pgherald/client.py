# SPDX-License-Identifier: PostgreSQL
"""The client: one stream at a time, read by `for` or by `async for`, that goes on whatever breaks."""

from __future__ import annotations

import asyncio
import inspect
import threading
from typing import AsyncIterator, Callable, Iterator, Optional, Sequence, Union

from .keeper import CONNECT_S, DETAIL_MAX, Ended, Keeper
from .types import Event, Retry, Status, Token

try:
    import httpx
except ImportError as error:  # pragma: no cover
    raise ImportError("pgherald's client needs httpx: pip install 'pgherald[httpx]'") from error


class Herald:
    """A stream of events of one user.

    `token` is a text, or a function (a coroutine function, for `async for`) that is called with the
    reason and gives one: once, and once more when the daemon says 401. Without it `headers` say who it is,
    a session's cookie for instance. `position` is an event's, from an earlier run: what has happened since
    comes first. `transport` is httpx's, of a proxy or a test."""

    def __init__(
        self,
        url: str,
        *,
        token: Optional[Token] = None,
        position: str = "",
        retry: Retry = Retry(),  # noqa: B008 frozen
        headers: Optional[dict[str, str]] = None,
        verify: Union[bool, str] = True,
        transport: Optional[Union[httpx.BaseTransport, httpx.AsyncBaseTransport]] = None,
    ) -> None:
        self._url, self._token, self._headers = httpx.URL(url), token, dict(headers or {})
        self._verify, self._transport = verify, transport
        self._keeper = Keeper(position, retry)
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

    def close(self) -> None:
        """For good: the loop ends with the next bytes, or at once when it waits. From any thread."""
        self._closed.set()

    # --- what both ways share ----------------------------------------------------------------

    def _begin(self) -> None:
        if self._listening:
            raise RuntimeError("this Herald is being listened to already; make another one")
        self._listening = True

    def _end(self) -> None:
        self._listening = False
        if self.status.state != "failed":
            self._keeper.show(state="closed" if self._closed.is_set() else "idle", retry_at=None)

    def _request(
        self, client: Union[httpx.Client, httpx.AsyncClient], read_s: Optional[float]
    ) -> httpx.Request:
        self._keeper.show(state="connecting")
        query, headers = self._keeper.request()
        return client.build_request(
            "GET",
            self._url.copy_merge_params(query),
            headers={**self._headers, **headers},
            timeout=httpx.Timeout(CONNECT_S, read=read_s),
        )

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
                read_s = keeper.idle_s
                try:
                    if herald._token and not keeper.token:
                        keeper.token = _ask(herald)
                        if not keeper.token:
                            raise herald._no_token()
                    response = client.send(herald._request(client, read_s), stream=True)
                    try:
                        if response.status_code != 200:
                            body = next(response.iter_bytes(DETAIL_MAX * 4), b"")
                            after = response.headers.get("Retry-After")
                            raise keeper.refused(response.status_code, body, after)
                        keeper.answered(200, response.headers.get("Content-Type", ""))
                        for piece in response.iter_bytes():
                            for event in keeper.feed(piece, types, start):
                                yield event
                                if closed.is_set():
                                    return
                            if closed.is_set():
                                return
                        raise Ended(200, "the stream has ended")
                    finally:
                        response.close()
                except httpx.ReadTimeout:
                    # The keep-alive was not known yet when the time-out was set.
                    pause = 0.0 if keeper.idle_s > read_s else keeper.ended(Ended(0, "silent"), False)
                except (httpx.HTTPError, ValueError) as error:
                    pause = keeper.ended(Ended(0, str(error) or type(error).__name__), False)
                except Ended as end:
                    pause = keeper.ended(end, callable(herald._token))
                closed.wait(pause)
    finally:
        herald._end()


def _ask(herald: Herald) -> Optional[str]:
    if not callable(herald._token):
        return herald._token
    token = herald._token(herald._keeper.reason)
    if inspect.isawaitable(token):
        if inspect.iscoroutine(token):
            token.close()
        raise TypeError("a token from a coroutine is for `async for`")
    return token


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
                try:
                    if herald._token and not keeper.token:
                        keeper.token = await _aask(herald)
                        if not keeper.token:
                            raise herald._no_token()
                    # Silence is noticed here, since only the greeting says how long it may last.
                    response = await client.send(herald._request(client, None), stream=True)
                    try:
                        if response.status_code != 200:
                            body = await asyncio.wait_for(response.aread(), CONNECT_S)
                            after = response.headers.get("Retry-After")
                            raise keeper.refused(response.status_code, body, after)
                        keeper.answered(200, response.headers.get("Content-Type", ""))
                        pieces = response.aiter_bytes().__aiter__()
                        while not closed.is_set():
                            try:
                                piece = await asyncio.wait_for(pieces.__anext__(), keeper.idle_s)
                            except StopAsyncIteration:
                                raise Ended(200, "the stream has ended") from None
                            for event in keeper.feed(piece, types, start):
                                yield event
                                if closed.is_set():
                                    return
                    finally:
                        await response.aclose()
                except asyncio.TimeoutError:
                    pause = keeper.ended(Ended(0, "silent"), False)
                except (httpx.HTTPError, ValueError) as error:
                    pause = keeper.ended(Ended(0, str(error) or type(error).__name__), False)
                except Ended as end:
                    pause = keeper.ended(end, callable(herald._token))
                await _pause(closed, pause)
    finally:
        herald._end()


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


def void(_: object) -> None:
    return None
