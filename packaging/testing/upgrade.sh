# shellcheck shell=bash
# SPDX-License-Identifier: PostgreSQL
# At noon: the packages of the release before are replaced by these while 200 streams listen and
# writers write.
# shellcheck disable=SC2154,SC2016 # of packaging/test; the inner shell expands it
package_root upgrade
packages

packages_before upgrade
mkdir -p "$work"/both/{old,new}
cp "$old"/*.deb "$work/both/old"
cp "$debs"/*.deb "$work/both/new"

how() { inside cat /run/listeners; }
listen() {
	inside systemd-run -q --unit=listeners -p LimitNOFILE=20000 python3 /src/packaging/testing/listeners.py 200 &&
		soon inside grep -qx 'connected 200' /run/listeners
}
write() {
	inside systemd-run -q --unit=writers -p User=postgres -p RuntimeDirectory=writers -p RuntimeDirectoryPreserve=yes \
		python3 /src/packaging/testing/writers.py 4 &&
		soon inside sh -c '[ "$(runuser -u postgres -- psql -Atd shop -c "SELECT count(*) FROM orders_order WHERE number LIKE '\''W-%'\''")" -gt 50 ]'
}
replace() {
	inside sh -c 'dpkg --force-confold -i /out/new/pgherald_*.deb </dev/null' && soon inside curl -fsS -o /dev/null http://127.0.0.1:8080/readyz &&
		inside dpkg-query -W -f '${Version}\n' pgherald && ! inside dpkg-query -W -f '${Version}' pgherald | grep before
}
functions() { # `upgrade`, or `install` where it says that the schema is older
	local said
	said=$(inside pgherald sql upgrade --apply --dsn dbname=shop 2>&1) || { grep -q 'hint: pgherald sql install' <<<"$said" &&
		inside pgherald sql install --apply --dsn dbname=shop; } || {
		echo "$said"
		return 1
	}
}
nothing_lost() {
	inside systemctl stop writers && inside test -s /run/writers/expected || return
	inside systemctl kill -s TERM listeners
	patience=120 soon inside grep -E '^(good|bad):' /run/listeners && how && inside grep -q '^good:' /run/listeners &&
		! inside grep resync /run/listeners
}
old_sql_install() { # in the way that works with every release
	inside install -o postgres -m 600 /etc/pgherald/pgherald.conf /run/postgres.conf &&
		inside runuser -u postgres -- pgherald sql install -c /run/postgres.conf --apply --dsn dbname=shop
}
noon() {
	check "upgrade: the package before is installed" inside sh -c 'dpkg -i /out/old/pgherald_*.deb' || return
	check "upgrade: a database" database || return
	configure /etc/pgherald/pgherald.conf ''
	check "upgrade: sql install" old_sql_install || return
	check "upgrade: starts" starts || return
	check "upgrade: 200 streams" listen || return
	check "upgrade: writers" write || return
	check "upgrade: the package is replaced, and restarts the service" replace
	check "upgrade: the functions in the database" functions
	check "upgrade: nothing lost, nothing doubled, nothing of others" nothing_lost
}
boot "$root" "$work/both" noon
