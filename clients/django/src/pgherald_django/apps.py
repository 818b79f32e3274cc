# SPDX-License-Identifier: PostgreSQL
from django.apps import AppConfig
from django.core import checks
from django.db.models.signals import post_migrate


class PgheraldConfig(AppConfig):
    name = "pgherald_django"
    label = "pgherald"
    verbose_name = "pgherald"

    def ready(self) -> None:
        from . import checks as ours
        from .install import after_migrate

        checks.register(ours.check_watches)
        checks.register(ours.check_migration)
        checks.register(ours.check_database, checks.Tags.database)
        post_migrate.connect(after_migrate, sender=self, dispatch_uid="pgherald_django")
