#!/bin/sh
# SPDX-License-Identifier: PostgreSQL
# Every shell script passes shellcheck.
cd "${srcdir:-$(dirname "$0")/../..}" || exit 99

if ! command -v shellcheck >/dev/null; then
	echo "shellcheck is not installed"
	exit 77
fi
scripts=$(find . \( -name .git -o -name .demo -o -name .cache -o -name 'build*' ! -name build-aux -o -name autom4te.cache \) -prune -o \
	-type f \( -name '*.sh' -o -path './.ci/*' -o -path './packaging/*' \) -print | LC_ALL=C sort)
bad=0
for script in $scripts; do
	head -n 1 "$script" | grep -qE '^#!.*\b(ba|da)?sh\b' || continue
	shellcheck --format=gcc "$script" || bad=1
done
exit $bad
