#!/usr/bin/python3
# SPDX-License-Identifier: PostgreSQL
"""What Pushpin asks about each stream: it is told to hold it open, on the channel ?token= names."""

import asyncio
import re
import sys


class Origin(asyncio.Protocol):
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport, self.rest = transport, b""

    def data_received(self, data: bytes) -> None:
        self.rest += data
        while b"\r\n\r\n" in self.rest:
            head, _, self.rest = self.rest.partition(b"\r\n\r\n")
            found = re.search(rb"[?&]token=(\w+)", head)
            self.transport.write(
                b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nGrip-Hold: stream\r\n"
                b"Grip-Channel: " + (found[1] if found else b"all") + b"\r\nContent-Length: 4\r\n\r\n:hi\n"
            )


async def main() -> None:
    server = await asyncio.get_running_loop().create_server(Origin, "127.0.0.1", int(sys.argv[1]), backlog=4096)
    await server.serve_forever()


asyncio.run(main())
