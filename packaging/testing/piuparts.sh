# shellcheck shell=bash
# SPDX-License-Identifier: PostgreSQL
# Install, remove and purge in the least root there is, with what the packages depend on from the
# archive: nothing is missing and nothing stays. Upgrades are in service.sh and upgrade.sh: piuparts
# knows only those from what an archive has.
# shellcheck disable=SC2154 # of packaging/test
package_root piuparts
packages
command -v piuparts >/dev/null || {
	skip "piuparts: it is not installed"
	exit 0
}
small=$(root_of "$suite" "$(dpkg --print-architecture)" apt) || {
	skip "piuparts: $small"
	exit 0
}
clean() {
	tar -C "$small" -czf "$work/small.tar.gz" . || return
	# Files of systemd, which comes as a dependency of the user, are not ours.
	piuparts -b "$work/small.tar.gz" -d "$suite" --mirror "$(root_mirror) main" --no-upgrade-test \
		--warn-on-leftovers-after-purge --fail-on-broken-symlinks "$debs"/pgherald_*.deb \
		"$debs"/postgresql-pgherald_*.deb >"$work/piuparts.log" 2>&1
	local status=$?
	grep -vE 'DEBUG:' "$work/piuparts.log" | tail -n 40
	return $status
}
ours() { ! grep -iE '(leftover|WARN|  )/.*pgherald' "$work/piuparts.log"; }
check "piuparts: installs and purges in a bare root" clean
check "piuparts: nothing of ours stays" ours
