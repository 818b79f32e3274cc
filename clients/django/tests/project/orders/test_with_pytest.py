# SPDX-License-Identifier: PostgreSQL
"""The same with pytest-django, and the plugin's fixture."""

import pytest
from django.contrib.auth.models import User

from .models import Order


@pytest.mark.parametrize("n", range(6))
def test_fixture(herald_events, n):
    bob = User.objects.create_user("bob")
    with herald_events(bob) as events:
        Order.objects.create(number=str(n), customer=bob)
        Order.objects.create(number="other")
    assert [e.data["number"] for e in events] == [str(n)]


@pytest.mark.django_db(transaction=True)
def test_with_commits(herald_events):
    bob = User.objects.create_user("bob")
    with herald_events(bob) as events:
        Order.objects.create(number="1", customer=bob)
    assert events.types == ["order.created"]
