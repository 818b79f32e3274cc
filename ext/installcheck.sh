#!/bin/sh
# SPDX-License-Identifier: PostgreSQL
# `make installcheck`: CREATE EXTENSION works and DROP EXTENSION leaves nothing. With PGHOST or
# PGDATABASE set it uses that server, where `make install-extension` must have been run; otherwise a
# server of its own, which it makes of the machine's PostgreSQL and removes again.
set -e
: "${MAKE:=make}"
here=$(cd "$(dirname "$0")" && pwd)

check() { # PSQL...
	"$@" -v ON_ERROR_STOP=1 -qAtX -f "$here/installcheck.sql"
}

if [ -n "$PGHOST$PGDATABASE" ]; then
	check psql
	echo "installcheck: the extension works"
	exit
fi

as_user=
if [ "$(id -u)" = 0 ]; then # the server refuses to run as root
	as_user="setpriv --reuid=postgres --regid=postgres --clear-groups"
fi
if ! "${PG_CONFIG:-pg_config}" --version >/dev/null 2>&1 ||
	! [ -x "$("${PG_CONFIG:-pg_config}" --bindir)/initdb" ] || ! $as_user true 2>/dev/null; then
	echo "installcheck: skipped, there is no PostgreSQL server here"
	exit 0
fi
dir=$(mktemp -d)
# shellcheck disable=SC2329,SC2317 # called by the trap
finish() {
	status=$?
	trap - EXIT
	[ ! -e "$dir/data/postmaster.pid" ] ||
		(cd / && $as_user "$bin/pg_ctl" -D "$dir/data" -m immediate -w stop >/dev/null)
	[ $status = 0 ] || tail -n 20 "$dir/log" 2>/dev/null
	rm -rf "$dir"
	exit $status
}
trap finish EXIT
trap 'exit 1' INT TERM HUP
chmod 755 "$dir"
bin=$("$here/relocate.sh" "$dir/root")
$MAKE -s install-extension DESTDIR="$dir/root"
[ -z "$as_user" ] || chown postgres "$dir"
cd /
$as_user "$bin/initdb" -D "$dir/data" -U postgres -A trust --no-sync >/dev/null
$as_user "$bin/pg_ctl" -D "$dir/data" -l "$dir/log" -w -o \
	"-c listen_addresses='' -c unix_socket_directories=$dir -c fsync=off" start >/dev/null
check "$bin/psql" -h "$dir" -U postgres postgres
echo "installcheck: the extension works"
