# shellcheck shell=bash
# SPDX-License-Identifier: PostgreSQL
# For the tests of packaging/test: words for results, the packages, a root that boots.

# shellcheck disable=SC2154 # $suite, $work and $top are of packaging/test

pass() { printf 'PASS: %s\n' "$*"; }
fail() { printf 'FAIL: %s\n' "$*"; }
skip() { printf 'SKIP: %s\n' "$*"; }

# check WHAT COMMAND...: a result; what the command said only when it failed.
check() {
	local what=$1 said
	shift
	if said=$("$@" 2>&1); then
		pass "$what"
	else
		fail "$what"
		printf '%s\n' "$said" | tail -n 60 | sed 's/^/    /'
		return 1
	fi
}

# soon COMMAND...: until it succeeds, for $patience seconds at most.
soon() {
	local end=$((SECONDS + ${patience:-60}))
	until "$@" >/dev/null 2>&1; do
		((SECONDS < end)) || {
			echo "not within ${patience:-60} s: $*"
			"$@"
			return 1
		}
		sleep 0.1
	done
}

# Everything that the tests of a suite need is in one root.
root_packages=("${root_build_packages[@]}" build-essential debhelper dh-apparmor fakeroot lintian systemd systemd-sysv
	dbus libpam-systemd postgresql nginx-light python3-django python3-djangorestframework
	python3-psycopg2 curl procps logrotate autopkgtest rpm rpmlint)

# The root of the suite; ends the test with words where there is none.
package_root() {
	local why
	if why=$(root_obstacle); then
		skip "${1:-all of it}: $why"
		exit 0
	fi
	root=$(root_of "$suite" "$(dpkg --print-architecture)" "${root_packages[@]}") || {
		skip "${1:-all of it}: $root"
		exit 0
	}
}

# release_of DIRECTORY OUT: `make dist` of a source tree that git sees as it is, into OUT.
release_of() {
	local tree=$work/tree.$RANDOM
	mkdir -p "$tree" "$2"
	(
		set -e
		cd "$1"
		{ git ls-files -co --exclude-standard 2>/dev/null || find . \( -path ./.cache -o -path './build' -o \
			-path './build-check*' \) -prune -o -type f -print; } |
			while read -r file; do [[ ! -f $file ]] || printf '%s\0' "$file"; done |
			tar -cf - --null -T - | tar -C "$tree" -xf -
		SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct 2>/dev/null || stat -c %Y configure.ac)}
		export SOURCE_DATE_EPOCH
		cd "$tree"
		./autogen.sh >/dev/null 2>&1
		mkdir build
		cd build
		../configure -q >/dev/null
		make -s dist-gzip >/dev/null
		mv pgherald-*.tar.gz "$2"
	) || return 1
	rm -rf "$tree"
}

# packages_of TARBALL OUT [OPTIONS]: its Debian packages, built in the root by nobody, into OUT.
# shellcheck disable=SC2016 # the inner shell expands it
packages_of() {
	local tarball=$1 out=$2
	mkdir -p "$out"
	cp "$tarball" "$out"
	in_root "$root" "$out" bash -euc '
		place=$1 mask=$2 options=$3
		install -d -o nobody "$place"
		umask "$mask"
		cd "$place"
		cp /out/*.tar.gz .
		tar -xf *.tar.gz --wildcards "*/packaging/debian/build" -O >build
		chmod 0755 . && chmod 0644 build *.tar.gz
		setpriv --reuid=nobody --regid=nogroup --clear-groups env HOME=/nowhere DEB_BUILD_OPTIONS="$options" \
			sh build *.tar.gz "$place/deb"
		cp "$place"/deb/* /out
	' - "${3:-/build}" "${4:-022}" "${5-}"
}

# The packages of this tree, kept as long as it is the same; nobody else makes others there until this test ends.
packages() {
	local key kept=$top/.cache/packages/$suite
	mkdir -p "${kept%/*}"
	exec {packages_lock}>"$kept.lock"
	flock "$packages_lock"
	key=$(cd "$top" && { git ls-files -co --exclude-standard 2>/dev/null || find . -type f; } | LC_ALL=C sort |
		grep -v '^packaging/testing/' | while read -r f; do [[ ! -f $f ]] || sha256sum "$f"; done | sha256sum)
	debs=$kept
	[[ $(cat "$kept/key" 2>/dev/null) != "$key" ]] || return 0
	rm -rf "$kept"
	mkdir -p "$kept"
	{
		release_of "$top" "$work/release" &&
			packages_of "$work"/release/*.tar.gz "$kept" /build 022 nocheck
	} >"$work/packages.log" 2>&1 || {
		fail "the packages could not be built"
		tail -n 40 "$work/packages.log" | sed 's/^/    /'
		exit 1
	}
	echo "$key" >"$kept/key"
}

# packages_before TEST: those of the release before (UPGRADE_FROM=COMMIT; else the last tag, else the
# commit before packaging changed), in $old. Ends the test where there is none.
packages_before() {
	local before
	before=${UPGRADE_FROM:-$(cd "$top" && { git describe --tags --abbrev=0 --match 'v*' 2>/dev/null ||
		git log --format=%H^ -n 1 -- packaging/debian packaging/systemd | xargs -r git rev-parse; })}
	[[ -n $before ]] || {
		skip "$1: there is no release before this one here"
		exit 0
	}
	old=$top/.cache/packages/$suite.$before
	[[ ! -e $old/done ]] || return 0
	rm -rf "$old"
	mkdir -p "$work/before"
	git -C "$top" archive "$before" | tar -C "$work/before" -xf -
	sed -i '1s/(\(.*\))/(\1~before)/' "$work/before/packaging/debian/changelog"
	check "$1: the packages of ${before:0:12}" release_of "$work/before" "$work/old" || exit
	check "$1: built in $suite" packages_of "$work"/old/*.tar.gz "$old" /build 022 nocheck || exit
	touch "$old/done"
}

# boot ROOT OUT COMMAND...: boots a copy of ROOT under a systemd of its own, without a network, and
# runs COMMAND, a function of this shell, beside it; there, `inside COMMAND...` is in the container.
boot() {
	local place status
	place=$(mktemp -d) || return 1
	command -v systemd-nspawn >/dev/null || {
		skip "there is no systemd-nspawn"
		return
	}
	export here work debs
	# shellcheck disable=SC2046 # names of functions
	export -f $(compgen -A function)
	unshare --mount --pid --fork --kill-child bash -c 'booted "$@"' - "$place" "$1" "$2" "${@:3}"
	status=$?
	rmdir "$place" 2>/dev/null
	return "$status"
}

booted() {
	local place=$1 i
	mount -t proc proc /proc || return 1
	root_mount "$2" "$place" "$3" || return 1
	export SYSTEMD_NSPAWN_UNIFIED_HIERARCHY=1 leader=''
	prlimit --pid $BASHPID --nofile=524288:524288 2>/dev/null # a container may not
	systemd-nspawn -q -D "$place/root" --boot --register=no --keep-unit --private-network --console=pipe \
		--system-call-filter=bpf --capability=all --hostname=pgherald --bind="$place/root/src:/src" \
		${3:+--bind="$3:/out"} --tmpfs=/tmp:mode=1777 </dev/null >"$work/console.log" 2>&1 &
	for ((i = 0; i < 600; i++)); do
		leader=$(pgrep -o -P $! 2>/dev/null)
		[[ -z $leader ]] || case $(inside systemctl is-system-running 2>/dev/null) in
		running | degraded) break ;;
		esac
		sleep 0.1
	done
	((i < 600)) || {
		skip "no systemd boots here: $(grep . "$work/console.log" | tail -n 1)"
		return
	}
	shift 3
	"$@"
	inside systemctl poweroff --force >/dev/null 2>&1
	wait
}

inside() { nsenter -t "$leader" -a env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LC_ALL=C.UTF-8 "$@"; }

# --- In the container ------------------------------------------------------------------------------

unit() { inside systemctl show -P "$1" "${2:-pgherald.service}"; }
answers() { inside curl -fsS -m 5 -o /dev/null "http://127.0.0.1:${2:-8080}/$1"; }
is() { [[ $1 == "$2" ]] || {
	echo "is \"$1\", not \"$2\""
	return 1
}; }
# Edits a file of the container in place: its owner and mode stay.
edit() { inside sed -i --follow-symlinks "$@"; }
# shellcheck disable=SC2016 # the inner shell expands it
configure() { inside sh -c 'cat /src/packaging/testing/pgherald.conf >"$1"; printf "%s\n" "$2" >>"$1"' - "$@"; }
# shellcheck disable=SC2016 # the inner shell expands it
hears() { # TOKEN WORDS [PORT]: a change of order 1 reaches who has this token
	inside sh -c '
		curl -sN -m 20 -H "Authorization: Token $1" "http://127.0.0.1:$3/api/v1/sse/events/" >/tmp/heard &
		until grep -q connected /tmp/heard 2>/dev/null; do sleep 0.05; done
		runuser -u postgres -- psql -qd shop -c "UPDATE orders_order SET n = n + 1, number = '\''$2'\'' WHERE id = 1"
		for i in $(seq 200); do grep -q "$2" /tmp/heard && break; sleep 0.05; done
		kill $!
		grep "$2" /tmp/heard
	' - "$1" "$2" "${3:-8080}"
}


modes() { is "$(inside stat -c '%a %U %G' /etc/pgherald/pgherald.conf /etc/pgherald | paste -sd' ')" \
	'640 root pgherald 750 root pgherald'; }
database() {
	inside systemctl start postgresql && soon inside runuser -u postgres -- psql -qc 'SELECT 1' &&
		inside runuser -u postgres -- createdb shop &&
		inside runuser -u postgres -- psql -v ON_ERROR_STOP=1 -qd shop -f /src/packaging/testing/shop.sql
}
sql_install() {
	inside runuser -u postgres -- sh -c '! cat /etc/pgherald/pgherald.conf' 2>/dev/null &&
		inside pgherald sql install --apply --dsn dbname=shop
}
starts() { inside systemctl start pgherald && is "$(unit ActiveState)" active && soon answers readyz; }
