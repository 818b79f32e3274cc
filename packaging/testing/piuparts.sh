# shellcheck shell=bash
# SPDX-License-Identifier: PostgreSQL
# Install, upgrade, remove and purge in the least root there is, with what the packages depend on from
# the archive: nothing is missing and nothing stays. The release before is in an archive of one directory.
# shellcheck disable=SC2154 # of packaging/test
package_root piuparts
packages
packages_before piuparts
command -v piuparts >/dev/null || {
	skip "piuparts: it is not installed"
	exit 0
}
small=$(root_of "$suite" "$(dpkg --print-architecture)" apt) || {
	skip "piuparts: $small"
	exit 0
}
archive() {
	mkdir -p "$work/archive" && cp "$old"/pgherald_*.deb "$old"/postgresql-pgherald_*.deb "$work/archive" &&
		chmod -R a+rX "$work/archive" && cd "$work/archive" && dpkg-scanpackages -m . >Packages
}
clean() {
	tar -C "$small" -czf "$work/small.tar.gz" . || return
	# Files of systemd, which comes as a dependency of the user, are not ours, nor are the links of Debian 13's
	# that lead nowhere in so small a root: ours() finds those that are.
	piuparts -b "$work/small.tar.gz" -d "$suite" --mirror "$(root_mirror) main" --bindmount "$work/archive" \
		--extra-repo "deb [trusted=yes] file://$work/archive ./" \
		--warn-on-leftovers-after-purge "$debs"/pgherald_*.deb \
		"$debs"/postgresql-pgherald_*.deb >"$work/piuparts.out" 2>&1
	local status=$?
	grep -vE 'DEBUG:' "$work/piuparts.out" | tail -n 40
	return $status
}
upgraded() { # and not left out, since the archive has none
	grep -E 'Unpacking (postgresql-)?pgherald .* over .*~before' "$work/piuparts.out"
}
ours() { ! grep -iE '(leftover|WARN|  )/.*pgherald' "$work/piuparts.out"; }
check "piuparts: an archive with the release before" archive || exit
check "piuparts: installs, upgrades, removes and purges in a bare root" clean
check "piuparts: upgrades from the release before" upgraded
check "piuparts: nothing of ours stays" ours
