# SPDX-License-Identifier: PostgreSQL
"""None. Django sends post_migrate only for apps that have this file."""
