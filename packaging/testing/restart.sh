# shellcheck shell=bash
# SPDX-License-Identifier: PostgreSQL
# A restart that nobody notices: 5,000 streams, 70 of a hundred SSE (SSE_PERCENT), the others NDJSON and
# WebSockets, and writers, and the service is restarted again and again. No event is lost or doubled, no connection closed, and nobody connects a second time.
# shellcheck disable=SC2154,SC2016 # of packaging/test; the inner shell expands it
package_root restart
packages
streams=${STREAMS:-5000} restarts=${RESTARTS:-5} sse=${SSE_PERCENT:-70}
export streams restarts sse

listen() {
	inside systemd-run -q --unit=listeners -p LimitNOFILE=20000 python3 /src/packaging/testing/listeners.py "$streams" 8080 "$sse" &&
		soon inside grep -qx "connected $streams" /run/listeners && opened
}
write() {
	inside systemd-run -q --unit=writers -p User=postgres -p RuntimeDirectory=writers -p RuntimeDirectoryPreserve=yes \
		python3 /src/packaging/testing/writers.py 4 1 && soon inside sh -c '[ "$(runuser -u postgres -- psql -Atd shop \
			-c "SELECT count(*) FROM orders_order WHERE number LIKE '\''W-%'\''")" -gt 20 ]'
}
opened() { inside grep -qx "opened $streams" /run/listeners || {
	inside cat /run/listeners
	inside journalctl -u pgherald --no-pager -o cat | grep ' stream closed' | grep -o 'reason=.*' |
		sed 's/ seconds=.*//' | sort | uniq -c
	return 1
}; }
again() {
	local i
	for ((i = 0; i < restarts; i++)); do
		inside systemctl restart pgherald && soon answers readyz && sleep 2 || return
	done
	inside journalctl -u pgherald --no-pager | grep -E 'handed over|go on' | sed 's/^.*pgherald\[/[/'
	opened && is "$(unit NFileDescriptorStore)" 0
}
nothing_lost() {
	inside systemctl stop writers && inside test -s /run/writers/expected || return
	inside systemctl kill -s TERM listeners
	patience=120 soon inside grep -E '^(good|bad):' /run/listeners && inside cat /run/listeners && inside grep -q '^good:' /run/listeners &&
		! inside grep resync /run/listeners && opened
}
handed_over() { inside journalctl -u pgherald --no-pager | grep -c 'handed over to the next process'; }
error() { # the next process would not start: a farewell is better than a connection on which nobody answers
	local n
	n=$(handed_over)
	inside sh -c 'echo "[nonsense]" >>/etc/pgherald/pgherald.conf; ! systemctl restart pgherald'
	edit '$d' /etc/pgherald/pgherald.conf
	soon answers readyz && is "$(handed_over)" "$n"
}
farewell() { # a plain stop is one: they are told to come back, and do
	inside systemctl stop pgherald && ! inside journalctl -u pgherald --no-pager -n 20 | grep 'handed over' &&
		is "$(unit NFileDescriptorStore)" 0
}
life() {
	check "restart: installs" inside sh -c 'dpkg -i /out/pgherald_*.deb' || return
	check "restart: a database" database || return
	configure /etc/pgherald/pgherald.conf "[server]
max_requests_per_address = 0
max_streams_per_user = 0"
	check "restart: sql install" sql_install || return
	inside systemctl start pgherald.socket
	check "restart: starts" starts || return
	check "restart: $streams streams" listen || return
	check "restart: writers" write || return
	check "restart: $restarts times, and nobody connects again" again
	check "restart: nothing lost, nothing doubled, nothing of others" nothing_lost
	check "restart: one that would fail hands nothing over" error
	check "restart: a plain stop hands nothing over" farewell
}
boot "$root" "$debs" life
