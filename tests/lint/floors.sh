#!/bin/sh
# SPDX-License-Identifier: PostgreSQL
# src/ has floors: an #include points down, or stays in its own directory. And each library is
# seen from one place, so that it can be exchanged there.
cd "${srcdir:-$(dirname "$0")/../..}" || exit 99

files=$(find src -name '*.[ch]' | LC_ALL=C sort)
# shellcheck disable=SC2086 # no file of ours has a space in its name
awk '
BEGIN {
	# Rooms on one floor do not see each other.
	n = split("base=0 wire=1 net=1 hub=2 auth=2 sql=2 conf=3 pg=4 web=4 dba=4 source=5 init=5 doctor=5 types=5 cli=6 main=7", pairs, " ")
	for (i = 1; i <= n; i++) {
		split(pairs[i], pair, "=")
		floor[pair[1]] = pair[2]
	}
	only["libpq-fe.h"] = "pg dba init doctor types cli main"
	only["libpq-events.h"] = "pg"
	only["microhttpd.h"] = "web main"
	only["openssl/"] = "auth source"
	only["hiredis/"] = "source"
	only["librdkafka/"] = "source"
	only["zlib.h"] = "auth"
	only["curl/"] = "net"
}

function room(path) # "web/http.c" is in web, "conf.h" in conf
{
	sub(/^\.\//, "", path)
	sub(/\/.*|\.[ch]$/, "", path)
	return path
}

function complain(what)
{
	printf "%s:%d: %s\n", FILENAME, FNR, what
	bad = 1
}

FNR == 1 {
	path = FILENAME
	sub(/^src\//, "", path)
	here = room(path)
	if (!(here in floor))
		complain("no floor is known for " here)
}

/^[ \t]*#[ \t]*include[ \t]*"/ {
	split($0, quoted, "\"")
	if (quoted[2] == "config.h")
		next
	there = room(quoted[2])
	if (!(there in floor))
		complain("no floor is known for " quoted[2])
	else if (there != here && floor[there] >= floor[here])
		complain(here " (floor " floor[here] ") must not see " quoted[2] " (floor " floor[there] ")")
}

# Nowhere else than in wire/ is a dialect named.
/(^|[^A-Z_])DIALECT_[A-Z]/ && here != "wire" {
	complain("a dialect is named here; a column of struct dialect would do")
}

/^[ \t]*#[ \t]*include[ \t]*</ {
	for (name in only)
		if (index($0, "<" name) && index(" " only[name] " ", " " here " ") == 0)
			complain(name " is for " only[name] " only, this is " here)
}

END { exit bad }
' $files
