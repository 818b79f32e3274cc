#!/bin/sh
# SPDX-License-Identifier: PostgreSQL
# Every setting the program knows is in pgherald.conf(5) and in the sample doc/pgherald.conf, with
# its default; and these name no setting that the program does not know.
#
# The manual has ".Ss [SECTION]" or ".Ss [SECTION NAME]", and under it one line a setting:
# ".It Ic NAME Pq TYPE, default VALUE; HOW IT CHANGES", or "none" or "required" for a default.
# The sample has the settings as "NAME = VALUE" or, with the default, "#NAME = VALUE".
pgherald=${PGHERALD:-$PWD/pgherald}
cd "${srcdir:-$(dirname "$0")/../..}" || exit 99
[ -x "$pgherald" ] || pgherald=build/pgherald
if [ ! -x "$pgherald" ]; then
	echo "nothing is built; PGHERALD=... names the program"
	exit 99
fi

{ "$pgherald" --list-settings || echo broken; } | awk '
function complain(what)
{
	printf "%s: %s\n", what, why
	bad = 1
}

function known(section, setting) # what the program has as default
{
	return (section " " setting) in defaults ? defaults[section " " setting] : ""
}

function seen(section, setting, value)
{
	place = FILENAME ":" FNR
	key = section " " setting
	if (!(key in defaults)) {
		why = "the program knows no " setting " in [" section "]"
		complain(place)
		return
	}
	found[FILENAME, key] = 1
	if (value != defaults[key]) {
		why = "[" section "] " setting ": the default is \"" defaults[key] "\", not \"" value "\""
		complain(place)
	}
}

FILENAME == "-" {
	if (NF < 2)
		exit bad = 1
	key = $1 " " $2
	$1 = $2 = ""
	sub(/^ */, "")
	defaults[key] = $0
	next
}

FNR == 1 { section = ""; files[FILENAME] = 1 }

FILENAME ~ /\.5$/ && /^\.Ss \[/ {
	section = $2
	gsub(/[][]/, "", section)
}

FILENAME ~ /\.5$/ && section != "" && /^\.It Ic / {
	value = $0
	setting = $3
	if (value ~ /, required;/)
		value = known(section, setting)
	else if (!sub(/^.*, default /, "", value) || !sub(/;.*$/, "", value))
		value = "nothing"
	else if (value == "none" && known(section, setting) == "")
		value = ""
	seen(section, setting, value)
}

FILENAME ~ /\.5$/ && /^\.S[sh] [^[]/ { section = "" }

FILENAME ~ /\.conf$/ && /^#?\[[a-z]+/ {
	section = $1
	gsub(/[^a-z]/, "", section)
}

FILENAME ~ /\.conf$/ && /^#?[a-z_]+ *=/ {
	setting = $1
	value = $0
	sub(/^#/, "", setting)
	sub(/^[^=]*= */, "", value)
	# What is switched on, and what has no default, shows an example.
	if (!/^#/ || known(section, setting) == "")
		value = known(section, setting)
	seen(section, setting, value)
}

END {
	for (file in files)
		for (key in defaults)
			if (!((file, key) in found)) {
				split(key, part, " ")
				why = "[" part[1] "] " part[2] " is missing"
				complain(file ":1")
			}
	exit bad
}
' - doc/pgherald.conf.5 doc/pgherald.conf || exit 1
"$pgherald" -t -c doc/pgherald.conf >/dev/null
