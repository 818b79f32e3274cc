# SPDX-License-Identifier: PostgreSQL
"""Settings for Wagtail's tests: theirs, but for where files go. What a run before has uploaded would give
the files of this one other names, which it looks at."""

import os

from wagtail.test.settings import *  # noqa: F403

MEDIA_ROOT = os.path.join(os.environ["FOREIGN_OUT"], "media")
