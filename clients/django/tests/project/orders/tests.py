# SPDX-License-Identifier: PostgreSQL
"""Tests as an application would write them: no daemon, and nothing is committed in a TestCase."""

from django.contrib.auth.models import User
from django.db import transaction
from django.test import TestCase, TransactionTestCase

from pgherald_django.testing import Event, capture_events

from .models import Note, Order, Project


class Shared:
    def people(self):
        self.ann = User.objects.create_user("ann", is_staff=True)
        self.bob = User.objects.create_user("bob")
        self.cid = User.objects.create_user("cid")

    def check_all(self):
        with capture_events(self.bob) as events:
            order = Order.objects.create(number="A", total="10.50", customer=self.bob)
        (event,) = events
        self.assertEqual(event.type, "order.created")
        self.assertEqual(
            {k: v for k, v in event.data.items() if k != "created_at"},
            {
                "id": order.pk,
                "number": "A",
                "status": "new",
                "total": "10.50",
                "customer": self.bob.pk,
                "customer__username": "bob",
                "project": None,
            },
        )
        self.assertTrue(event.data["created_at"].endswith("Z"))

        with capture_events() as told:
            order.customer = self.cid
            order.save()
        self.assertEqual(told.of(self.ann)[0].scope, None)
        self.assertEqual(told.of(self.bob), [Event("order.updated", {"id": order.pk}, "leave")])
        self.assertEqual([(e.type, e.scope) for e in told.of(self.cid)], [("order.updated", "enter")])

        with capture_events(self.cid) as events:
            try:
                with transaction.atomic():
                    Order.objects.filter(pk=order.pk).delete()
                    raise RuntimeError
            except RuntimeError:
                pass
        self.assertEqual(events, [])

        with capture_events(self.cid) as events:
            Note.objects.create(text="hello", order=order)
            Order.objects.filter(number="A").update(status="paid")
            order.delete()
        self.assertEqual(events.types[:2], ["order_note.created", "order.updated"])
        self.assertEqual(events.types[-1], "order.deleted")

        project = Project.objects.create(name="P")
        project.members.add(self.bob)
        with capture_events(self.bob) as events:
            project.name = "Q"
            project.save()
        self.assertEqual([e.data["name"] for e in events], ["Q"])

        with capture_events(self.ann) as events:
            Order.objects.bulk_create(Order(number=str(i)) for i in range(600))
        self.assertEqual(events[-1], Event("system.resync", {"reason": "storm", "topics": ["order"]}))


class InOneTransaction(Shared, TestCase):
    def setUp(self):
        self.people()

    def test_all(self):
        self.check_all()

    def test_again(self):
        """What another test has told is not told here."""
        with capture_events(self.ann) as events:
            pass
        self.assertEqual(events, [])

    def test_nobody(self):
        self.bob.is_active = False
        with capture_events() as told:
            Order.objects.create(number="A", customer=self.bob)
        self.assertEqual(told.of(self.bob), [])
        self.assertEqual(told.types, ["order.created"])


class WithCommits(Shared, TransactionTestCase):
    def setUp(self):
        self.people()

    def test_all(self):
        self.check_all()

    def test_again(self):
        with capture_events(self.ann) as events:
            pass
        self.assertEqual(events, [])
