# SPDX-License-Identifier: PostgreSQL
"""Costs as counts: what a delivery, a connect, a write and an idle stream take."""
