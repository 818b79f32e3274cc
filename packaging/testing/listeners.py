# SPDX-License-Identifier: PostgreSQL
"""Streams that listen and come back like an EventSource, and what each of them heard.

    listeners.py COUNT [PORT [PERCENT]]

So many of a hundred are SSE (all, unless it is said), of the others one half are NDJSON and one WebSockets.
Every second one is the staff's, who hears of all orders, the others are customers'. /run/listeners
says how they are once a second: "connected 200". At SIGTERM the orders in /run/writers/expected, lines
"NUMBER CUSTOMER", must have been heard by whom they concern, each once; the verdict is the last
line of /run/listeners and the exit status."""

import asyncio
import base64
import collections
import json
import os
import random
import signal
import sys

COUNT, PORT = int(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 8080
SSE_PERCENT = int(sys.argv[3]) if len(sys.argv) > 3 else 100
PATIENCE_S = 90
TEXT, CLOSE, PING, PONG = 1, 8, 9, 10
state = collections.Counter()


class Listener:
    def __init__(self, i):
        self.user = 1 if i % 2 else 2 + i // 2 % 99
        # Of each hundred in a row, in turns with the users: two by two.
        kind = i // 2 * 37 % 100
        self.kind = "sse" if kind < SSE_PERCENT else ("ndjson", "websocket")[kind % 2]
        self.old_http = i % 3 == 0 and self.kind != "websocket"  # without chunks
        self.last_id, self.heard, self.opened = None, collections.Counter(), 0

    async def run(self):
        while True:
            try:
                await self.listen()
            except (OSError, asyncio.IncompleteReadError, ValueError) as e:
                state[type(e).__name__] += 1
            await asyncio.sleep(0.1 + random.random() / 2)

    async def listen(self):
        reader, writer = await asyncio.open_connection("127.0.0.1", PORT)
        try:
            lines = [f"GET /api/v1/sse/events/ HTTP/1.{0 if self.old_http else 1}", "Host: x",
                     f"Authorization: Token token{self.user}", *self.asks_for()]
            lines += [f"Last-Event-ID: {self.last_id}"] if self.last_id else []
            writer.write(("\r\n".join(lines) + "\r\n\r\n").encode())
            head = await reader.readuntil(b"\r\n\r\n")
            if (b" 101 " if self.kind == "websocket" else b" 200 ") not in head.split(b"\r\n")[0]:
                raise ValueError(head)
            self.opened += 1
            state["connected"] += 1
            state["connected " + self.kind] += 1
            try:
                if self.kind == "websocket":
                    await self.read_frames(reader, writer)
                else:
                    await self.read(reader, b"chunked" in head)
            finally:
                state["connected"] -= 1
                state["connected " + self.kind] -= 1
        finally:
            writer.close()

    def asks_for(self):
        if self.kind == "ndjson":
            return ["Accept: application/x-ndjson"]
        if self.kind == "websocket":
            return ["Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13",
                    "Sec-WebSocket-Key: " + base64.b64encode(os.urandom(16)).decode()]
        return []

    async def read_frames(self, reader, writer):
        while True:
            head = await reader.readexactly(2)
            size = head[1] & 0x7f
            if size >= 126:
                size = int.from_bytes(await reader.readexactly(2 if size == 126 else 8), "big")
            data = await reader.readexactly(size)
            opcode = head[0] & 0xf
            if opcode == TEXT:
                self.take_object(data)
            elif opcode == PING:  # of an empty payload; the mask is four zeroes
                writer.write(bytes([0x80 | PONG, 0x80, 0, 0, 0, 0]))
            elif opcode == CLOSE:
                return

    async def read(self, reader, chunked):
        rest = b""
        while True:
            if chunked:
                size = int(await reader.readuntil(b"\r\n"), 16)
                data = (await reader.readexactly(size + 2))[:-2]
                if not size:
                    return
            else:
                data = await reader.read(65536)
                if not data:
                    return
            *messages, rest = (rest + data).split(b"\n" if self.kind == "ndjson" else b"\n\n")
            for message in messages:
                if self.kind == "ndjson":
                    self.take_object(message)
                else:
                    self.take(message)

    def take(self, message):
        fields = dict(line.split(b": ", 1) for line in message.split(b"\n") if b": " in line)
        if b"data" in fields:
            self.take_event(json.loads(fields[b"data"]))
        if b"id" in fields:
            self.last_id = fields[b"id"].decode()

    def take_object(self, text):
        if event := json.loads(text):
            self.take_event(event)
            self.last_id = event.get("id", self.last_id)

    def take_event(self, event):
        if event["event"] == "system.resync":
            state["resync " + event["data"]["reason"]] += 1
        elif event["event"].startswith("order."):
            self.heard[event["data"]["number"]] += 1


def report(more=""):
    with open("/run/listeners.new", "w") as f:
        for key, n in sorted(state.items()):
            print(key, n, file=f)
        if more:
            print(more, file=f)
    os.rename("/run/listeners.new", "/run/listeners")


def expected():
    with open("/run/writers/expected") as f:
        rows = [line.split() for line in f]
    own = collections.defaultdict(set)
    for number, customer in rows:
        own[int(customer)].add(number)
    own[1] = {number for number, _ in rows}
    return own


async def main():
    listeners = [Listener(i) for i in range(COUNT)]
    ended = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, ended.set)
    tasks = []
    for i, one in enumerate(listeners):
        tasks.append(asyncio.create_task(one.run()))
        if i % 100 == 99:
            await asyncio.sleep(0.05)
    while not ended.is_set():
        state["opened"] = sum(one.opened for one in listeners)
        report()
        await asyncio.sleep(0.5)
    want = expected()
    for _ in range(PATIENCE_S * 10):
        lost = sum(len(want[one.user] - one.heard.keys()) for one in listeners)
        if not lost:
            break
        await asyncio.sleep(0.1)
    state["opened"] = sum(one.opened for one in listeners)
    state["opened by staff"] = sum(one.opened for one in listeners if one.user == 1)
    state["heard"] = sum(sum(one.heard.values()) for one in listeners)
    doubled = sum(n - 1 for one in listeners for n in one.heard.values())
    others = sum(len(one.heard.keys() - want[one.user]) for one in listeners)
    good = not (lost or doubled or others)
    report(f"{'good' if good else 'bad'}: {lost} lost, {doubled} doubled, {others} of others")
    return 0 if good else 1


sys.exit(asyncio.run(main()))
