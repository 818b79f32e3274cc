#!/bin/sh
# SPDX-License-Identifier: PostgreSQL
# Whatever a build makes is ignored by git, so that a build in the source tree is not taken for
# sources by ./check.sh.
builddir=$(dirname "${PGHERALD:-$PWD/pgherald}")
cd "${srcdir:-$(dirname "$0")/../..}" || exit 99

if [ -z "$(git ls-files .gitignore 2>/dev/null)" ]; then
	echo "not a git checkout"
	exit 77
fi
if [ ! -e "$builddir/config.status" ]; then
	echo "nothing is built"
	exit 77
fi
find "$builddir" -path "$builddir/pgherald-[0-9]*" -prune -o -type f -printf '%P\n' |
	git check-ignore --no-index --stdin -n -v | sed -n 's/^::[[:space:]]*//p' |
	sed 's/^/.gitignore:1: a build makes, and git does not ignore: /' | grep . && exit 1
exit 0
