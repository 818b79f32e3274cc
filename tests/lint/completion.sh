#!/bin/sh
# SPDX-License-Identifier: PostgreSQL
# bash and zsh offer exactly the options that stand in the tables of src/main.c and src/cli/*.c, and the
# commands that there are; options of `pgherald sql` where they are taken.
pgherald=${PGHERALD:-$PWD/pgherald}
cd "${srcdir:-$(dirname "$0")/../..}" || exit 99
[ -x "$pgherald" ] || pgherald=$PWD/build/pgherald
command -v bash >/dev/null || {
	echo "bash is not installed"
	exit 77
}
tmp=$(mktemp -d) || exit 99
trap 'rm -rf "$tmp"' EXIT
ln -s "$pgherald" "$tmp/pgherald"
PATH=$tmp:$PATH
bad=0

# offered SHELL WORD...: what is offered for the last word, sorted, in one line.
cat >"$tmp/bash" <<'END'
. packaging/completion/pgherald
COMP_WORDS=("$@") COMP_CWORD=$(($# - 1))
_pgherald pgherald
printf '%s\n' "${COMPREPLY[@]}"
END
cat >"$tmp/zsh" <<'END'
compadd() { [[ $1 != -a ]] || print -l -- ${(P)2}; }
_files() { print -l -- *(N); }
words=("$@") CURRENT=$#
. packaging/completion/_pgherald
END
offered() {
	shell=$1
	shift
	case $shell in
	bash) bash "$tmp/bash" "$@" ;;
	zsh) zsh -f "$tmp/zsh" "$@" ;;
	esac | grep -v '^$' | LC_ALL=C sort -u | tr '\n' ' '
}

same() { # WHAT WANT HAVE
	[ "$2" = "$3" ] && return
	printf 'packaging/completion: %s\n  the program has %s\n  offered is      %s\n' "$1" "$2" "$3"
	bad=1
}

table='\{"[a-z-]+", ((no|required|optional)_argument|\.(text|flag) = )'
for shell in bash zsh; do
	command -v $shell >/dev/null || continue
	for file in src/main.c src/cli/*.c; do
		grep -qE "$table" "$file" || continue
		command=$(basename "$file" .c)
		[ "$command" != main ] || command=
		# "--list" is for our own lints.
		want=$(grep -oE "$table" "$file" | sed 's/{"/--/; s/".*//' |
			grep -vx -e '--list' | if [ -z "$command" ]; then cat; else grep -vx -e --help; fi | LC_ALL=C sort -u | tr '\n' ' ')
		# shellcheck disable=SC2086 # none, or one word
		have=$(offered $shell pgherald $command -- | tr ' ' '\n' | grep . |
			if [ -z "$command" ]; then cat; else grep -vx -e --help; fi | tr '\n' ' ')
		same "$shell, pgherald $command --" "$want" "$have"
		# shellcheck disable=SC2086 # none, or one word
		for option in $("$pgherald" $command --help | grep -oE -- '^ +(-., )?--[a-z-]+ FILE' | grep -oE -- '--[a-z-]+'); do
			offered $shell pgherald $command "$option" '' | grep -q README.md ||
				same "$shell, pgherald $command $option" "files" ""
		done
	done
	same "$shell, pgherald" "$("$pgherald" --help | sed -n '/^Commands:/,/^$/s/^  \([a-z][a-z]*\) .*/\1/p' |
		LC_ALL=C sort | tr '\n' ' ')" "$(offered $shell pgherald '')"
	same "$shell, pgherald sql" "$("$pgherald" sql --list | cut -d' ' -f1 | LC_ALL=C sort | tr '\n' ' ')" \
		"$(offered $shell pgherald sql '' | tr -d '\n')"
	same "$shell, pgherald sql check --" '--config --dsn --help --json ' "$(offered $shell pgherald sql check --)"
	same "$shell, --watch" "estimate project " \
		"$(offered $shell pgherald sql install -c doc/pgherald.conf --watch '')"
done
exit $bad
