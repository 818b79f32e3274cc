# SPDX-License-Identifier: PostgreSQL
"""What the sample company's own data is called, in the language that the settings choose."""

from typing import Dict, List, NamedTuple

from django.conf import settings


class Words(NamedTuple):
    statuses: List[str]  # draft, in review, approved, rejected
    house: str
    depot: str
    school: str
    addresses: List[str]  # of these three
    estimate: str  # before a number and a kind of work
    building: str  # behind a project's name, before a number
    # the first estimates: the foundation of the house, roof and floors of the depot, windows of the
    # school; and the one that the story is about
    first_works: List[str]
    story_work: str
    works: List[str]


_LANGUAGES: Dict[str, Words] = {
    "en": Words(
        statuses=["Draft", "In review", "Approved", "Rejected"],
        house="House in Garden Street",
        depot="Depot No. 4",
        school="Riverside School",
        addresses=["12 Garden Street", "4 Industrial Park", "1 River Road"],
        estimate="Estimate",
        building=", building ",
        first_works=["Foundation", "Roof of the depot", "Floors of the depot", "Windows"],
        story_work="Interior",
        works=["Interior", "Wiring", "Plumbing", "Facade", "Stairs", "Ventilation", "Doors", "Fence"],
    ),
    "ru": Words(
        statuses=["Черновик", "На согласовании", "Согласована", "Отклонена"],
        house="Жилой дом на Садовой",
        depot="Склад № 4",
        school="Школа в Заречье",
        addresses=["ул. Садовая, 12", "Промзона, 4", "Заречье, 1"],
        estimate="Смета",
        building=", корпус ",
        first_works=["Фундамент", "Кровля склада", "Полы склада", "Окна"],
        story_work="Отделка",
        works=["Отделка", "Электрика", "Водопровод", "Фасад", "Лестницы", "Вентиляция", "Двери", "Забор"],
    ),
}

WORDS = _LANGUAGES[settings.ESTIMATES_LANGUAGE]


def number(day: int, work: str) -> str:
    """An estimate's number, as the company writes it."""
    return "%s_2025-01-%02d_%s" % (WORDS.estimate, day, work)
