#!/bin/sh
# SPDX-License-Identifier: PostgreSQL
# Calls that do not know where their buffer ends, that take rubbish for a number, or that wait by
# the clock. Comments and strings do not count.
cd "${srcdir:-$(dirname "$0")/../..}" || exit 99

files=$(find src tests bench -name '*.[ch]' | LC_ALL=C sort)
# base/num.c is where text becomes a number.
# shellcheck disable=SC2086 # no file of ours has a space in its name
awk '
BEGIN {
	list(everywhere, "strcpy strncpy stpcpy strcat strncat sprintf vsprintf strtok gets alloca " \
	     "strdupa strndupa tmpnam tempnam mktemp usleep sleep")
	list(in_src, "atoi atol atoll atof strtol strtoul strtoll strtoull strtod strtoimax " \
	     "strtoumax strtok_r scanf sscanf fscanf localtime gmtime ctime asctime")
}

function list(set, words, n, part)
{
	for (n = split(words, part, " "); n > 0; n--)
		set[part[n]] = 1
}

FNR == 1 { comment = 0 }

{
	line = $0
	code = ""
	while (line != "") {
		if (comment) {
			if (!(i = index(line, "*/")))
				break
			line = substr(line, i + 2)
			comment = 0
		} else if (match(line, /^"([^"\\]|\\.)*"/) || match(line, /^'\''([^'\''\\]|\\.)*'\''/)) {
			code = code "\"\""
			line = substr(line, RLENGTH + 1)
		} else if (line ~ /^\/\*/) {
			comment = 1
			line = substr(line, 3)
		} else if (line ~ /^\/\//) {
			break
		} else {
			code = code substr(line, 1, 1)
			line = substr(line, 2)
		}
	}
	while (match(code, /[A-Za-z_][A-Za-z_0-9]*[ \t]*\(/)) {
		name = substr(code, RSTART, RLENGTH)
		sub(/[ \t]*\($/, "", name)
		code = substr(code, RSTART + RLENGTH)
		if (name in everywhere || (name in in_src && FILENAME ~ /^src\// &&
		                           !(FILENAME == "src/base/num.c" && name ~ /^strto/))) {
			printf "%s:%d: %s() is banned\n", FILENAME, FNR, name
			bad = 1
		}
	}
}

END { exit bad }
' $files
c=$?

# What is cleaned up at every way out has a value before the first of them.
# shellcheck disable=SC2086
grep -nE '(^|[^A-Za-z_])(autobuf|autofree|autoclose)[ \t][^=;]*;' /dev/null $files |
	sed 's/^\([^:]*:[0-9]*\):.*/\1: freed at the end of its block, and without a value until then/' | grep . && c=1

# A test that sleeps is slow on a good day and wrong on a bad one. Only the helpers in lib/ may, in
# the loops that wait for a condition.
files=$(find tests/system tests/unit tests/fuzz -name '*.py' ! -path 'tests/system/lib/*' 2>/dev/null | LC_ALL=C sort)
# shellcheck disable=SC2086
grep -nE '(^|[^A-Za-z_])sleep\(' /dev/null $files |
	sed 's/^\([^:]*:[0-9]*\):.*/\1: a sleep; wait for what is meant instead/' | grep . && c=1
exit $c
