#!/bin/sh
# SPDX-License-Identifier: PostgreSQL
# What the documents show can be typed: every command line of pgherald is understood by the
# program, and every whole configuration passes its check.
pgherald=${PGHERALD:-$PWD/pgherald}
cd "${srcdir:-$(dirname "$0")/../..}" || exit 99
[ -x "$pgherald" ] || pgherald=build/pgherald
if [ ! -x "$pgherald" ]; then
	echo "nothing is built; PGHERALD=... names the program"
	exit 99
fi

tmp=$(mktemp -d) || exit 99
trap 'rm -rf "$tmp"' EXIT
bad=0
set -f

# "file:line: what" of what stands in literal blocks: fenced, indented by .Bd, or .Dl.
literal() {
	awk '
		FNR == 1 { inside = 0 }
		/^ *```/ || /^\.Bd -literal/ || /^\.Ed/ { inside = !/^\.Ed/ && !(inside && /```/); next }
		/^\.Dl / { sub(/^\.Dl /, ""); print FILENAME ":" FNR ": " $0; next }
		inside { print FILENAME ":" FNR ": " $0 }
	' README.md CONTRIBUTING.md SECURITY.md doc/ARCHITECTURE.md doc/capture.md doc/pgherald.8 \
		doc/pgherald-sql.8 doc/pgherald.conf.5
}

# --help ends the program after it has read all options, and before it does anything.
literal | grep -E '^[^ ]+ ([$#] +)?(sudo +(-u +[^ ]+ +)?)?([^ =]*/)?pgherald( |$)' >"$tmp/lines"
while read -r place line; do
	words=$(echo "$line" | sed 's/^[$#] *//; s/ *[|>&#].*//; s/^sudo *\(-u *[^ ]*\)* *//
		s/^[^ ]*pgherald *//; s/"[^"]*"/X/g')
	# shellcheck disable=SC2086 # words are what a shell would make of them
	if ! "$pgherald" $words --help >/dev/null 2>&1 ||
		! echo " $words " | grep -qE '^ *(-c [^ ]+ +)?(serve|init|doctor|explain|sql (render|install|upgrade|uninstall|roles|check|prune)|-t|--(test|version|help|print-config|list-settings)|-[Vh])( |$)'; then
		echo "$place pgherald does not understand: $words"
		bad=1
	fi
done <"$tmp/lines"

# A configuration is whole when it has a role and an auth section. One block is one file.
literal | awk -v dir="$tmp" '
	{
		split($1, at, ":")
		if (at[1] != file || at[2] != line + 1)
			block = dir "/" ++n ".block"
		file = at[1]
		line = at[2]
		if (block != before)
			print "# " file ":" line >block
		before = block
		print substr($0, length($1) + 2) >block
	}
'
set +f
for block in "$tmp"/*.block; do
	if grep -q '^\[role ' "$block" && grep -q '^\[auth ' "$block" &&
		! "$pgherald" -t -c "$block" >/dev/null 2>"$tmp/error"; then
		echo "$(sed -n '1s/^# //p' "$block"): $(sed 's/^[^:]*:[^:]*:/line/' "$tmp/error")"
		bad=1
	fi
done
exit $bad
