# SPDX-License-Identifier: PostgreSQL
"""What models say, in the words of pgherald.conf(5); what cannot be said is a system check's error."""

import pytest

SECTIONS = """\
[watch order]
table = public.orders_order
key = id
owners = customer_id
fields = id,
	number,
	status,
	total::text,
	created_at::utc,
	customer=customer_id,
	customer__username=customer_id->public.auth_user.username,
	project=project_id->public.orders_project.name
leave = id

[watch order_note]
table = public."Order Notes"
key = key
owners = order_id<-public.orders_order.id.customer_id
fields = key,
	body=text,
	order=order_id,
	at=order_id->public.orders_order.created_at::utc

[watch project]
table = public.orders_project
key = id
owners = id<-public.orders_project_members.project_id.user_id
fields = id,
	name,
	region=region_id,
	region__manager=region_id->public.orders_region(code).manager_id
"""


def test_sections(project):
    assert project.manage("pgherald", "conf", "--watches").strip() or True
    assert project.shell("from pgherald_django import render; result = render.watched()") == SECTIONS


def test_the_whole_configuration(project, tmp_path):
    text = project.manage("pgherald", "conf")
    for line in (
        "[role staff]",
        "receives = all",
        "[role customer]",
        "receives = own",
        "[auth drf]",
        "user_table = public.auth_user",
        "token_table = public.authtoken_token",
        "role_from = staff",
        "staff_role = staff",
        "other_role = customer",
        "path = /api/v1/sse/events/",
    ):
        assert line in text.splitlines(), line
    out = tmp_path / "shop.conf"
    project.manage("pgherald", "conf", "--output", str(out))
    assert out.read_text() == text
    project.manage("pgherald", "conf", "--check", str(out))
    assert "is not what the models say" in project.manage(
        "pgherald", "conf", "--check", str(out), status=1, SHOP_NEXT="1"
    )


PATHS = [
    (
        "Note",
        "owner",
        "order__project__members",
        "order_id<-public.orders_order.id.project_id<-public.orders_project_members.project_id.user_id",
    ),
    ("Project", "owner", "region__manager", "region_id<-public.orders_region.code.manager_id"),
    ("Project", "owner", "order__customer", "id<-public.orders_order.project_id.customer_id"),
    ("Order", "owner", "customer__pk", "customer_id"),
    ("Order", "owner", "notes__key", 'id<-public."Order Notes".order_id.key'),
    (
        "Order",
        "owner",
        "project__members__id",
        "project_id<-public.orders_project_members.project_id.user_id",
    ),
    ("Region", "owner", "pk", "code"),
    ("Order", "shown", "project__pk", "x=project_id"),
    ("Order", "shown", "number", "x=number"),
    ("Order", "shown", "customer__date_joined", "x=customer_id->public.auth_user.date_joined::utc"),
    ("Order", "shown", "created_at::text", "x=created_at::text"),
]
WRONG = [
    ("Order", "owner", "nothing", "has no field 'nothing'"),
    ("Order", "owner", "number__x", "refers to nothing"),
    ("Order", "shown", "notes__text", "more than one value"),
    ("Note", "shown", "order__project__name", "one table away, not 2"),
    ("Project", "shown", "members", "more than one value"),
]


def test_paths(project):
    code = f"""
from orders import models
from pgherald_django import paths
result = []
for model, what, path, _ in {PATHS + WRONG!r}:
    args = (getattr(models, model), path) if what == "owner" else (getattr(models, model), "x", path)
    try:
        result.append(getattr(paths, what)(*args))
    except paths.PathError as error:
        result.append("! " + str(error))
"""
    got = project.shell(code)
    assert got[: len(PATHS)] == [want for _, _, _, want in PATHS]
    for text, (_, _, _, want) in zip(got[len(PATHS) :], WRONG):
        assert text.startswith("! ") and want in text


@pytest.mark.parametrize(
    "old, new, said",
    [
        ('"members"', '"nobody"', "(pgherald.E002) orders.Project has no field 'nobody'"),
        ('"order_note"', '"order"', "(pgherald.E003) the topic 'order'"),
        ('"order_note"', '"Order"', "(pgherald.E002) a topic is made of"),
        ('leave=["id"]', 'leafs=["id"]', "no leafs"),
    ],
)
def test_what_cannot_be_said(project, old, new, said):
    path = project.dir / "orders" / "models.py"
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new))
    assert said in project.manage("check", status=1)


@pytest.mark.parametrize(
    "old, new, said",
    [
        ('"staff": "all"', '"staff": "some"', "receives all, own or none"),
        ('"DAEMON"', '"DEMON"', "PGHERALD has no DEMON"),
    ],
)
def test_settings_that_are_wrong(project, old, new, said):
    path = project.dir / "shop" / "settings.py"
    path.write_text(path.read_text().replace(old, new))
    assert said in project.manage("check", status=1)
