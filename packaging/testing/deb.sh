# shellcheck shell=bash
# SPDX-License-Identifier: PostgreSQL
# Reproducible, without a complaint of lintian, and with the unit tests run by who has no rights.
# shellcheck disable=SC2154,SC2016 # of packaging/test; the inner shell expands it
package_root deb

same_release() {
	release_of "$top" "$work/again" && cmp "$work"/release/*.tar.gz "$work"/again/*.tar.gz
}
same_packages() {
	local f bad=0
	for f in "$work"/first/*.deb "$work"/first/*.dsc "$work"/first/*.debian.tar.xz; do
		cmp "$f" "$work/second/${f##*/}" || bad=1
	done
	return $bad
}
make_deb() { # what an administrator types, in the unpacked release
	mkdir -p "$work/second"
	cp "$work"/release/*.tar.gz "$work/second"
	in_root "$root" "$work/second" bash -euc '
		install -d -o nobody /another/place
		cp /out/*.tar.gz /another/place
		chmod 0644 /another/place/*.tar.gz
		cd /another/place
		umask 077
		setpriv --reuid=nobody --regid=nogroup --clear-groups env HOME=/nowhere DEB_BUILD_OPTIONS=nocheck sh -euc "
			tar -xf *.tar.gz
			cd pgherald-*/
			mkdir b
			cd b
			../configure -q >configure.log
			make -s deb"
		cp pgherald-*/b/deb/* /out
	'
}
lintian_clean() {
	local said
	said=$(in_root "$root" "$work/first" sh -c 'cd /out && lintian --allow-root --fail-on error,warning *.changes') || {
		echo "$said"
		return 1
	}
}

check "deb: make dist" release_of "$top" "$work/release" || exit
(umask 077 && TZ=Asia/Tokyo check "deb: make dist makes the same bytes again" same_release)
check "deb: $suite builds it as nobody, with its unit tests" packages_of "$work"/release/*.tar.gz "$work/first" || exit
check "deb: make deb elsewhere, with another umask" make_deb || exit
check "deb: the same bytes" same_packages
check "deb: lintian has neither errors nor warnings" lintian_clean
