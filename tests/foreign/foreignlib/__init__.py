# SPDX-License-Identifier: PostgreSQL
"""What tests/foreign/run is made of."""
