#!/bin/sh
# SPDX-License-Identifier: PostgreSQL
# C looks as .clang-format says. Versions of clang-format differ: 14 decides (Debian 12's).
cd "${srcdir:-$(dirname "$0")/../..}" || exit 99

if [ ! -e .clang-format ]; then
	echo "not a git checkout"
	exit 77
fi
for tool in clang-format-14 clang-format; do
	case $($tool --version 2>/dev/null) in
	*"version 14."*) break ;;
	esac
	tool=
done
if [ -z "$tool" ]; then
	echo "clang-format 14 is not installed"
	exit 77
fi
# shellcheck disable=SC2046 # no file of ours has a space in its name
$tool --dry-run -Werror $(find src tests bench -name '*.[ch]' | LC_ALL=C sort) 2>&1 |
	sed -n 's/^\([^ ]*:[0-9]*\):[0-9]*: error: .*/\1: not as .clang-format says/p' | uniq | grep . && exit 1
exit 0
