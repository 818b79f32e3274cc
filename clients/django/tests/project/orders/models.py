# SPDX-License-Identifier: PostgreSQL
"""Every kind of path that a watch may have."""

import os
import uuid

from django.conf import settings
from django.db import models

import pgherald_django as herald


class Region(models.Model):
    code = models.CharField(max_length=3, primary_key=True)
    manager = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL)


class Project(models.Model):
    name = models.CharField(max_length=40)
    region = models.ForeignKey(Region, null=True, on_delete=models.CASCADE)
    members = models.ManyToManyField(settings.AUTH_USER_MODEL, related_name="projects")

    class Herald:
        fields = ["id", "name", "region", "region__manager"]
        owners = "members"


@herald.watch(
    fields=[
        "id",
        "number",
        "status",
        "total::text",
        "created_at",
        "customer",
        "customer__username",
        ("project", "project__name"),
    ],
    owners=["customer"],
    leave=["id"],
)
class Order(models.Model):
    number = models.CharField(max_length=20)
    status = models.CharField(max_length=20, default="new")
    total = models.DecimalField(max_digits=9, decimal_places=2, default=0)
    created_at = models.DateTimeField(auto_now_add=True)
    customer = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.CASCADE)
    project = models.ForeignKey(Project, null=True, on_delete=models.CASCADE)
    if os.environ.get("SHOP_NEXT"):
        note = models.TextField(default="")


class Note(models.Model):
    """A table with a name of its own, and a key that is no number."""

    key = models.UUIDField(primary_key=True, default=uuid.uuid4)
    text = models.TextField()
    order = models.ForeignKey(Order, on_delete=models.CASCADE, related_name="notes")

    class Meta:
        db_table = "Order Notes"

    class Herald:
        topic = "order_note"
        fields = {"key": "key", "body": "text", "order": "order", "at": "order__created_at"}
        owners = ["order__customer"]


if os.environ.get("SHOP_NEXT"):
    Order = herald.watch(fields=["id", "number", "note"], owners="customer")(Order)
