# SPDX-License-Identifier: PostgreSQL
"""A building company's estimates: managers see all of them, a foreman sees his own."""

from django.contrib.auth.models import AbstractUser
from django.db import models

from .words import WORDS


class User(AbstractUser):
    class Role(models.TextChoices):
        MANAGER = "manager", "Manager"
        FOREMAN = "foreman", "Foreman"

    role = models.CharField(max_length=20, choices=Role.choices, default=Role.FOREMAN)


class Project(models.Model):
    name = models.CharField(max_length=200)
    address = models.CharField(max_length=300, blank=True, default="")
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["id"]

    def __str__(self) -> str:
        return self.name


class Estimate(models.Model):
    class Status(models.TextChoices):
        DRAFT, REVIEW, APPROVED, REJECTED = WORDS.statuses

    number = models.CharField(max_length=200)
    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="estimates")
    foreman = models.ForeignKey(
        User, on_delete=models.SET_NULL, null=True, blank=True, related_name="estimates"
    )
    creator = models.ForeignKey(User, on_delete=models.PROTECT, related_name="created_estimates")
    status = models.CharField(max_length=40, choices=Status.choices, default=Status.DRAFT)
    amount = models.DecimalField(max_digits=14, decimal_places=2, default=0)
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        ordering = ["id"]

    def __str__(self) -> str:
        return self.number
