#!/bin/sh
# SPDX-License-Identifier: PostgreSQL
# Every row of what the five systems promise has a test that is there, or says why it has none.
cd "${srcdir:-$(dirname "$0")/../..}" || exit 99
python=$(command -v python3) || {
	echo "SKIP: python3 is not installed"
	exit 77
}
PYTHONDONTWRITEBYTECODE=1 "$python" tests/features.py --check
