#!/usr/bin/env bash
# SPDX-License-Identifier: PostgreSQL
# Tests the packages for Python: clients/python with the distribution's httpx and with the newest, which
# also has mypy and ruff; clients/django with its oldest and its newest Django, with --matrix with all of
# them and both drivers, as clients/django/tests/locks/ has the versions. Environments are made once, in
# .cache/python/. One that cannot be had is skipped with the reason; the exit status is 77 when nothing
# could be tested. JUNIT=directory takes the reports, PYTHON=... is the interpreter, PGHERALD=... the program.
set -uo pipefail
top=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P) || exit 99
python=${PYTHON:-/usr/bin/python3}
cache=${PGHERALD_CACHE:-$top/.cache}/python
reports=${JUNIT:-$(mktemp -d)}
status=77

# environment NAME PYTHON REQUIREMENT...: its interpreter in $chosen; false, and why, when it cannot be.
environment() {
	local name=$1 base=$2 place=$cache/$1 pip
	shift 2
	chosen=$place/bin/python
	[[ "$*" != "$(cat "$place/ready" 2>/dev/null)" ]] || return 0
	pip=("$base" -m pip --python "$place") # one of its own would take longer to install than all the rest
	mkdir -p "$cache" && "$base" -m venv --clear --without-pip "$place" >"$cache/$name.log" 2>&1 &&
		{ "${pip[@]}" --version >/dev/null 2>&1 || { # before 22.3
			pip=("$chosen" -m pip) && "$base" -m venv --clear "$place" >"$cache/$name.log" 2>&1
		}; } && timeout 300 "${pip[@]}" install --quiet --retries=1 --disable-pip-version-check "$@" \
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

# Django 6 wants Python 3.12, which is not the distribution's everywhere.
newer_python() {
	local candidate
	for candidate in "$python" python3.14 python3.13 python3.12 ~/.pyenv/versions/3.1[2-9]*/bin/python; do
		"$candidate" -c 'import sys, venv; sys.exit(sys.version_info < (3, 12))' 2>/dev/null || continue
		echo "$candidate"
		return
	done
	return 1
}

# django NAME PYTHON: the tests of clients/django with the versions of locks/NAME.txt, if there is one.
django() {
	local lock=$top/clients/django/tests/locks/$1.txt
	chosen=$2
	[[ ! -e $lock ]] || environment "$1" "$2" -r "$lock" || return
	(cd "$top/clients/django" && PGHERALD=${PGHERALD:-$top/build/pgherald} "$chosen" -m pytest -q \
		-p no:cacheprovider --color=no --junitxml="$reports/$1.xml" tests)
	passed "$1" $?
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

if [[ ${1-} == --matrix ]]; then
	old=(django32-psycopg2 django42-psycopg2 django42-psycopg3 django50-psycopg3 django51-psycopg3 django52-psycopg2 django52-psycopg3)
	new=(django60-psycopg3 django61-psycopg2 django61-psycopg3)
else
	old=(django42-psycopg2) new=(django61-psycopg3)
fi
newer=$(newer_python) || {
	echo "SKIP: ${new[*]}: there is no Python 3.12"
	[[ ${1-} == --matrix ]] || old+=(django52-psycopg3)
	new=()
}
if [[ ${1-} == --matrix ]] && "$python" -c 'import django, rest_framework, psycopg2, pytest' 2>/dev/null; then
	django django-distribution "$python"
fi
for name in "${old[@]}"; do django "$name" "$python"; done
for name in "${new[@]}"; do django "$name" "$newer"; done
if environment django-lint "$python" -r "$top/clients/django/tests/locks/lint.txt"; then
	(cd "$top/clients/django" && "$chosen" -m mypy --cache-dir="$cache/mypy-django" &&
		"$chosen" -m ruff check --no-cache . && "$chosen" -m ruff format --no-cache --check .)
	passed django-lint $?
fi
exit "$status"
