# SPDX-License-Identifier: PostgreSQL
"""httpx-sse on argv[1]: the data of each message, a line each; comes back by itself."""

import sys
import threading

import httpx
import httpx_sse

last, pause = "", threading.Event()
while True:
    headers = {"Last-Event-ID": last} if last else {}
    try:
        with httpx.Client(timeout=None) as client, \
                httpx_sse.connect_sse(client, "GET", sys.argv[1], headers=headers) as source:
            for event in source.iter_sse():
                last = event.id or last
                print(event.data, flush=True)
    except httpx.HTTPError as error:
        print(f"# {type(error).__name__}", flush=True)
    pause.wait(0.01)
