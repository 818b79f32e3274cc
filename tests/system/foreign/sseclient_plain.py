# SPDX-License-Identifier: PostgreSQL
"""sseclient on argv[1]: the data of each message, a line each; comes back by itself."""

import sys
import threading

import sseclient

last, pause = None, threading.Event()
while True:
    try:
        client = sseclient.SSEClient(sys.argv[1], last_id=last)
        for event in client:
            last = client.last_id
            if event.data:
                print(event.data, flush=True)
    except (OSError, StopIteration):
        pass
    pause.wait(0.01)
