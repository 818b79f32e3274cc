# shellcheck shell=bash
# SPDX-License-Identifier: PostgreSQL
# The package's own test, run by autopkgtest in a root that has booted.
# shellcheck disable=SC2154,SC2016 # of packaging/test; the inner shell expands it
package_root autopkg
packages

django() {
	inside sh -c 'dpkg -i /out/pgherald_*.deb' || return
	inside sh -c 'mkdir /var/tmp/tree && tar -C /var/tmp/tree --strip-components=1 -xf /out/pgherald-*.tar.gz &&
		cp -R /var/tmp/tree/packaging/debian /var/tmp/tree/debian'
	# What has booted here is a container, of which the newer runner's null knows nothing.
	inside autopkgtest --ignore-restrictions=isolation-container --output-dir=/var/tmp/said -B /var/tmp/tree -- null
	local status=$?
	inside sh -c 'cat /var/tmp/said/*-stdout /var/tmp/said/*-stderr; cat /var/tmp/said/summary'
	return $status
}
life() { check "autopkg: $suite: from the packages to the first event of a Django project, without an editor" django; }
boot "$root" "$debs" life
