#!/bin/sh
# SPDX-License-Identifier: PostgreSQL
# Every command of `pgherald sql` is in pgherald-sql(8) with the options it takes, and no other; every
# other command has a page, or an entry in pgherald(8), with all of its options.
pgherald=${PGHERALD:-$PWD/pgherald}
cd "${srcdir:-$(dirname "$0")/../..}" || exit 99
[ -x "$pgherald" ] || pgherald=build/pgherald
manual=doc/pgherald-sql.8

program=$("$pgherald" sql --list | LC_ALL=C sort) || exit 99
manuals=$(sed -n '/^\.Ss Commands/,/^\.El/s/^\.It Cm //p' "$manual" |
	sed 's/ Op / /; s/ Fl -/ --/g; s/Fl --/--/g' | LC_ALL=C sort)
bad=0
if [ "$program" != "$manuals" ]; then
	echo "$manual:1: the commands are not those of the program:"
	echo "the program has"
	echo "$program"
	echo "the manual has"
	echo "$manuals"
	bad=1
fi
for command in $("$pgherald" --help | sed -n '/^Commands:/,/^$/s/^  \([a-z][a-z]*\) .*/\1/p'); do
	page=doc/pgherald-$command.8
	[ -f "$page" ] || page=doc/pgherald.8
	grep -qE "^\.(Nm pgherald|It) Cm $command( |$)" "$page" || {
		echo "$page:1: nothing of pgherald $command"
		bad=1
	}
	[ "$command" != sql ] || continue
	for option in $("$pgherald" "$command" --help | grep -oE -- '--[a-z][a-z-]+' | sort -u); do
		grep -qE -- "[ |]-${option#--}( |$)" "$page" || {
			echo "$page:1: nothing of pgherald $command $option"
			bad=1
		}
	done
done
# The synopsis of pgherald(8) names the commands of sql in the order of the program.
synopsis=$(sed -n 's/^\.Cm sql Cm //p' doc/pgherald.8)
names=$("$pgherald" sql --list | sed 's/ .*//' | paste -s -d'|' | sed 's/|/ | /g')
[ "$synopsis" = "$names" ] || {
	echo "doc/pgherald.8:1: the synopsis has sql $synopsis; the program has $names"
	bad=1
}
# Each page is named where people look first.
for page in doc/*.[58]; do
	name=${page##*/}
	"$pgherald" --help | grep -qF "${name%.*}(${name##*.})" || {
		echo "src/main.c:1: --help does not name ${name%.*}(${name##*.})"
		bad=1
	}
done
exit $bad
