#!/bin/sh
# SPDX-License-Identifier: PostgreSQL
# relocate.sh ROOT: the machine's PostgreSQL once more below ROOT, mostly links, so that an extension
# can be installed into it without touching the machine. Prints its directory of programs.
# PG_CONFIG=... names another PostgreSQL.
set -e
root=$1
pg_config=${PG_CONFIG:-pg_config}
bin=$("$pg_config" --bindir)
share=$("$pg_config" --sharedir)
lib=$("$pg_config" --pkglibdir)

mkdir -p "$root$bin" "$root$share/extension" "$root$(dirname "$lib")"
for program in "$bin"/*; do
	case ${program##*/} in
	# a server finds its files from where it really lies
	postgres | initdb | pg_ctl) cp "$program" "$root$bin/" ;;
	*) ln -sf "$program" "$root$bin/" ;;
	esac
done
for file in "$share"/* "$share"/extension/*; do
	name=$root$share${file#"$share"}
	[ -e "$name" ] || ln -s "$file" "$name"
done
[ -e "$root$lib" ] || ln -s "$lib" "$root$lib"
echo "$root$bin"
