# shellcheck shell=bash
# SPDX-License-Identifier: PostgreSQL
# The service under a systemd that has booted: what an administrator meets in the years of its life.
# shellcheck disable=SC2154,SC2016 # of packaging/test; the inner shell expands it
package_root service
packages

install_it() { inside sh -c 'dpkg -i /out/pgherald_*.deb /out/postgresql-pgherald_*.deb'; }
waits() {
	is "$(unit ActiveState)" inactive && is "$(unit Result)" exec-condition &&
		is "$(inside systemctl is-enabled pgherald)" enabled &&
		inside systemctl status pgherald | grep 'pgherald is not configured yet: pgherald init'
}
included() { # a file whose sections all stand in another one has something to say
	inside sh -c 'cat /src/packaging/testing/pgherald.conf >/etc/pgherald/shop && chgrp pgherald /etc/pgherald/shop &&
		cp -p /etc/pgherald/pgherald.conf /run/was && echo "include = shop" >/etc/pgherald/pgherald.conf &&
		chgrp pgherald /etc/pgherald/pgherald.conf' && inside systemctl start pgherald && is "$(unit ActiveState)" active
	local status=$?
	inside systemctl stop pgherald
	inside sh -c 'cp -p /run/was /etc/pgherald/pgherald.conf && rm /etc/pgherald/shop'
	return $status
}
exposure() {
	local score
	score=$(inside systemd-analyze security --no-pager pgherald.service | sed -n 's/.*exposure level.*: \([0-9.]*\).*/\1/p')
	echo "score: ${score:-none}"
	[[ -n $score ]] && awk "BEGIN { exit !($score <= 1.2) }"
}
verifies() { ! inside systemd-analyze verify --man=no pgherald.service pgherald@x.service pgherald.socket 2>&1 | grep pgherald; }
sandboxed() { # what a process of the service can still do
	local pid
	pid=$(unit MainPID)
	grep -qx 'NoNewPrivs:	1' <(inside cat "/proc/$pid/status") && grep -qx 'Seccomp:	2' <(inside cat "/proc/$pid/status") &&
		is "$(inside sed -n 's/^CapBnd:\t*//p' "/proc/$pid/status")" 0000000000000000 &&
		is "$(inside stat -c %U "/proc/$pid")" pgherald &&
		inside sh -c 'for d in etc usr var/lib home root; do ! touch "/proc/$1/root/$d/x" || exit 1; done
			! "/proc/$1/root/bin/true" && "/proc/$1/root/usr/sbin/pgherald" -V' - "$pid" 2>/dev/null
}
keeps_serving() { # a file with an error is not told to the daemon
	local pid
	pid=$(unit MainPID)
	edit 's/^receives = all/receives = everything/' /etc/pgherald/pgherald.conf
	! inside systemctl reload pgherald 2>/dev/null || return 1
	is "$(unit MainPID)" "$pid" && answers readyz && hears token1 B-1
	local status=$?
	edit 's/^receives = everything/receives = all/' /etc/pgherald/pgherald.conf
	return $status
}
reloads() {
	local pid
	pid=$(unit MainPID)
	edit 's/^receives = own/receives = none/' /etc/pgherald/pgherald.conf
	inside systemctl reload pgherald && is "$(unit MainPID)" "$pid" &&
		soon sh -c "nsenter -t $leader -a curl -s -o /dev/null -w '%{http_code}' -m 1 -H 'Authorization: Token token2' \
			http://127.0.0.1:8080/api/v1/sse/events/ | grep -qx 403"
	local status=$?
	edit 's/^receives = none/receives = own/' /etc/pgherald/pgherald.conf
	inside systemctl reload pgherald
	return $status
}
watchdog() { # a daemon that hangs is ended and started again
	local pid
	inside mkdir -p /run/systemd/system/pgherald.service.d
	inside sh -c 'printf "[Service]\nWatchdogSec=2\n" >/run/systemd/system/pgherald.service.d/test.conf'
	inside systemctl daemon-reload && inside systemctl restart pgherald || return 1
	pid=$(unit MainPID)
	inside kill -STOP "$pid"
	soon sh -c "nsenter -t $leader -a journalctl -u pgherald --no-pager | grep -i 'watchdog timeout'" &&
		soon answers readyz && [[ $(unit MainPID) != "$pid" ]]
	local status=$?
	inside rm -r /run/systemd/system/pgherald.service.d
	inside systemctl daemon-reload && inside systemctl restart pgherald && soon answers readyz
	return $status
}
killed() {
	local pid
	pid=$(unit MainPID)
	inside kill -KILL "$pid" && soon answers readyz && [[ $(unit MainPID) != "$pid" ]]
}
stops() { # within its time, and is not a failure
	inside systemctl stop pgherald && is "$(unit Result)" success && inside systemctl start pgherald && soon answers readyz
}
limits() { # what the unit says, or what this machine lets systemd have; the daemon takes all of it
	local most
	most=$(inside sed -n 's/^Max open files *[0-9]* *\([0-9]*\).*/\1/p' /proc/1/limits)
	((most < 65536)) || most=65536
	is "$(inside sed -n 's/^Max open files *\([0-9]*\) *\([0-9]*\).*/\1 \2/p' "/proc/$(unit MainPID)/limits")" "$most $most"
}
second() { # pgherald@blog beside the first, with its own port
	configure /etc/pgherald/blog.conf '[server]
listen = 127.0.0.1:8090'
	inside chgrp pgherald /etc/pgherald/blog.conf
	inside systemctl start pgherald@blog && soon answers readyz 8090 && answers readyz && hears token1 C-1 8090
	local status=$?
	inside systemctl stop pgherald@blog
	inside rm /etc/pgherald/blog.conf
	return $status
}
second_by_init() { # its file is the daemon's to read, on a port that the first one has not
	inside pgherald init --dsn dbname=shop --yes -c /etc/pgherald/blog.conf &&
		is "$(inside stat -c '%a %U %G' /etc/pgherald/blog.conf)" '640 root pgherald' &&
		inside systemctl start pgherald@blog && soon answers healthz 8081 && answers readyz
	local status=$?
	inside systemctl stop pgherald@blog
	inside rm /etc/pgherald/blog.conf
	return $status
}
rotates() { # [log] file, by a file of conf.d
	inside sh -c 'printf "[log]\nfile = /var/log/pgherald/pgherald.log\n" >/etc/pgherald/conf.d/log.conf' &&
		inside chgrp pgherald /etc/pgherald/conf.d/log.conf && inside systemctl reload pgherald &&
		soon inside grep -q 'configuration reloaded' /var/log/pgherald/pgherald.log || return
	is "$(inside stat -c '%a %U %G' /var/log/pgherald/pgherald.log)" '640 pgherald pgherald' &&
		inside logrotate -f /etc/logrotate.d/pgherald &&
		inside grep -q 'configuration reloaded' /var/log/pgherald/pgherald.log.1 && hears token1 D-1 &&
		soon inside grep -q 'SSE stream closed' /var/log/pgherald/pgherald.log &&
		! inside grep -q 'SSE' /var/log/pgherald/pgherald.log.1
	local status=$?
	inside rm /etc/pgherald/conf.d/log.conf
	inside systemctl reload pgherald && return $status
}
socket() { # nobody is refused while the service restarts, not even through a proxy
	local line
	line=$(inside sed -n 's/^# \(systemctl .*pgherald.socket.*\)/\1/p' /lib/systemd/system/pgherald.socket)
	[[ -n $line ]] && ! inside systemctl start pgherald.socket 2>/dev/null && inside sh -c "$line" || return
	inside journalctl -u pgherald --no-pager | grep -q 'listening on 127.0.0.1:8080, which was passed to us' || return
	inside sh -c 'printf "server { listen 127.0.0.1:8081; location / { proxy_pass http://127.0.0.1:8080; } }\n" \
		>/etc/nginx/conf.d/pgherald.conf' && inside systemctl restart nginx || return
	inside systemd-run -q --unit=knock python3 /src/packaging/testing/knock.py
	soon inside test -s /run/knock || return
	for _ in 1 2 3 4 5; do inside systemctl restart pgherald || return; done
	inside systemctl stop knock
	inside cat /run/knock && ! inside grep -v '^200 ' /run/knock
	local status=$?
	inside systemctl stop pgherald.socket pgherald nginx
	inside systemctl -q disable pgherald.socket
	inside rm /etc/nginx/conf.d/pgherald.conf
	inside systemctl start pgherald && soon answers readyz && return $status
}
socket_elsewhere() { # on another address than the configuration's; the doctor knows
	inside systemctl stop pgherald
	inside mkdir -p /run/systemd/system/pgherald.socket.d
	inside sh -c 'printf "[Socket]\nListenStream=\nListenStream=127.0.0.1:8085\n" >/run/systemd/system/pgherald.socket.d/test.conf'
	inside systemctl daemon-reload && inside systemctl start pgherald.socket pgherald && soon answers readyz 8085 &&
		! answers readyz 8080 2>/dev/null && inside pgherald doctor --quick --dsn dbname=shop >"$work/doctor" &&
		grep -q 'pgherald.socket listens for the daemon' "$work/doctor" && grep -q 'Daemon at 127.0.0.1:8085: ready' "$work/doctor"
	local status=$?
	inside systemctl stop pgherald.socket pgherald
	inside rm -r /run/systemd/system/pgherald.socket.d
	inside systemctl daemon-reload && inside systemctl start pgherald && soon answers readyz && return $status
}
extension() { # CREATE EXTENSION from the package's files
	inside runuser -u postgres -- createdb second &&
		inside runuser -u postgres -- psql -v ON_ERROR_STOP=1 -qd second -c 'CREATE EXTENSION pgherald'
}
finds_its_way() { # root is let in as those are whom he names, or postgres: peer authentication is Debian's default
	inside pgherald doctor --quick --dsn dbname=shop && inside pgherald doctor --quick --dsn 'dbname=shop user=postgres' &&
		inside pgherald sql check --dsn 'dbname=shop user=postgres'
}
upgrade_reaches_instances() { # debhelper's restart knows the one service only
	configure /etc/pgherald/blog.conf '[server]
listen = 127.0.0.1:8090'
	inside chgrp pgherald /etc/pgherald/blog.conf
	inside systemctl -q enable --now pgherald@blog && soon answers readyz 8090 || return
	local before
	before=$(unit MainPID pgherald@blog)
	inside sh -c 'dpkg -i /out/pgherald_*.deb </dev/null' && soon answers readyz 8090 &&
		! is "$(unit MainPID pgherald@blog)" "$before"
}
upgrade_keeps() { # dpkg's own way of an upgrade: the configuration and its rights stay
	inside chmod 0600 /etc/pgherald/pgherald.conf && inside chown pgherald /etc/pgherald/pgherald.conf
	inside sh -c 'dpkg -i /out/pgherald_*.deb </dev/null' &&
		is "$(inside stat -c '%a %U' /etc/pgherald/pgherald.conf)" '600 pgherald' &&
		inside grep -q '^\[watch order\]' /etc/pgherald/pgherald.conf && soon answers readyz
}
purge() { # with what `pgherald init` leaves and says to make; the configuration of an instance is its owner's
	inside touch /etc/pgherald/pgherald.conf.old /etc/pgherald/secret_key && inside rm /etc/pgherald/blog.conf
	inside pgherald sql uninstall --apply --dsn dbname=shop && inside dpkg --purge pgherald postgresql-pgherald &&
		! inside find / -xdev -path /proc -prune -o -path /src -prune -o -path /out -prune -o -path '*journal*' -prune \
			-o -name '*pgherald*' -print | grep -v '^/var/lib/postgresql\|^/run/' &&
		! inside systemctl cat pgherald && ! inside pgrep -x pgherald
}

life() {
	check "service: $suite installs it" install_it || return
	check "service: enabled, and says what is missing until it is configured" waits
	check "service: starts with a file that includes one" included
	check "service: the configuration is root's and the daemon's group's" modes
	check "service: the units pass systemd-analyze verify" verifies
	check "service: systemd-analyze security is at most 1.2" exposure
	check "service: a database" database || return
	configure /etc/pgherald/pgherald.conf ''
	check "service: root installs into the database with a file that postgres may not read" sql_install
	check "service: starts" starts
	check "service: staff hears" hears token1 A-1
	check "service: root's doctor and check are let in" finds_its_way
	check "service: the sandbox is in force" sandboxed
	check "service: the limit of open files" limits
	check "service: reload refuses a file with an error, the daemon serves on" keeps_serving
	check "service: reload" reloads
	check "service: the watchdog ends a daemon that hangs" watchdog
	check "service: comes back when it was killed" killed
	check "service: stops in order" stops
	check "service: a second instance" second
	check "service: a second instance, as pgherald init proposes it" second_by_init
	check "service: logs to a file that logrotate moves away" rotates
	check "service: with the socket a restart refuses nobody, and a proxy never answers 502" socket
	check "service: behind a socket with another address, the doctor asks there" socket_elsewhere
	check "service: CREATE EXTENSION from the files of the package" extension
	check "service: an upgrade leaves the configuration and its rights alone" upgrade_keeps
	check "service: an upgrade restarts the other instances" upgrade_reaches_instances
	check "service: uninstall and purge leave nothing" purge
}
boot "$root" "$debs" life
