# SPDX-License-Identifier: PostgreSQL
import random
import signal
import threading

from django.core.management.base import BaseCommand

from api.models import Estimate, Project, User
from api.sample import ESTIMATES, person, rename, seed

WORKS = ["Отделка", "Электрика", "Водопровод", "Фасад", "Лестницы", "Вентиляция", "Двери", "Забор"]
OURS = r"^Смета_[0-9]{4,}_"  # nobody else's estimate is touched
KEEP = 12  # estimates of ours at most, so that the tables stay small for days


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
        seed()
        self.dice = random.Random(options["random_seed"])
        self.foremen = [person("foreman1"), person("foreman2")]
        self.number = Estimate.objects.count()
        self.projects = list(Project.objects.filter(estimates__number__in=ESTIMATES).distinct())
        done = 0
        while not stop.is_set() and done != (options["count"] or -1):
            self.stdout.write(self.change())
            self.stdout.flush()
            done += 1
            stop.wait(1 / options["rate"])

    def change(self) -> str:
        mine = list(Estimate.objects.filter(number__regex=OURS).select_related("foreman"))
        if len(mine) < 3:
            return self.create()
        if len(mine) > KEEP:
            return self.delete(mine[0])
        kinds = [self.create, self.set_status, self.set_status, self.reassign, self.delete, self.rename]
        kind = self.dice.choice(kinds)
        return kind() if kind in (self.create, self.rename) else kind(self.dice.choice(mine))

    def create(self) -> str:
        foreman: User = self.dice.choice(self.foremen)
        self.number += 1
        estimate = Estimate.objects.create(
            number="Смета_%04d_%s" % (self.number, self.dice.choice(WORKS)),
            project=self.dice.choice(self.projects),
            foreman=foreman,
            creator=foreman,
            amount=self.dice.randrange(10, 900) * 1000,
        )
        return "%s creates %s" % (foreman.username, estimate)

    def set_status(self, estimate: Estimate) -> str:
        others = [status for status in Estimate.Status.values if status != estimate.status]
        estimate.status = self.dice.choice(others)
        estimate.save()
        return "manager sets %s to %s" % (estimate, estimate.status)

    def reassign(self, estimate: Estimate) -> str:
        first, second = self.foremen
        estimate.foreman = second if estimate.foreman == first else first
        estimate.save()
        return "manager gives %s to %s" % (estimate, estimate.foreman.username)

    def delete(self, estimate: Estimate) -> str:
        estimate.delete()
        return "manager deletes %s" % estimate

    def rename(self) -> str:
        project = self.dice.choice(self.projects)
        before = project.name
        rename(project)
        return "manager renames %s to %s" % (before, project)
