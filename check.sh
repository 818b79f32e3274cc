#!/usr/bin/env bash
# SPDX-License-Identifier: PostgreSQL
# Everything that must hold before a change goes in. Works on a copy of the tree in build-check/,
# so neither build/ nor a second run at the same time is in the way.
set -uo pipefail

usage() {
	cat <<-END
		Usage: ./check.sh [--quick] [--only STEP]... | --help

		Installs what the tests need (apt-get or dnf; sudo when you are not root; nothing is
		called when nothing is missing), runs every step and ends with a line
		"N passed, N failed, N skipped". Exit status 1 when anything failed.

		  build        with every warning as an error
		  lint         tests/lint/: floors, banned calls, settings, format, man pages, shell
		  unit         the unit tests and the fuzz targets over their seeds
		  clang        the same, built by clang, as a user without rights
		  system       tests/system/: a real PostgreSQL, a real Django, real streams
		  asan-unit    the unit tests under AddressSanitizer and UBSan
		  asan-system  the system tests under the same
		  tsan         the worker test under ThreadSanitizer
		  versions     the tests of the database against PostgreSQL 13 to 18, those that are not installed
		               from npm, if there is one; with "system" without the one that it has had, and on
		               those between the oldest and the newest in short
		  distribution tests/distribution.sh: on Debian 13 (with the other steps, only what its libraries
		               decide), and the unit tests as a 32-bit program there
		  clients      tests/clients.sh: the clients, in browsers; skipped without Node 20.19 and npm
		  python       tests/python.sh: the packages for Python, with old and new versions of what they
		               stand on
		  foreign      tests/foreign/run --short: a part of Django's own tests, with a watch on every
		               table and without
		  dist         make distcheck
		  packaging    packaging/test quick: the release's bytes, what is installed, the units
		  guard        tests/guard/: instructions, allocations and system calls under their limits

		  --quick      without the sanitizers, the other versions and the tests of others
		  --only STEP  only that step and what it is built from; may be given again
		  --help       this text

		What each step said is kept in build-check/log/.
		PYTHON=... names another interpreter that has pytest, Django and psycopg2.
	END
}

# In this order, two at a time: what is soon known first, then the longest.
steps=(build lint unit system versions asan-system distribution clients clang asan-unit tsan python foreign packaging
	guard dist)
python=${PYTHON:-/usr/bin/python3}
arguments=("$@")
only=()
while (($#)); do
	case $1 in
	--quick) only=(build lint unit clang system clients python dist packaging guard) ;;
	--only)
		[[ " ${steps[*]} " == *" ${2-} "* ]] || {
			echo "check: --only wants one of: ${steps[*]}" >&2
			exit 2
		}
		only+=("$2")
		shift
		;;
	--help | -h)
		usage
		exit 0
		;;
	*)
		usage >&2
		exit 2
		;;
	esac
	shift
done
((${#only[@]})) || only=("${steps[@]}")

top=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd -P)
cd "$top" || exit 1

wanted() { [[ " ${only[*]} " == *" $1 "* ]]; }
say() { printf 'check: %s\n' "$*"; }
die() {
	printf 'check: %s\n' "$*" >&2
	exit 1
}

# --- What the machine must have ----------------------------------------------------------------

# shellcheck source=build-aux/packages.sh disable=SC1091
. "$top/build-aux/packages.sh"
# shellcheck source=build-aux/supervise.sh disable=SC1091
. "$top/build-aux/supervise.sh"

# Not everywhere packaged outside of Debian; its test skips without it.
has_extension() {
	! has_command apt-get || compgen -G "/usr/share/postgresql/*/extension/$1.control" >/dev/null
}
# Roots of other releases are made where there is apt.
has_apt_command() { ! has_command apt-get || has_command "$1"; }
has_link() { echo 'int main(void){return 0;}' | cc -x c "$1" -o /dev/null - 2>/dev/null; }

needed() {
	needed_by_all
	cat <<-'END'
		command ps procps procps-ng
		command clang clang clang
		command clang-format clang-format clang-tools-extra
		command mandoc mandoc mandoc
		command shellcheck shellcheck ShellCheck
		command ip iproute2 iproute
		command strace strace strace
		command valgrind valgrind valgrind
		command zsh zsh zsh
		command faketime faketime libfaketime
		module cmocka libcmocka-dev libcmocka-devel
		module hiredis libhiredis-dev hiredis-devel
		module rdkafka librdkafka-dev librdkafka-devel
		link -fsanitize=address libc6-dev libasan
		link -fsanitize=undefined libc6-dev libubsan
		link -fsanitize=thread libc6-dev libtsan
		extension pgtap pgtap pgtap
		apt_command mmdebstrap mmdebstrap mmdebstrap
		apt_command apparmor_parser apparmor apparmor
		python pytest python3-pytest python3-pytest
		python psycopg2 python3-psycopg2 python3-psycopg2
	END
	# Of use only where its tests can run: Debian 12 has no Node that is new enough.
	! wanted clients || ! has_command npm || echo command chromium chromium chromium
}

# Programs that serve as soon as their Debian package is installed are not installed: tests unpack
# them for themselves (tests/system/lib/debs.py).
useful() {
	cat <<-'END'
		browser chromium chromium chromium
		httpd apache2 apache2-bin httpd
		command openssl openssl openssl
		python xdist python3-pytest-xdist python3-pytest-xdist
		python httpx python3-httpx python3-httpx
		python wsproto python3-wsproto python3-wsproto
		python websockets python3-websockets python3-websockets
		python jwt python3-jwt python3-jwt
		python prometheus_client python3-prometheus-client python3-prometheus_client
		python cryptography python3-cryptography python3-cryptography
		python rest_framework_simplejwt python3-djangorestframework-simplejwt -
		command java default-jre-headless java-latest-openjdk-headless
		command mvn maven maven
		command nginx - nginx
		command haproxy - haproxy
		command caddy - caddy
		command pgbouncer - pgbouncer
	END
}
has_browser() { has_command chromium || has_command chromium-browser || has_command google-chrome; }
has_httpd() { [[ -x /usr/sbin/apache2 ]] || has_command httpd; }

# --- Processes -------------------------------------------------------------------------------
# All that a step starts carries PGHERALD_CHECK in its environment: what is still alive at the end
# is found by it, also when it has left its parent and its process group.

mark=PGHERALD_CHECK=$$.$RANDOM$RANDOM

ours() {
	grep -lzx "$mark" /proc/[0-9]*/environ 2>/dev/null | sed 's|/proc/||; s|/environ||'
}

stop_ours() { # the polite way first: pytest then tears its clusters down
	local signal pid i pids
	for signal in INT TERM KILL; do
		for pid in $(ours); do kill -s "$signal" "$pid" 2>/dev/null; done
		for ((i = 0; i < 100; i++)); do
			mapfile -t pids < <(ours)
			((${#pids[@]})) || return 0
			sleep 0.1
		done
	done
}

lanes=()
on_exit() {
	local status=$? pid
	trap '' TERM
	trap - EXIT
	for pid in "${lanes[@]}"; do kill -s TERM "$pid" 2>/dev/null; done
	stop_ours
	rm -rf "$tmp"
	[[ $work == "$top/build-check" ]] || rm -rf "$work"
	exit "$status"
}

# lane FUNCTION ARG...: in the background, so that a signal finds this script waiting, not busy.
lane() {
	"$@" 9>&- &
	lanes+=($!)
}

# --- Counting ----------------------------------------------------------------------------------
# Each prints "PASSED FAILED SKIPPED"; nothing when there is nothing to count.

# Cases in the logs that automake's test driver leaves: cmocka's own lines where a test has them.
count_make() { # BUILD
	local trs
	find "$work/$1" -name '*.trs' | while read -r trs; do
		awk -v result="$(sed -n 's/^:global-test-result: *//p' "$trs")" '
			/^\[ *OK *\]/ { ok++ }
			/^\[ *FAILED *\] [^ ]+$/ && !seen[$NF]++ { failed++ }
			/^\[ *SKIPPED *\] [^ ]+$/ && !seen[$NF]++ { skipped++ }
			END {
				if (!ok && !failed && !skipped)
					ok = result == "PASS"
				if (result == "SKIP" && !skipped)
					skipped = 1
				if (result !~ /^(PASS|SKIP)$/ && !failed)
					failed = 1
				print ok + 0, failed + 0, skipped + 0
			}' "${trs%.trs}.log"
	done | awk '{ p += $1; f += $2; s += $3 } END { if (NR) print p, f, s }'
}

count_pytest() { # XML_FILE...
	"$python" - "$@" <<-'END'
		import sys, xml.etree.ElementTree as tree
		n = {"tests": 0, "failures": 0, "errors": 0, "skipped": 0}
		for path in sys.argv[1:]:
		    for suite in tree.parse(path).iter("testsuite"):
		        for key in n:
		            n[key] += int(suite.get(key, 0))
		bad = n["failures"] + n["errors"]
		print(max(n["tests"] - bad - n["skipped"], 0), bad, n["skipped"])
	END
}

# A version that cannot be had counts as one test that was skipped.
count_versions() { # NAME
	local p=0 f=0 s=0 files
	mapfile -t files < <(compgen -G "$tmp/$1/*.xml")
	((!${#files[@]})) || read -r p f s < <(count_pytest "${files[@]}")
	echo "$p $f $((s + $(grep -c '^[a-z0-9:]*: SKIP: ' "$log/$1")))"
}

count_reports() { # NAME: what its reports say, and the lines of what could not be had
	local p=0 f=0 s more files
	s=$(grep -c '^SKIP: ' "$log/$1")
	mapfile -t files < <(compgen -G "$tmp/$1/*.xml")
	if ((${#files[@]})); then
		read -r p f more < <(count_pytest "${files[@]}")
		echo "$p $f $((s + more))"
	elif ((s)); then
		echo "0 0 $s"
	fi
}

count_lines() { # NAME
	awk '$1 ~ /^(PASS|FAIL|SKIP):$/ { n[$1]++ }
		END { if (NR) print n["PASS:"] + 0, n["FAIL:"] + 0, n["SKIP:"] + 0 }' "$log/$1"
}

count() { # STEP
	case $1 in
	lint | guard | foreign | packaging) count_lines "$1" ;;
	unit) count_make plain ;;
	clang) count_make clang ;;
	asan-unit) count_make asan ;;
	tsan) count_make tsan ;;
	system | asan-system) count_pytest "$tmp/$1.xml" ;;
	versions | distribution) count_versions "$1" ;;
	clients | python) count_reports "$1" ;;
	esac 2>/dev/null
}

# --- Steps -------------------------------------------------------------------------------------

# step NAME FUNCTION ARG...: with its output in log/NAME. Neither a crash nor an empty run is a
# success, whatever the cases say.
step() {
	local name=$1 status begin=$SECONDS p f s word=ok
	shift
	# A session of its own, so that timeout ends all of it; and with SIGINT as usual, which a shell
	# takes away from what it starts in the background.
	env --default-signal=INT "$mark" STEP="$name" setsid timeout -k 20 40m bash -c '"$@"' - "$@" \
		>"$log/$name" 2>&1 </dev/null &
	wait $!
	status=$?
	((status != 124)) || echo "gave up after 40 minutes" >>"$log/$name"
	read -r p f s < <(count "$name")
	case $name in
	build | dist) p=1 f=0 s=0 ;;
	esac
	if ((status)) && [[ ${f:-0} == 0 ]]; then
		case $name in
		build | dist) p=0 ;;
		esac
		f=1
	elif [[ -z $p ]]; then
		f=1
		echo "no test has run" >>"$log/$name"
	fi
	((${f:-0} == 0)) || word=FAIL
	echo "${p:-0} ${f:-0} ${s:-0}" >"$tmp/count.$name"
	{
		flock 8
		printf 'check: %-4s %-12s %4d passed %3d failed %3d skipped %5d s\n' \
			"$word" "$name" "${p:-0}" "${f:-0}" "${s:-0}" "$((SECONDS - begin))"
		sed -n 's/^\([0-9]*\): SKIP: /check: skip PostgreSQL \1: /p; s/^\([a-z][a-z0-9:]*\): SKIP: /check: skip Debian \1: /p' "$log/$name"
		[[ ! $name =~ ^(clients|python|foreign)$ ]] ||
			sed -n "s/^SKIP: /check: skip $name: /p" "$log/$name"
		if [[ $word == FAIL ]]; then
			tail -n 200 "$log/$name" | sed 's/^/    /'
			say "the whole of it is in ${log#"$top"/}/$name"
			grep -hE '^ *(FAILED|ERROR|FAIL:) ' "$log/$name" | sed "s/^ */check: FAIL $name: /" >"$tmp/failed.$name"
		fi
	} 8>"$tmp/print"
	[[ $word == ok ]]
}

skip() { # STEP WHY
	echo "0 0 1" >"$tmp/count.$1"
	printf 'check: skip %-12s %s\n' "$1" "$2"
}

# The tree as git sees it, uncommitted changes included; of a release tarball everything.
list_files() {
	if git -C "$top" rev-parse --git-dir >/dev/null 2>&1; then
		git -C "$top" -c core.quotePath=off ls-files -co --exclude-standard
	else
		# what .gitignore says, as far as it matters: a build in this tree is no part of it
		find "$top" \( -name .git -o -name .demo -o -name .venv -o -name .cache -o -name .deps \
			-o -name '*.o' -o -name '*.a' -o -name '*.trs' -o -name .dirstamp -o -name Makefile \
			-o -name config.status -o -name config.log -o -path "$top/config.h" \
			-o -path "$top/stamp-h1" -o -path "$top/pgherald" -o -path "$top/sql_text.c" \
			-o -path "$top/check_table.c" -o -path "$top/build" -o -path "$top/build-check*" \) \
			-prune -o -type f -printf '%P\n'
	fi | while read -r f; do
		[[ ! -f $top/$f ]] || printf '%s\n' "$f"
	done | LC_ALL=C sort -u
}

copy_tree() {
	local source=$work/source old=$work/files
	list_files >"$tmp/files"
	mkdir -p "$source"
	if [[ -e $old ]]; then
		LC_ALL=C comm -23 "$old" "$tmp/files" | (cd "$source" && xargs -r -d '\n' rm -f)
	fi
	tar -C "$top" -T "$tmp/files" -cf - | tar -C "$source" -xf - || return 1
	cp "$tmp/files" "$old"
	if [[ -n $(find "$source/configure.ac" "$source/Makefile.am" -newer "$source/configure" 2>&1) ]]; then
		"$source/autogen.sh"
	fi
}

# make_build NAME CONFIGURE_ARG...: in a directory of its own below build-check/.
make_build() {
	local name=$1 turn
	shift
	mkdir -p "$work/$name"
	cd "$work/$name" || return 1
	exec {turn}>"$work/$name.lock" # two lanes may want it
	flock "$turn"
	if [[ ! -e Makefile || $work/source/configure -nt config.status ]]; then
		"$work/source/configure" -q "$@" || return 1
	fi
	make -j "$jobs" all
	set -- $?
	exec {turn}>&-
	return "$1"
}

run_build() { copy_tree && make_build plain --enable-werror; }

run_lint() {
	local test failed=0
	cd "$work/source" || return 1
	export srcdir=. PGHERALD=$work/plain/pgherald GIT_DIR=$git_dir
	for test in tests/lint/*.sh; do
		bash "$test"
		case $? in
		0) echo "PASS: $test" ;;
		77) echo "SKIP: $test" ;;
		*) echo "FAIL: $test" && failed=1 ;;
		esac
	done
	return $failed
}

run_unit() { # BUILD [TESTS]
	cd "$work/$1" || return 1
	find . -name '*.trs' -delete
	$setarch make -k -j "$jobs" check LINT_TESTS= VERBOSE=1 ${2:+TESTS="$2"}
}

# As those who build packages do: whoever is root sees nothing of what a mode forbids.
run_clang() {
	local nobody=()
	make_build clang --enable-werror CC=clang CFLAGS='-O1 -g' || return 1
	if ((EUID == 0)); then
		chown -R nobody "$work/clang" || return 1
		nobody=(setpriv --reuid=nobody --regid="$(id -g nobody)" --clear-groups)
	fi
	cd "$work/clang" && find . -name '*.trs' -delete
	"${nobody[@]}" make -k -j "$jobs" check LINT_TESTS= VERBOSE=1
}

run_asan_unit() { make_build asan --enable-sanitizers CFLAGS='-O1 -g' && run_unit asan; }

run_tsan() {
	make_build tsan --enable-sanitizers=thread CFLAGS='-O1 -g' &&
		setarch=$tsan_setarch run_unit tsan tests/unit/test_worker
}

run_system() { # BUILD
	local name more=()
	export PGHERALD=$work/$1/pgherald
	! "$python" -c 'import xdist' 2>/dev/null || more+=(-n "$jobs" --dist loadfile)
	if [[ $1 == asan ]]; then
		make_build asan --enable-sanitizers CFLAGS='-O1 -g' || return 1
		# of proxies, a browser, programs that they build for themselves, and of what PostgreSQL does with
		# SQL that test_sql_cli.py and others have had rendered
		for name in proxy '*_page' demo django foreign_clients backup capture check doorbell_sql extension follow \
			install_busy last_word migration nginx owner_types privileges retention rows serializable \
			tellers traps waiting; do
			more+=(--ignore-glob="*/test_$name*.py")
		done
	fi
	cd "$work/source" || return 1
	"$python" -m pytest -q -p no:cacheprovider --color=no --basetemp="$tmp/$STEP" \
		--junitxml="$tmp/$STEP.xml" "${more[@]}" tests/system
}

run_guard() {
	make -C "$work/plain" bench-programs && "$python" "$work/source/tests/guard/run" --build "$work/plain"
}

run_versions() {
	local status=0
	export PGHERALD=$work/plain/pgherald PYTHON=$python JUNIT=$tmp/versions
	mkdir -p "$JUNIT"
	"$work/source/tests/versions.sh" -j 2 ${others:+--others --short} || status=$?
	((status == 77)) || return "$status"
}

run_distribution() {
	local status bad=0 some=all
	[[ -z $others ]] || some=$decided_by_libraries
	export PGHERALD_ROOTS=${PGHERALD_ROOTS:-$top/.cache/roots}
	mkdir -p "$tmp/distribution"
	JUNIT=$tmp/distribution/trixie.xml "$work/source/tests/distribution.sh" --jobs "$jobs" --system "$some" trixie
	status=$?
	((status == 0 || status == 77)) || bad=1
	JUNIT='' "$work/source/tests/distribution.sh" --jobs "$jobs" trixie:i386 # no system tests, no results
	status=$?
	((status == 0 || status == 77)) || bad=1
	return "$bad"
}

run_clients() {
	local status=0
	export PGHERALD=$work/plain/pgherald PYTHON=$python JUNIT=$tmp/clients
	mkdir -p "$JUNIT"
	"$work/source/tests/clients.sh" || status=$?
	((status == 77)) || return "$status"
}

run_python() {
	local status=0
	export PGHERALD=$work/plain/pgherald PYTHON=$python JUNIT=$tmp/python
	mkdir -p "$JUNIT"
	"$work/source/tests/python.sh" || status=$?
	((status == 77)) || return "$status"
}

run_foreign() {
	local status=0
	PGHERALD=$work/plain/pgherald "$python" "$work/source/tests/foreign/run" --short || status=$?
	((status == 77)) || return "$status"
}

run_dist() { cd "$work/plain" && make distcheck LINT_TESTS=; }

run_packaging() { PGHERALD=$work/plain/pgherald GIT_DIR='' "$work/source/packaging/test" quick; }

# probe SANITIZER COMMAND...: whether a program built with it can run here at all.
probe() {
	local name=$tmp/probe/$1
	mkdir -p "$tmp/probe"
	[[ -x $name ]] || echo 'int main(void){return 0;}' |
		cc -x c -fsanitize="$1" -o "$name" - 2>/dev/null || return 1
	shift
	"$@" "$name" >/dev/null 2>&1
}

# LeakSanitizer needs ptrace, which some containers forbid, and as root the daemon under test is
# somebody else; ThreadSanitizer needs address randomisation off on some kernels.
choose_sanitizer_options() {
	local user=()
	if ((EUID == 0)) && getent passwd postgres >/dev/null; then
		user=(setpriv --reuid=postgres --regid=postgres --clear-groups)
	fi
	export ASAN_OPTIONS=detect_leaks=1:exitcode=99
	export UBSAN_OPTIONS=print_stacktrace=1
	export TSAN_OPTIONS=exitcode=66
	tsan=no tsan_setarch=''
	if wanted asan-unit || wanted asan-system; then
		if ! probe address "${user[@]}" || ! probe address; then
			say "LeakSanitizer cannot run here: AddressSanitizer without leaks"
			ASAN_OPTIONS=detect_leaks=0:exitcode=99
		fi
	fi
	if wanted tsan; then
		if probe thread; then
			tsan=yes
		elif probe thread setarch -R; then
			tsan=yes tsan_setarch='setarch -R'
		fi
	fi
}

# One after the other, until none is left.
run_steps() {
	local name
	while name=$(next_step); do
		case $name in
		tsan)
			if [[ $tsan == yes ]]; then
				step tsan run_tsan
			else
				skip tsan "ThreadSanitizer cannot run here"
			fi
			;;
		unit | system) step "$name" "run_$name" plain ;;
		asan-system) step asan-system run_system asan ;;
		*) step "$name" "run_${name//-/_}" ;;
		esac
	done
}

# The first of those that nobody has begun; nothing when there is none.
next_step() {
	local name
	(
		flock 7
		read -r name <"$tmp/queue" && sed -i 1d "$tmp/queue" && echo "$name"
	) 7>"$tmp/queue.lock"
}

# --- From here to the end ----------------------------------------------------------------------

export LC_ALL=C.UTF-8 PYTHONDONTWRITEBYTECODE=1
if [[ -z ${PGHERALD_SUPERVISOR-} ]]; then
	install_missing # may ask for a password
	install_useful
fi
supervise "$top/check.sh" "${arguments[@]}"
unset MAKEFLAGS GIT_DIR
for name in "${!PG@}"; do unset "$name"; done # an existing server is none of our business

work=$top/build-check
mkdir -p "$work"
exec 9>"$work/lock"
if ! flock -n 9; then
	work=$(mktemp -d "$top/build-check-XXXXXX")
	say "another run is under way; working in ${work##*/}/"
fi
tmp=$(mktemp -d "${TMPDIR:-/tmp}/pgherald-check.XXXXXX")
chmod 0755 "$work" "$tmp" # the tests run the daemon as another user when we are root
trap on_exit EXIT
trap 'exit 143' TERM
log=$work/log
rm -rf "$log"
mkdir -p "$log"
jobs=$(getconf _NPROCESSORS_ONLN)
git_dir=$(git -C "$top" rev-parse --absolute-git-dir 2>/dev/null)
setarch=''
choose_sanitizer_options
decided_by_libraries=test_http.py,test_operation.py,test_inline.py,test_capture_inline.py,test_session.py,test_extension.py
others='' # "versions" has not the one that "system" has
! wanted system || others=yes
export others decided_by_libraries top work tmp log jobs python git_dir setarch tsan_setarch
export -f list_files copy_tree make_build run_build run_lint run_unit run_clang run_asan_unit run_tsan \
	run_system run_clients run_python run_foreign run_guard run_versions run_distribution run_dist run_packaging

for name in "${steps[@]:1}"; do
	! wanted "$name" || echo "$name"
done >"$tmp/queue"
lane step build run_build
if wait "${lanes[-1]}"; then
	lane run_steps # the one mostly waits, the other computes
	lane run_steps
	wait
else
	for name in "${only[@]}"; do
		[[ $name == build ]] || skip "$name" "not built"
	done
fi
lanes=()
read -r passed failed skipped < <(
	cat "$tmp"/count.* | awk '{ p += $1; f += $2; s += $3 } END { print p + 0, f + 0, s + 0 }'
)
cat "$tmp"/failed.* 2>/dev/null # once more, together, where everybody looks
echo "$passed passed, $failed failed, $skipped skipped"
((failed == 0))
