# SPDX-License-Identifier: PostgreSQL
"""The estimates project's settings, but that a password is hashed at once: half a second of processor
each was most of what the tests of sessions took."""

from django.contrib.auth.hashers import PBKDF2PasswordHasher
from estimates.settings import *  # noqa: F403


class Quick(PBKDF2PasswordHasher):
    iterations = 1


PASSWORD_HASHERS = ["quick_settings.Quick"]
