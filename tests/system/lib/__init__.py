# SPDX-License-Identifier: PostgreSQL
"""What the system tests share: a private PostgreSQL, databases in it, the program under test."""
