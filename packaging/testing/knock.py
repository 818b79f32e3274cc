# SPDX-License-Identifier: PostgreSQL
"""Asks the daemon and the proxy in front of it again and again, each time over a new connection,
until it is told to stop; then /run/knock has how often each answer came: "200 412"."""

import collections
import http.client
import signal
import sys
import time

answers = collections.Counter()
running = True


def stop(*_):
    global running
    running = False


def knock(port):
    c = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        c.request("GET", "/healthz")
        return str(c.getresponse().status)
    except OSError as e:
        return type(e).__name__
    finally:
        c.close()


def report():
    with open("/run/knock", "w") as f:
        for answer, n in sorted(answers.items()):
            print(answer, n, file=f)


signal.signal(signal.SIGTERM, stop)
while running:
    for port in (8080, 8081):
        answers[knock(port)] += 1
    if sum(answers.values()) == 2:
        report()
    time.sleep(0.005)
report()
sys.exit(0)
