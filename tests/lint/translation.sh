#!/bin/sh
# SPDX-License-Identifier: PostgreSQL
# README.ru.md says what README.md says, as far as a program can see: section for section the same
# blocks of code and measurements, as many entries of lists and rows of tables, the same links, and
# the same names of settings, commands and files.
cd "${srcdir:-$(dirname "$0")/../..}" || exit 99
tmp=$(mktemp -d) || exit 99
trap 'rm -rf "$tmp"' EXIT

# One line for each thing: where, what kind, what. Words are left out.
skeleton() {
	LC_ALL=C awk '
		function name() { return sprintf("section %02d, level %d", section, level) }
		function every(pattern, from, kind,    rest, found) {
			rest = text
			while (match(rest, pattern)) {
				found = substr(rest, RSTART + from, RLENGTH - from - 1)
				if (found !~ /^README(\.ru)?\.md$/ && !seen[section, kind, found]++)
					print name() ": " kind " " found
				rest = substr(rest, RSTART + RLENGTH)
			}
		}
		function finish() {
			every("\\]\\([^)]*\\)", 2, "link")
			every("`[^`]*`", 1, "name")
			print name() ": " items " entries of lists"
			print name() ": " rows " rows of tables"
			text = ""
			items = rows = 0
		}
		/^```/ { code = !code }
		/^<!-- measured: begin/ { measured = 1 }
		code || measured || /^```/ {
			printf "%s: block %03d %s\n", name(), ++n, $0
			if (/^<!-- measured: end/)
				measured = 0
			next
		}
		/^#+ / {
			finish()
			section++
			level = length($1)
			next
		}
		/^\* / { items++ }
		/^\|/ { rows++ }
		{ text = text " " $0 }
		END { finish() }
	' "$1" | LC_ALL=C sort
}
skeleton README.md >"$tmp/README.md"
skeleton README.ru.md >"$tmp/README.ru.md"
if ! (cd "$tmp" && diff README.md README.ru.md) >"$tmp/diff"; then
	echo "README.ru.md:1: is not in step with README.md (<): what is new there is missing here (>)"
	grep '^[<>]' "$tmp/diff"
	exit 1
fi
