# shellcheck shell=bash
# SPDX-License-Identifier: PostgreSQL
# The spec: builds, has the contents and the policy of the Debian package, and its scripts run. There
# is no Fedora here: macros.rpm stands for its macros.
# shellcheck disable=SC2154,SC2016 # of packaging/test; the inner shell expands it
package_root rpm
packages
mkdir -p "$work/rpm"
cp "$debs"/*.deb "$debs"/pgherald-*.tar.gz "$work/rpm"
out=$work/rpm
for tool in rpm rpm2cpio cpio; do # in packages of these names
	command -v "$tool" >/dev/null || apt-get install -qq -y "$tool" >/dev/null 2>&1 ||
		echo "rpm: there is no $tool here: what the package holds cannot be compared"
done

build() { # what a packager types; only here rpmbuild knows none of the packages that it asks for
	in_root "$root" "$out" bash -euc '
		cp /src/packaging/testing/macros.rpm /usr/lib/rpm/macros.d/macros.test
		mkdir /tools
		printf "#!/bin/sh\nexec /usr/bin/rpmbuild --nodeps \"\$@\"\n" >/tools/rpmbuild
		chmod 0755 /tools/rpmbuild
		install -d -o nobody /build
		cp /out/pgherald-*.tar.gz /build
		cd /build
		setpriv --reuid=nobody --regid=nogroup --clear-groups env HOME=/build PATH="/tools:$PATH" sh -euc "
			tar -xf *.tar.gz
			cd pgherald-*/
			mkdir b
			cd b
			../configure -q >configure.log
			make -s rpm"
		find pgherald-*/b/rpm -name "*.rpm" ! -name "*debug*" -exec cp {} /out ";"
	'
}
lint() {
	in_root "$root" "$out" sh -c 'rpmlint -c /src/packaging/testing/rpmlint.toml /out/*.rpm /src/packaging/rpm/pgherald.spec' >"$work/rpmlint"
	cat "$work/rpmlint"
	grep -q ' 0 errors, 0 warnings' "$work/rpmlint"
}
# Paths as Fedora has them; what differs on purpose is left out.
debian_files() {
	dpkg-deb --fsys-tarfile "$1" | tar -t | grep -v '/$' | sed 's|^\.||; s|^/lib/|/usr/lib/|; s|\.gz$||
		s|vendor-completions|site-functions|; s|^/usr/share/postgresql/\([0-9]*\)/|/usr/pgsql-\1/share/|' |
		grep -vE '^/etc/apparmor.d/|/copyright$|/changelog.Debian$|lintian' | LC_ALL=C sort
}
rpm_files() {
	rpm -qp --qf '[%{FILEMODES:perms} %{FILENAMES}\n]' "$1" 2>/dev/null | sed -n 's/^-[^ ]* //p' | sed 's|\.gz$||' |
		grep -vE '^/usr/share/licenses/|^/usr/share/pgsql/|^/usr/lib/debug|^/usr/lib/.build-id' | LC_ALL=C sort
}
same_files() { # DEB RPM
	diff -u --label debian --label rpm <(debian_files "$1") <(rpm_files "$2")
}
same_configuration() { # what the administrator may edit, its mode and group
	local rpm
	rpm=$(echo "$out"/pgherald-0*."$(uname -m)".rpm)
	diff -u --label debian --label rpm <(dpkg-deb -I "$out"/pgherald_*.deb conffiles | grep -v apparmor | LC_ALL=C sort) \
		<(rpm -qpc "$rpm" 2>/dev/null | LC_ALL=C sort) &&
		is "$(rpm -qp --qf '[%{FILEMODES:perms} %{FILEUSERNAME}:%{FILEGROUPNAME} %{FILENAMES}\n]' "$rpm" 2>/dev/null |
			grep ' /etc/pgherald' | LC_ALL=C sort)" "-rw-r----- root:pgherald /etc/pgherald/pgherald.conf
drwxr-x--- root:pgherald /etc/pgherald
drwxr-x--- root:pgherald /etc/pgherald/conf.d" &&
		is "$(rpm -qp --qf '[%{FILEFLAGS:fflags} %{FILENAMES}\n]' "$rpm" 2>/dev/null | grep '/pgherald/pgherald.conf$' | grep -v doc)" \
			'cn /etc/pgherald/pgherald.conf'
}
same_libraries() { # what both need, and Debian's names of it
	local a b lib bad=0
	mkdir -p "$work/a" "$work/b"
	dpkg-deb -x "$out"/pgherald_*.deb "$work/a"
	(cd "$work/b" && rpm2cpio "$out"/pgherald-0*."$(uname -m)".rpm | cpio -idm --quiet)
	needed_by() { objdump -p "$1/usr/sbin/pgherald" | sed -n 's/^ *NEEDED *//p' | LC_ALL=C sort; }
	a=$(needed_by "$work/a") b=$(needed_by "$work/b")
	is "$a" "$b" || return
	for lib in $b; do
		rpm -qpR "$out"/pgherald-0*."$(uname -m)".rpm 2>/dev/null | grep -qF "$lib" || {
			echo "the rpm does not require $lib"
			bad=1
		}
	done
	for lib in libcurl4 libmicrohttpd libpq libjson-c libssl zlib1g libc6; do
		dpkg-deb -f "$out"/pgherald_*.deb Depends | grep -q "$lib" || {
			echo "the deb does not depend on $lib"
			bad=1
		}
	done
	return $bad
}
no_database() { # no maintainer script says a word to one
	! { dpkg-deb -I "$out"/pgherald_*.deb preinst postinst prerm postrm
		rpm -qp --scripts "$out"/pgherald-0*."$(uname -m)".rpm 2>/dev/null; } | grep -nE 'psql|createuser|pgherald sql|pgherald init'
}
runs() {
	inside sh -c 'rpm -ivh --nodeps /out/pgherald-0*.$(uname -m).rpm' && modes &&
		is "$(inside systemctl is-enabled pgherald)" enabled && inside systemctl start pgherald && waits || return
	database && configure /etc/pgherald/pgherald.conf '' && sql_install && starts && hears token1 R-1 || return
	inside rpm -e pgherald && ! inside systemctl is-active pgherald && ! inside test -e /usr/sbin/pgherald &&
		inside test -e /etc/pgherald/pgherald.conf.rpmsave
}
waits() { is "$(unit ActiveState)" inactive && inside systemctl status pgherald | grep 'not configured yet'; }
life() { check "rpm: installs, waits, serves, is removed" runs; }

check "rpm: make rpm, with its unit tests, as nobody" build || exit
check "rpm: rpmlint has neither errors nor warnings" lint
check "rpm: the same files as pgherald.deb" same_files "$out"/pgherald_*.deb "$out"/pgherald-0*."$(uname -m)".rpm
check "rpm: the same files as postgresql-pgherald.deb" same_files "$out"/postgresql-pgherald_*.deb "$out"/postgresql-pgherald-*.rpm
check "rpm: the same configuration files, with the same rights" same_configuration
check "rpm: the same libraries, and both packages say so" same_libraries
check "rpm: no script touches a database" no_database
boot "$root" "$out" life
