# SPDX-License-Identifier: PostgreSQL
"""Settings for Django's own tests: PostgreSQL, and our runner."""

import os

DATABASES = {
    alias: {"ENGINE": "django.db.backends.postgresql", "NAME": name, "USER": os.environ["PGUSER"],
            "HOST": os.environ["PGHOST"], "PORT": os.environ["PGPORT"]}
    for alias, name in (("default", "guest"), ("other", "other"))
}
SECRET_KEY = "of-these-tests"
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
DEFAULT_AUTO_FIELD = "django.db.models.AutoField"
USE_TZ = False
TEST_RUNNER = "foreign_runner.Runner"
