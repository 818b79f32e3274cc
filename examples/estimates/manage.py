#!/usr/bin/env python3
# SPDX-License-Identifier: PostgreSQL
"""Django's command line for the estimates project."""

import os
import sys


def main() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "estimates.settings")
    from django.core.management import execute_from_command_line

    execute_from_command_line(sys.argv)


if __name__ == "__main__":
    main()
