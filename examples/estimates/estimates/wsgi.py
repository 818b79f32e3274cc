# SPDX-License-Identifier: PostgreSQL
import os

from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "estimates.settings")
application = get_wsgi_application()
