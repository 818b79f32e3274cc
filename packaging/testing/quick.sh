# shellcheck shell=bash
# SPDX-License-Identifier: PostgreSQL
# What ./check.sh runs: what takes seconds. The long runs have names of their own.
# shellcheck disable=SC2154,SC2016 # of packaging/test; the inner shell expands it

program=${PGHERALD:-$top/build/pgherald}
same_release() {
	release_of "$top" "$work/release" && (umask 077 && TZ=Asia/Tokyo release_of "$top" "$work/again") &&
		cmp "$work"/release/*.tar.gz "$work"/again/*.tar.gz
}
installs() { # make install from the tarball, elsewhere, twice, and make uninstall
	local tree=$work/install root=$work/installed
	mkdir -p "$tree" && tar -C "$tree" --strip-components=1 -xf "$work"/release/*.tar.gz && mkdir "$tree/b" && cd "$tree/b" &&
		../configure -q --prefix=/usr --sysconfdir=/etc >/dev/null && touch -d tomorrow libpgherald.a pgherald &&
		make -s install DESTDIR="$root" >/dev/null || return
	(cd "$root" && find . -type f | LC_ALL=C sort | grep -v '/doc/') | tee "$work/files"
	diff - <(grep -v '/man/' "$work/files") <<-'END' || return
		./etc/pgherald/pgherald.conf
		./usr/lib/systemd/system/pgherald.service
		./usr/lib/systemd/system/pgherald.socket
		./usr/lib/systemd/system/pgherald@.service
		./usr/lib/sysusers.d/pgherald.conf
		./usr/sbin/pgherald
		./usr/share/bash-completion/completions/pgherald
		./usr/share/pgherald/extension/pgherald--1.0.sql
		./usr/share/pgherald/extension/pgherald.control
		./usr/share/pgherald/presets/chat.conf
		./usr/share/pgherald/presets/estimates.conf
		./usr/share/pgherald/presets/projects.conf
		./usr/share/pgherald/presets/publishing.conf
		./usr/share/pgherald/presets/streaming.conf
		./usr/share/pgherald/presets/tasks.conf
		./usr/share/zsh/site-functions/_pgherald
	END
	echo '# mine' >"$root/etc/pgherald/pgherald.conf"
	make -s install DESTDIR="$root" >/dev/null && grep -q mine "$root/etc/pgherald/pgherald.conf" || return
	make -s uninstall DESTDIR="$root" >/dev/null
	is "$(cd "$root" && find . -type f)" ./etc/pgherald/pgherald.conf
}
exposure_offline() { # systemd counts in tenths
	systemd-analyze security --offline=true --threshold=12 --no-pager "$work/installed.service" &&
		systemd-analyze security --offline=true --threshold=12 --no-pager "$work/installed@.service"
}
units() { # of the release that was just configured
	(cd "$work/install/b" && make -s pgherald.service pgherald@.service) &&
		cp "$work/install/b/pgherald.service" "$work/installed.service" &&
		cp "$work/install/b/pgherald@.service" "$work/installed@.service" &&
		! grep -n '@' "$work/installed.service" "$work/installed@.service" | grep -vE 'pgherald@|@system-service|@privileged|@resources'
}
compose() { "$program" -t -c "$top/packaging/compose/pgherald.conf" &&
	is "$(grep -o 'http://[a-z]*:[0-9]*' "$top/packaging/compose/nginx.conf" | sort | paste -sd' ')" 'http://app:8000 http://pgherald:8080'; }

check "quick: make dist makes the same bytes again" same_release
check "quick: make install has all, keeps a configuration, and make uninstall takes it away" installs
check "quick: the units are made of one text" units
if command -v systemd-analyze >/dev/null; then
	check "quick: systemd-analyze security is at most 1.2" exposure_offline
else
	skip "quick: there is no systemd-analyze"
fi
if command -v apparmor_parser >/dev/null; then
	check "quick: the AppArmor profile is understood" apparmor_parser -Q -K "$top/packaging/apparmor/pgherald"
else
	skip "quick: there is no apparmor_parser"
fi
check "quick: the compose file's configurations" compose
