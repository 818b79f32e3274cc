# SPDX-License-Identifier: PostgreSQL
"""Single changes of the sample company through the ORM, at random: what `traffic` does by itself and
`act` when it is told to. Only estimates that were made here are touched."""

import random
import re
from typing import Callable, Dict, List, Optional

from .models import Estimate, Project, User
from .sample import ESTIMATES, person, rename, seed
from .words import WORDS

OURS = r"^%s_[0-9]{4,}_" % re.escape(WORDS.estimate)
KEEP = 12  # at most, so that the tables stay small for days


class Changes:
    def __init__(self, random_seed: Optional[int] = None) -> None:
        seed()
        self.dice = random.Random(random_seed)
        self.foremen = [person("foreman1"), person("foreman2")]
        self.number = Estimate.objects.count()
        self.projects = list(Project.objects.filter(estimates__number__in=ESTIMATES).distinct())
        self.kinds: Dict[str, Callable[[], str]] = {
            "create": self.create,
            "status": self.set_status,
            "reassign": self.reassign,
            "delete": self.delete,
            "rename": self.rename,
        }

    def any(self) -> str:
        ours = len(self.ours())
        if ours < 3:
            return self.create()
        if ours > KEEP:
            return self.delete()
        return self.kinds[self.dice.choice(["status", *self.kinds])]()

    def ours(self) -> List[Estimate]:
        return list(Estimate.objects.filter(number__regex=OURS).select_related("foreman"))

    def one(self) -> Estimate:
        """An estimate of ours; one is made when there is none."""
        if not self.ours():
            self.create()
        return self.dice.choice(self.ours())

    def create(self) -> str:
        foreman: User = self.dice.choice(self.foremen)
        self.number += 1
        estimate = Estimate.objects.create(
            number="%s_%04d_%s" % (WORDS.estimate, self.number, self.dice.choice(WORDS.works)),
            project=self.dice.choice(self.projects),
            foreman=foreman,
            creator=foreman,
            amount=self.dice.randrange(10, 900) * 1000,
        )
        return "%s creates %s" % (foreman.username, estimate)

    def set_status(self) -> str:
        estimate = self.one()
        others = [status for status in Estimate.Status.values if status != estimate.status]
        estimate.status = self.dice.choice(others)
        estimate.save()
        return "manager sets %s to %s" % (estimate, estimate.status)

    def reassign(self) -> str:
        estimate = self.one()
        first, second = self.foremen
        estimate.foreman = second if estimate.foreman == first else first
        estimate.save()
        return "manager gives %s to %s" % (estimate, estimate.foreman.username)

    def delete(self) -> str:
        estimate = self.one()
        estimate.delete()
        return "manager deletes %s" % estimate

    def rename(self) -> str:
        project = self.dice.choice(self.projects)
        before = project.name
        rename(project)
        return "manager renames %s to %s" % (before, project)
