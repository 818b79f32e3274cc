# SPDX-License-Identifier: PostgreSQL
import json

from django.core.management.base import BaseCommand

from api.models import Estimate, Project
from api.sample import FIRST_IN_DEPOT, FIRST_IN_HOUSE, person, project_of, rename, seed
from api.words import WORDS, number


def estimate_facts(estimate: Estimate) -> dict:
    return {
        "id": estimate.pk,
        "number": estimate.number,
        "project_id": estimate.project_id,
        "project_id.name": estimate.project.name,
        "foreman_id": estimate.foreman_id,
        "foreman_id.username": estimate.foreman.username,
        "creator_id": estimate.creator_id,
        "creator_id.username": estimate.creator.username,
        "status": estimate.status,
        "amount": str(estimate.amount),
        "updated_at": estimate.updated_at.isoformat(),
        "created_at": estimate.created_at.isoformat(),
    }


def project_facts(project: Project) -> dict:
    return {
        "id": project.pk,
        "name": project.name,
        "address": project.address,
        "created_at": project.created_at.isoformat(),
    }


class Command(BaseCommand):
    help = (
        "An estimate's life in five steps, each its own transaction: created, changed, given to "
        "another foreman, deleted; then its project is renamed. A sixth ends the story: the depot, "
        "where both foremen are at work, is renamed too."
    )

    def add_arguments(self, parser) -> None:
        parser.add_argument("--json", action="store_true", help="print each step as a line of JSON")

    def handle(self, *args, **options) -> None:
        self.json = options["json"]
        seed()
        foreman1, foreman2 = person("foreman1"), person("foreman2")
        house = project_of(FIRST_IN_HOUSE)
        depot = project_of(FIRST_IN_DEPOT)

        estimate = Estimate.objects.create(
            number=number(5, WORDS.story_work),
            project=house,
            foreman=foreman1,
            creator=foreman1,
            amount="125000.00",
        )
        self.tell("create", "foreman1 creates an estimate", estimate_facts(estimate))

        estimate.status = Estimate.Status.REVIEW
        estimate.save()
        self.tell("change", "the manager changes its status", estimate_facts(estimate))

        estimate.foreman = foreman2
        estimate.save()
        self.tell("reassign", "the manager gives it to foreman2", estimate_facts(estimate))

        facts = estimate_facts(estimate)
        estimate.delete()
        self.tell("delete", "the manager deletes it", facts)

        rename(house)
        self.tell("rename", "its project is renamed: only foreman2 works there", project_facts(house))

        rename(depot)
        self.tell("end", "so is the depot, where both are at work", project_facts(depot))

    def tell(self, step: str, text: str, facts: dict) -> None:
        line = json.dumps({"step": step, "facts": facts}, ensure_ascii=False) if self.json else text
        self.stdout.write(line)
        self.stdout.flush()
