#!/bin/sh
# SPDX-License-Identifier: PostgreSQL
# Every command of `pgherald sql` is in pgherald-sql(8) with the options it takes, and no other.
pgherald=${PGHERALD:-$PWD/pgherald}
cd "${srcdir:-$(dirname "$0")/../..}" || exit 99
[ -x "$pgherald" ] || pgherald=build/pgherald
manual=doc/pgherald-sql.8

program=$("$pgherald" sql --list | LC_ALL=C sort) || exit 99
manuals=$(sed -n '/^\.Ss Commands/,/^\.El/s/^\.It Cm //p' "$manual" |
	sed 's/ Op / /; s/ Fl -/ --/g; s/Fl --/--/g' | LC_ALL=C sort)
[ "$program" = "$manuals" ] && exit 0
echo "$manual:1: the commands are not those of the program:"
echo "the program has"
echo "$program"
echo "the manual has"
echo "$manuals"
exit 1
