#!/usr/bin/env bash
# SPDX-License-Identifier: PostgreSQL
# Builds pgherald in a root of another release of Debian (build-aux/roots.sh) as a user without
# rights, with every warning as an error, and runs its unit tests there as that user.
#
#   tests/distribution.sh [--system TESTS] [--jobs N] SUITE[:ARCH]
#
# --system runs the system tests besides: "all", or files of tests/system/, comma separated. JUNIT
# names a file for their results. The exit status is 77, with the reason in words, where no such
# root can be made.
set -uo pipefail
top=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P) || exit 99
# shellcheck source=build-aux/roots.sh disable=SC1091
. "$top/build-aux/roots.sh"
system='' jobs=2
while (($# > 1)); do
	case $1 in
	--system) system=$2 ;;
	--jobs) jobs=$2 ;;
	*) break ;;
	esac
	shift 2
done
(($# == 1)) || {
	sed -n '3,10s/^# \{0,1\}//p' "${BASH_SOURCE[0]}" >&2
	exit 2
}
suite=${1%%:*} arch=${1#*:}
[[ $arch != "$1" ]] || arch=$(dpkg --print-architecture 2>/dev/null) || arch=amd64

if why=$(root_obstacle); then
	echo "$1: SKIP: $why"
	exit 77
fi
packages=("${root_build_packages[@]}")
[[ -z $system ]] || packages+=(postgresql postgresql-server-dev-all pgtap python3-django
	python3-djangorestframework python3-pytest python3-psycopg2 curl procps strace git)
root=$(root_of "$suite" "$arch" "${packages[@]}") || {
	echo "$1: SKIP: $root"
	exit 77
}

results=$(mktemp -d) || exit 99
trap 'rm -rf "$results"' EXIT
chmod 0777 "$results"
(cd "$top" && find . \( -path './build*' ! -path './build-aux*' -o -path ./.cache -o -path ./.git \
	-o -path ./.demo -o -path ./autom4te.cache -o -name '*.o' -o -name '*.pyc' \) -prune -o -type f -print0 |
	tar -cf "$results/source.tar" --null -T -) || exit 99

# shellcheck disable=SC2016 # the inner shell expands it
in_root "$root" "" bash -euc '
	mkdir /build
	tar -C /build -xf - <&3
	exec 3<&-
	chown -R nobody /build
	cd /build
	as_nobody() { setpriv --reuid=nobody --regid=nogroup --clear-groups --inh-caps=-all env HOME=/nowhere "$@"; }
	as_nobody ./autogen.sh >/dev/null 2>&1
	as_nobody ./configure -q --enable-werror
	as_nobody make -s -j "$2"
	as_nobody make -s -k -j "$2" check LINT_TESTS= VERBOSE=1 && status=0 || status=$?
	[[ -n $1 ]] || exit "$status"
	tests=(tests/system)
	[[ $1 == all ]] || mapfile -t tests < <(tr , "\n" <<<"$1" | sed "s|^|tests/system/|")
	PGHERALD=/build/pgherald python3 -m pytest -q -p no:cacheprovider --color=no \
		--junitxml=/tmp/system.xml "${tests[@]}" || status=$?
	cat /tmp/system.xml >&4
	exit "$status"
' - "$system" "$jobs" 3<"$results/source.tar" 4>"${JUNIT:-/dev/null}"
