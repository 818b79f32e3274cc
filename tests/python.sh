#!/usr/bin/env bash
# SPDX-License-Identifier: PostgreSQL
# Tests the packages for Python: clients/python with the distribution's httpx and with the newest, which
# also has mypy and ruff. Environments are made once, in .cache/python/. One that cannot be had is
# skipped with the reason; the exit status is 77 when nothing could be tested.
# JUNIT=directory takes the reports, PYTHON=... is the interpreter.
set -uo pipefail
top=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P) || exit 99
python=${PYTHON:-/usr/bin/python3}
cache=${PGHERALD_CACHE:-$top/.cache}/python
reports=${JUNIT:-$(mktemp -d)}
status=77

# environment NAME PYTHON REQUIREMENT...: its interpreter in $chosen; false, and why, when it cannot be.
environment() {
	local name=$1 base=$2 place=$cache/$1
	shift 2
	chosen=$place/bin/python
	[[ "$*" != "$(cat "$place/ready" 2>/dev/null)" ]] || return 0
	mkdir -p "$cache" && "$base" -m venv --clear "$place" >"$cache/$name.log" 2>&1 &&
		timeout 300 "$chosen" -m pip install --quiet --retries=1 --disable-pip-version-check "$@" \
			>"$cache/$name.log" 2>&1 && echo "$*" >"$place/ready" && return 0
	echo "SKIP: $name: no environment: $(tail -n 1 "$cache/$name.log" 2>/dev/null)"
	return 1
}

# passed NAME STATUS
passed() {
	((status == 1)) || status=$2
	((!$2)) || status=1
	if (($2)); then echo "FAIL: $1"; else echo "PASS: $1"; fi
}

# client NAME: the tests of clients/python with $chosen.
client() {
	(cd "$top/clients/python" && "$chosen" -m pytest -q -W error -p no:cacheprovider --color=no \
		--junitxml="$reports/client-$1.xml")
	passed "client-$1" $?
}

chosen=$python
if "$python" -c 'import httpx, pytest' 2>/dev/null; then
	client distribution
else
	echo "SKIP: client-distribution: $python has no httpx or no pytest"
fi
if environment client-newest "$python" httpx 'pytest<9' mypy ruff; then
	client newest
	(cd "$top/clients/python" && "$chosen" -m mypy --cache-dir="$cache/mypy" &&
		"$chosen" -m ruff check --no-cache . && "$chosen" -m ruff format --no-cache --check .)
	passed client-lint $?
fi
exit "$status"
