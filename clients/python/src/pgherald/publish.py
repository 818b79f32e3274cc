# SPDX-License-Identifier: PostgreSQL
"""Messages that are posted. The answer comes after the commit; what has an id may be sent again."""

from __future__ import annotations

import asyncio
import json
import time
from contextlib import suppress
from typing import Any, Dict, Mapping, Optional, Union
from urllib.parse import urljoin

import httpx

from .types import NotPublished

TRIES = 5  # of a message that has an id
TIMEOUT_S = 30.0


class Publisher:
    """`url` is that of the routes, or their origin: `Publisher("https://example.org/", token=…)`."""

    def __init__(
        self,
        url: str,
        *,
        token: Optional[str] = None,
        headers: Optional[Mapping[str, str]] = None,
        send_path: str = "/sse/send-to-channel",
        broadcast_path: str = "/ws/broadcast",
        verify: Union[bool, str] = True,
        transport: Any = None,
        pause: float = 0.5,
    ) -> None:
        self._send, self._all = urljoin(url, send_path), urljoin(url, broadcast_path)
        self._headers = {**(headers or {}), **({"Authorization": "Bearer " + token} if token else {})}
        self._verify, self._transport, self._pause = verify, transport, pause

    def publish(self, channel: Optional[str], type: str, data: Any, **more: Any) -> int:
        """The message's number. Of everybody when `channel` is None. `id`: its key, it is told once however
        often it is posted; `persist=True`: kept for who comes later, and needs an id."""
        url, body = self._message(channel, type, data, more)
        return self.post(url, body)

    async def apublish(self, channel: Optional[str], type: str, data: Any, **more: Any) -> int:
        url, body = self._message(channel, type, data, more)
        return await self.apost(url, body)

    def _message(self, channel: Optional[str], type: str, data: Any, more: Dict[str, Any]) -> tuple[str, Any]:
        unknown = set(more) - {"id", "persist", "user_id"}
        if unknown:
            raise TypeError(f"no such argument: {', '.join(sorted(unknown))}")
        to = {} if channel is None else {"channel": channel}
        body = {**to, "event": type, "data": data, **{k: v for k, v in more.items() if v is not None}}
        return (self._all if channel is None and not more.get("user_id") else self._send), body

    def post(self, url: str, body: Any) -> int:
        with httpx.Client(**self._options()) as client:
            for left in self._tries(body):
                try:
                    return self._number(client.post(url, content=json.dumps(body), headers=self._content()))
                except httpx.HTTPError as error:
                    self._again(left, 0, str(error) or type(error).__name__)
                except NotPublished as error:
                    self._again(left, error.status, error.message)
                time.sleep(self._pause * (TRIES - left))
        raise AssertionError

    async def apost(self, url: str, body: Any) -> int:
        async with httpx.AsyncClient(**self._options()) as client:
            for left in self._tries(body):
                try:
                    answer = await client.post(url, content=json.dumps(body), headers=self._content())
                    return self._number(answer)
                except httpx.HTTPError as error:
                    self._again(left, 0, str(error) or type(error).__name__)
                except NotPublished as error:
                    self._again(left, error.status, error.message)
                await asyncio.sleep(self._pause * (TRIES - left))
        raise AssertionError

    def _options(self) -> Dict[str, Any]:
        return {"verify": self._verify, "transport": self._transport, "timeout": TIMEOUT_S}

    def _content(self) -> Dict[str, str]:
        return {**self._headers, "Content-Type": "application/json"}

    def _tries(self, body: Any) -> range:
        has_id = body.get("id") is not None or (body.get("message") or {}).get("id") is not None
        return range(TRIES - 1 if has_id else 0, -1, -1)

    def _number(self, answer: httpx.Response) -> int:
        if answer.status_code == 201:
            return int(answer.json()["id"])
        text = answer.text.strip()
        with suppress(ValueError, KeyError, TypeError):
            text = str(answer.json()["detail"])
        raise NotPublished(answer.status_code, text)

    def _again(self, left: int, status: int, message: str) -> None:
        # What is wrong with the message is wrong the next time, too.
        if not left or status not in (0, 429, 502, 503):
            raise NotPublished(status, message) from None
