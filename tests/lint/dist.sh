#!/bin/sh
# SPDX-License-Identifier: PostgreSQL
# What is in git is in the release tarball: `make distcheck` cannot miss what nothing refers to.
builddir=$(dirname "${PGHERALD:-$PWD/pgherald}")
cd "${srcdir:-$(dirname "$0")/../..}" || exit 99

# Not for users of a tarball.
exceptions='^(\.gitignore|\.clang-format|\.editorconfig)$'

files=$(git ls-files 2>/dev/null | grep -vE "$exceptions")
if [ -z "$files" ]; then
	echo "not a git checkout"
	exit 77
fi
if [ ! -e "$builddir/Makefile" ]; then
	echo "nothing is built"
	exit 77
fi
unset MAKEFLAGS MFLAGS MAKELEVEL
dist=$(mktemp -d) || exit 99
trap 'chmod -R u+w "$dist"; rm -rf "$dist"' EXIT
make -s -C "$builddir" distdir distdir="$dist/tree" >"$dist/log" 2>&1 || {
	cat "$dist/log"
	exit 1
}
bad=0
for file in $files; do
	[ -e "$file" ] || continue
	[ -e "$dist/tree/$file" ] && continue
	echo "$file:1: in git, but not in the tarball (EXTRA_DIST in Makefile.am)"
	bad=1
done
find "$dist/tree" -name '*.o' -o -name '*.pyc' -o -name __pycache__ |
	sed "s|^$dist/tree/||; s|\$|:1: does not belong into the tarball|" | grep . && bad=1
exit $bad
