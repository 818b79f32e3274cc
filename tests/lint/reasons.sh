#!/bin/sh
# SPDX-License-Identifier: PostgreSQL
# Every reason of a system.resync is in pgherald(8), and no other.
cd "${srcdir:-$(dirname "$0")/../..}" || exit 99
manual=doc/pgherald.8

program=$({
	grep -ohE '(event_resync|one_resync|queue_resync|start_over|reset)\(([a-z]+, )?"[a-z]+"' src/*/*.c
	grep -h 'reasons\[\] = ' src/hub/event.c
	sed -n '/^static const char \*reset_reason/,/^}/p' src/pg/missed.c
	sed -n '/^static const char \*refetch_reason/,/^}/p' src/hub/event.c
} | grep -oE '"[a-z]+"' | tr -d '"' | LC_ALL=C sort -u)
manuals=$(sed -n '/^The reasons are:/,/^\.El/s/^\.It Ql //p' "$manual" | LC_ALL=C sort -u)
[ -n "$program" ] && [ "$program" = "$manuals" ] && exit 0
echo "$manual:1: the reasons of system.resync are not those of the program:"
echo "the program has $(echo "$program" | tr "\n" " ")"
echo "the manual has $(echo "$manuals" | tr "\n" " ")"
exit 1
