# SPDX-License-Identifier: PostgreSQL
"""pgherald for Django: watches said beside the models, a migration operation, tests without a daemon."""

from .watches import Watch, watch

__all__ = ["Watch", "watch"]
