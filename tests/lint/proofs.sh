#!/bin/sh
# SPDX-License-Identifier: PostgreSQL
# SECURITY.md says which test shows what it promises: `test_FILE.py`: `name`, `name`; `privileges.sql`: "its words".
# Each of them is there, and each line of the tables that does not trust somebody with something has one.
cd "${srcdir:-$(dirname "$0")/../..}" || exit 99

files=$(find tests/system tests/unit tests/pgtap -name '*.py' -o -name '*.c' -o -name '*.sql' | LC_ALL=C sort)
# shellcheck disable=SC2086 # no file of ours has a space in its name
awk '
function complain(what)
{
	printf "SECURITY.md:%d: %s\n", FNR, what
	bad = 1
}

FILENAME != "SECURITY.md" {
	path = FILENAME
	base = path
	sub(/.*\//, "", base)
	is[base] = is[path] = path
	text[path] = text[path] $0 "\n"
	next
}

# A name is that of a function in a program, and words of a text stand in it as they are.
function there(name, words)
{
	if (words || file ~ /\.sql$/)
		return index(text[file], name)
	return index(text[file], (file ~ /\.py$/ ? "def test_" : "static void test_") name "(")
}

function look(line,    token, between, proofs)
{
	file = ""
	while (match(line, /`[^`]*`|"[^"]*"/)) {
		between = substr(line, 1, RSTART - 1)
		words = substr(line, RSTART, 1) == "\""
		token = substr(line, RSTART + 1, RLENGTH - 2)
		line = substr(line, RSTART + RLENGTH)
		if (!words && token ~ /^(tests\/.*|test_[a-z0-9_]+\.(py|c)|[a-z_]+\.(py|sql))$/) {
			file = is[token]
			if (file == "")
				complain("no test is called " token)
			else
				proofs++
		} else if (file != "" && between ~ /^(: |, )$/) {
			if (!there(token, words))
				complain(file " has no " token)
		} else
			file = ""
	}
	return proofs
}

# Fuzzing has figures and no test of a name.
/^## / { figures = /^## Fuzzing/ }
figures { next }

{ proofs = look($0) }

/^\|/ && !/^\|[-|]*$/ {
	n = split($0, cell, /[ ]*\|[ ]*/)
	if (cell[n - 1] == "shown by")
		next
	if (!look(cell[n - 1]) && cell[4] != "")
		complain("no test shows it: " $0)
}

END { exit bad }
' $files SECURITY.md
