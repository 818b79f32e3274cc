# SPDX-License-Identifier: PostgreSQL
import signal
import threading

from django.core.management.base import BaseCommand

from api.changes import Changes


class Command(BaseCommand):
    help = "Edits the sample company through the ORM, at random, until interrupted."

    def add_arguments(self, parser) -> None:
        parser.add_argument("--rate", type=float, default=1.0, help="changes per second (default 1)")
        parser.add_argument("--count", type=int, default=0, help="stop after so many (default never)")
        parser.add_argument("--random-seed", type=int, default=None, help="the same changes again")

    def handle(self, *args, **options) -> None:
        if options["rate"] <= 0:
            self.stderr.write("--rate must be more than 0")
            return
        stop = threading.Event()
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda *_: stop.set())
        changes = Changes(options["random_seed"])
        done = 0
        while not stop.is_set() and done != (options["count"] or -1):
            self.stdout.write(changes.any())
            self.stdout.flush()
            done += 1
            stop.wait(1 / options["rate"])
