# SPDX-License-Identifier: PostgreSQL
import sys

from django.core.management.base import BaseCommand

from api.changes import Changes


class Command(BaseCommand):
    help = (
        "Reads words from standard input (create, status, reassign, delete, rename, any), does one "
        "such change through the ORM for each line, and says what it was. For the live page's buttons."
    )

    def handle(self, *args, **options) -> None:
        changes = Changes()
        kinds = {**changes.kinds, "any": changes.any}
        for line in sys.stdin:
            word = line.strip()
            self.stdout.write(kinds[word]() if word in kinds else "? " + word)
            self.stdout.flush()
