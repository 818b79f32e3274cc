# SPDX-License-Identifier: PostgreSQL
import json

from django.core.management.base import BaseCommand

from api.sample import seed


class Command(BaseCommand):
    help = "Makes the sample company (a manager, two foremen, projects); prints users and tokens as JSON."

    def handle(self, *args, **options) -> None:
        self.stdout.write(json.dumps(seed(), ensure_ascii=False))
