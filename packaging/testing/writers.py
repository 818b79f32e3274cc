# SPDX-License-Identifier: PostgreSQL
"""Writers of orders until SIGTERM: single rows, several in one transaction, slow ones, and some that
are taken back. Then /run/writers/expected has what stayed: lines "NUMBER CUSTOMER".

    writers.py COUNT [ORDERS A SECOND AND WRITER]"""

import random
import signal
import sys
import threading
import time

import psycopg2

COUNT, RATE = int(sys.argv[1]), float(sys.argv[2]) if len(sys.argv) > 2 else 20
ended = threading.Event()


def write(name):
    db = psycopg2.connect(dbname="shop")
    cursor = db.cursor()
    n = 0
    while not ended.is_set():
        for _ in range(random.choice((1, 1, 1, 3))):
            n += 1
            cursor.execute("INSERT INTO orders_order (number, customer_id) VALUES (%s, %s)",
                           (f"W-{name}-{n}", random.randint(2, 100)))
            if n % 10 == 0:
                time.sleep(0.2)
        if n % 17 == 0:
            db.rollback()
        else:
            db.commit()
        ended.wait(1 / RATE)
    db.close()


signal.signal(signal.SIGTERM, lambda *_: ended.set())
threads = [threading.Thread(target=write, args=(i,)) for i in range(COUNT)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
db = psycopg2.connect(dbname="shop")
cursor = db.cursor()
cursor.execute("SELECT number, customer_id FROM orders_order WHERE number LIKE 'W-%'")
with open("/run/writers/expected", "w") as f:
    for row in cursor:
        print(*row, file=f)
