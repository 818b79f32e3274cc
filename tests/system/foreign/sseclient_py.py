# SPDX-License-Identifier: PostgreSQL
"""sseclient-py on argv[1]: the data of each message, a line each; comes back by itself."""

import sys
import threading
import urllib.request

import sseclient

last, pause = "", threading.Event()
while True:
    request = urllib.request.Request(sys.argv[1], headers={"Last-Event-ID": last} if last else {})
    try:
        for event in sseclient.SSEClient(urllib.request.urlopen(request)).events():
            last = event.id or last
            print(event.data, flush=True)
    except OSError:
        pass
    except Exception as error:  # http.client.IncompleteRead: the end came in the middle
        print(f"# {type(error).__name__}", flush=True)
    pause.wait(0.01)
