#!/usr/bin/env bash
# SPDX-License-Identifier: PostgreSQL
# Shows pgherald at work on this machine: builds it, makes a PostgreSQL cluster of its own below
# .demo/, fills it with the Django project of examples/estimates and serves the streams.
# Nothing of a former run is reused but build/, so nothing of a former run can be in the way.
set -euo pipefail

usage() {
	cat <<-END
		Usage: ./demo.sh [--russian] [--no-application] [--traffic[=RATE] | --once] | --help

		Builds pgherald into build/, starts a private PostgreSQL (Unix socket, below .demo/),
		the estimates project and the daemon; prints curl lines for a manager and two foremen
		and the address of a live page; with Node 20.19 and npm also of the application in React.
		Ctrl-C ends all of it.

		  --traffic[=RATE]  keep editing through the Django ORM, RATE changes a second (1)
		  --russian         the sample data in Russian
		  --no-application  without the application in React, which npm fetches packages for
		  --once            the proof: three curl clients listen, an estimate's life is told
		                    through the ORM, every line is printed as WHO| line; exit status 0
		                    only if each received exactly what that user may see
		  --help            this text

		Missing packages are installed with apt-get or dnf (sudo when you are not root).
		PYTHON=... names another interpreter that has Django, REST framework and psycopg.
	END
}

top=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd -P)
state=$top/.demo
project=$top/examples/estimates
python=${PYTHON:-/usr/bin/python3}
# The same in every run, when they are free: a page that is open comes back to the next demo.
page_port=7480 daemon_port=7481 application_port=7482
mode=show
application=yes
traffic=
rate=1
export ESTIMATES_LANGUAGE=en
for argument; do
	case $argument in
	--russian) ESTIMATES_LANGUAGE=ru ;;
	--no-application) application='' ;;
	--once) mode=once ;;
	--traffic) traffic=yes ;;
	--traffic=*) traffic=yes rate=${argument#*=} ;;
	--help | -h)
		usage
		exit 0
		;;
	*)
		usage >&2
		exit 2
		;;
	esac
done
if [[ $mode == once && -n $traffic ]]; then
	usage >&2
	exit 2
fi
[[ $rate =~ ^[0-9]+(\.[0-9]+)?$ && $rate =~ [1-9] ]] || {
	echo "demo: --traffic=RATE wants a number above 0, not '$rate'" >&2
	exit 2
}

# --- Words -----------------------------------------------------------------------------------

if [[ -t 1 ]]; then bold=$'\e[1m' plain=$'\e[0m'; else bold='' plain=''; fi

# A signal may come while a function's output is redirected: what we say goes out all the same.
exec 3>&1
say() { printf '%s\n' "demo: $*" >&3; }

# die WORDS [LOG]: ends the script; shows the end of a log that tells more.
die() {
	printf '%s\n' "demo: $1" >&2
	if [[ -n ${2-} && -s $state/log/$2.log ]]; then
		printf '%s\n' "demo: the end of $state/log/$2.log:" >&2
		tail -n 25 "$state/log/$2.log" | sed 's/^/    /' >&2
	fi
	exit 1
}

# --- What the machine must have ----------------------------------------------------------------

# shellcheck source=build-aux/packages.sh disable=SC1091
. "$top/build-aux/packages.sh"
# shellcheck source=build-aux/supervise.sh disable=SC1091
. "$top/build-aux/supervise.sh"

has_psycopg() { has_python psycopg2 || has_python psycopg; }
needed() {
	needed_by_all
	cat <<-'END'
		command psql postgresql-client postgresql
		psycopg any python3-psycopg2 python3-psycopg2
	END
}

# The directory of the newest PostgreSQL server's programs.
pg_bin() {
	local found
	found=$(
		printf '%s\n' /usr/lib/postgresql/*/bin/postgres /usr/pgsql-*/bin/postgres |
			grep -v '[*]' | sort -V | tail -n 1
	)
	[[ -n $found ]] || found=$(command -v postgres) || return 1
	dirname "$(readlink -f "$found")"
}

# --- Processes -------------------------------------------------------------------------------
# Each one we start leads a session of its own, has its pid and start time on file, and gets a
# signal from the kernel if this script dies: even after a kill -9 nothing of us stays behind.

start_time() { # of a live process, in ticks since boot: with the pid that is a process's name
	local stat
	{ stat=$(<"/proc/$1/stat"); } 2>/dev/null || return 1
	read -ra stat <<<"${stat##*) }"
	[[ ${stat[0]} != Z ]] && printf '%s\n' "${stat[19]}"
}

# launch NAME SIGNAL COMMAND...: in the background; SIGNAL is what ends it in good order.
launch() {
	local name=$1 signal=$2
	shift 2
	# Both sides write it: the child so that it exists even if we are killed right now, we so that
	# it exists when we go on.
	(
		exec 3>&- 9>&-
		note "$name" "$BASHPID" "$signal"
		# What a shell starts in the background ignores SIGINT, PostgreSQL's signal.
		exec env --default-signal=INT setsid "${drop[@]}" --pdeathsig "$signal" "$@"
	) &
	launched=$!
	note "$name" "$launched" "$signal"
}

note() { # NAME PID SIGNAL
	local started file=$state/run/$1.pid
	started=$(start_time "$2") || started=0
	# In one piece: whoever reads it must not find it empty because the other side writes it again.
	printf '%s %s %s\n' "$2" "$started" "$3" >"$file.$BASHPID"
	mv -f "$file.$BASHPID" "$file"
}

# step NAME COMMAND...: one that ends by itself; waits in a way that lets a signal through.
step() {
	local name=$1
	shift
	launch "$name" TERM "$@" >>"$state/log/$name.log" 2>&1
	wait "$launched" || die "$name failed (status $?)" "$name"
	rm -f "$state/run/$name.pid"
}

is_running() { # NAME
	local pid started signal
	read -r pid started signal 2>/dev/null <"$state/run/$1.pid" || return 1
	[[ $(start_time "$pid") == "$started" ]]
}

# stop NAME: by its pid file, and only if that is still the very process we started.
stop() {
	local pid started signal i
	read -r pid started signal 2>/dev/null <"$state/run/$1.pid" || return 0
	if is_running "$1"; then
		for ((i = 0; i < 200; i++)); do
			is_running "$1" || break
			# No group yet: still a shell of ours, which only SIGTERM ends. Again after a while,
			# because a process that is just becoming another one may lose a signal.
			((i % 40)) || kill -s "$signal" -- "-$pid" 2>/dev/null ||
				kill -s TERM "$pid" 2>/dev/null || true
			sleep 0.05
		done
		if is_running "$1"; then
			say "$1 does not end; killing it"
			kill -s KILL -- "-$pid" 2>/dev/null || kill -s KILL "$pid" 2>/dev/null || true
		fi
	fi
	rm -f "$state/run/$1.pid"
}

stop_all() {
	local file name pid
	for name in proof traffic daemon page application; do stop "$name"; done
	for file in "$state"/run/*.pid; do
		[[ ! -e $file || $file == */postgres.pid ]] || stop "$(basename "$file" .pid)"
	done
	stop postgres
	# A signal between a fork and its pid file: those are still our children.
	for pid in $(jobs -pr); do kill -s TERM "$pid" 2>/dev/null || true; done
	if [[ -r $state/run/socket_dir && $(<"$state/run/socket_dir") == /tmp/pgherald-demo.* ]]; then
		rm -rf "$(<"$state/run/socket_dir")"
	fi
	rm -rf "$state/run" "$state/pg" "$state/sock"
}

on_exit() {
	local status=$?
	trap '' TERM
	trap - EXIT
	stop_all
	if ((status == 143 || status == 2)); then # see end_supervised
		say "stopped; nothing is left running"
	fi
	exit "$status"
}

# wait_line NAME TEXT: until its log has a line with TEXT; prints what follows TEXT there.
wait_line() {
	local i line
	for ((i = 0; i < 1200; i++)); do
		line=$(grep -F -m 1 -- "$2" "$state/log/$1.log" 2>/dev/null) && break
		is_running "$1" || die "$1 ended before it was ready" "$1"
		sleep 0.05
	done
	[[ -n $line ]] || die "$1 was not ready within a minute" "$1"
	printf '%s\n' "${line#*"$2"}"
}

# --- The parts -------------------------------------------------------------------------------

# PostgreSQL refuses to be root and the daemon needs no right of root's. dac_read_search lets
# them see a clone below a directory that is closed to others, such as /root.
choose_user() {
	local caps=(--inh-caps=+dac_read_search --ambient-caps=+dac_read_search)
	drop=(setpriv)
	((EUID == 0)) || return 0
	getent passwd postgres >/dev/null || die "no user 'postgres' on this machine"
	drop=(setpriv --reuid=postgres --regid=postgres --clear-groups)
	# Some containers do not have the capability to give.
	if "${drop[@]}" "${caps[@]}" true 2>/dev/null; then drop+=("${caps[@]}"); fi
	# Really open it: access(2), which `test -r` calls, leaves capabilities out of account.
	"${drop[@]}" head -c 1 "$project/manage.py" >/dev/null 2>&1 ||
		die "the user 'postgres' cannot read $top; clone to a directory open to others"
}

# Where the program is built: in build/, or in the tree itself if somebody has configured that.
build() {
	local jobs
	umask 022 # the daemon is started by another user
	jobs=$(getconf _NPROCESSORS_ONLN)
	local drop=(setpriv) # with the rights of whoever owns the clone
	built=$top/build
	[[ ! -e $top/config.status ]] || built=$top
	if [[ ! -e $built/Makefile ]]; then
		say "configuring into build/"
		if [[ ! -e $top/configure || ! -e $top/Makefile.in || ! -e $top/build-aux/install-sh ]]; then
			step autogen "$top/autogen.sh"
		fi
		mkdir -p "$built"
		step configure env -C "$built" ../configure --disable-silent-rules
	fi
	if [[ ! -x $built/pgherald || -n $(find "$top/src" -newer "$built/pgherald") ]]; then
		say "building"
	fi
	step make make -C "$built" -j "$jobs" all
}

# The application in React, where there is a Node for it. Built again when something is newer.
build_application() {
	local front=$project/frontend drop=(setpriv)
	if ! node -e 'const [a, b] = process.versions.node.split(".").map(Number);
		process.exit(a > 20 || (a == 20 && b >= 19) ? 0 : 1)' 2>/dev/null || ! has_command npm; then
		say "no application in React: it needs Node 20.19 or newer, and npm"
		return 1
	fi
	if [[ -e $front/dist/index.html && -z $(find "$front"/{src,index.html,package-lock.json,vite.config.ts} \
		"$top/clients/js/src" -newer "$front/dist/index.html" -print -quit) ]]; then
		return 0
	fi
	say "building the application in React"
	launch npm TERM env -C "$front" npm_config_update_notifier=false bash -c \
		'npm ci --no-audit --no-fund --ignore-scripts && npm run build' >"$state/log/npm.log" 2>&1
	if wait "$launched"; then
		rm -f "$state/run/npm.pid"
		return 0
	fi
	rm -f "$state/run/npm.pid"
	say "no application in React: npm failed, see $state/log/npm.log"
	return 1
}

fresh_state() {
	local mode=0700 group
	group=$(id -g)
	if ((EUID == 0)); then mode=2750 group=$(id -g postgres); fi
	rm -rf "$state/log" "$state"/*.json "$state/pgherald.conf" "$state/manage"
	install -d -g "$group" -m "$mode" "$state"
	install -d -g "$group" -m "$mode" "$state/run" "$state/log"
}

start_postgres() {
	local bin owner=() sock=$state/sock
	bin=$(pg_bin)
	((EUID)) || owner=(-o postgres -g postgres)
	# A socket's path has room for 107 bytes, and the server's list of them splits at commas.
	if ((${#sock} > 85)) || [[ $sock =~ [^A-Za-z0-9/._-] ]]; then
		sock=$(mktemp -d /tmp/pgherald-demo.XXXXXX)
		printf '%s\n' "$sock" >"$state/run/socket_dir"
	fi
	install -d "${owner[@]}" -m 0700 "$state/pg" "$sock"
	export PGHOST=$sock PGPORT=5432
	step initdb "$bin/initdb" -D "$state/pg" -U postgres -A trust -E UTF8 --locale=C.UTF-8 -N
	# Thrown away at the end, so it need not survive a power cut.
	launch postgres INT "$bin/postgres" -D "$state/pg" -c listen_addresses= -c port=5432 \
		-c unix_socket_directories="$sock" -c unix_socket_permissions=0700 -c fsync=off \
		>"$state/log/postgres.log" 2>&1
	wait_line postgres "database system is ready to accept connections" >/dev/null
	step psql psql -X -q -v ON_ERROR_STOP=1 -U postgres -d postgres \
		-c "CREATE ROLE estimates LOGIN" -c "CREATE DATABASE estimates OWNER estimates"
	export PGDATABASE=estimates
}

manage() { # how to call manage.py, in the array `manage`
	manage=(env PGUSER=estimates "$python" "$project/manage.py")
	{
		echo '#!/bin/bash'
		echo '# Made by demo.sh: manage.py with the database of the demo.'
		printf 'export PGHOST=%q PGPORT=%q PGDATABASE=%q ESTIMATES_LANGUAGE=%q\n' \
			"$PGHOST" "$PGPORT" "$PGDATABASE" "$ESTIMATES_LANGUAGE"
		printf 'exec %s "$@"\n' "${manage[*]@Q}"
	} >"$state/manage"
	chmod u+x "$state/manage"
}

fill() {
	step migrate "${manage[@]}" migrate -v 0
	launch seed TERM "${manage[@]}" seed >"$state/users.json" 2>"$state/log/seed.log"
	wait "$launched" || die "seed failed" seed
}

# Prints the port if nobody listens on it, else 0.
free_or_any() {
	if (: <>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; then echo 0; else echo "$1"; fi
}

# The example's configuration with this run's addresses.
configure_daemon() {
	local port
	port=$(free_or_any "$daemon_port")
	sed -e "s|^listen *=.*|listen = 127.0.0.1:$port|" \
		-e "s|^cors_origins *=.*|cors_origins = $origin${application:+, $application}|" \
		"$project/pgherald.conf" >"$state/pgherald.conf"
}

start_daemon() {
	local i pgherald=$built/pgherald
	step install "$pgherald" sql install -c "$state/pgherald.conf" --apply \
		--dsn "dbname=estimates user=postgres"
	launch daemon TERM "$pgherald" serve -c "$state/pgherald.conf" >"$state/log/daemon.log" 2>&1
	daemon=http://127.0.0.1:$(wait_line daemon "listening on 127.0.0.1:")
	for ((i = 0; i < 600; i++)); do
		curl -fs -o /dev/null "$daemon/readyz" && return
		is_running daemon || die "the daemon ended" daemon
		sleep 0.05
	done
	die "the daemon is not ready after half a minute" daemon
}

show() {
	local events=$daemon/api/v1/sse/events/
	"$python" - "$state/users.json" "$events" "$state/manage story" >"$state/live.json" <<-'END'
		import json, sys, time
		users = json.load(open(sys.argv[1], encoding="utf-8"))
		people = [dict(user, name=name) for name, user in users.items()]
		demo = {"demo": time.time(), "events_url": sys.argv[2], "hint": sys.argv[3], "users": people}
		print(json.dumps(demo))
	END
	printf '\n%s\n' "${bold}Live page${plain}  $origin/"
	[[ -z $application ]] || printf '\n%s\n' "${bold}Application${plain}  $application/ (in React; open it as two people)"
	printf '\n%s\n' "${bold}Streams${plain}"
	"$python" - "$state/live.json" <<-'END'
		import json, sys
		live = json.load(open(sys.argv[1], encoding="utf-8"))
		for user in live["users"]:
		    print("  # %s\n  curl -N '%s?token=%s'" % (user["name"], live["events_url"], user["token"]))
	END
	printf '\n%s\n' "${bold}Change something${plain}"
	printf '  %q %s\n' "$state/manage" "story" "$state/manage" "traffic" "$state/manage" "shell"
	printf '\n%s\n\n' "Ctrl-C ends everything. Logs are in $state/log/."
}

watch() { # until one of them ends, which none should
	local name
	if [[ -n $traffic ]]; then launch traffic TERM "${manage[@]}" traffic --rate "$rate"; fi
	wait -n || true
	for name in daemon postgres page traffic application; do
		is_running "$name" || [[ $name == traffic && -z $traffic ]] ||
			[[ $name == application && -z $application ]] || die "$name ended" "$name"
	done
}

# --- From here to the end ----------------------------------------------------------------------

export LC_ALL=C.UTF-8 PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1
[[ -n ${PGHERALD_SUPERVISOR-} ]] || install_missing # may ask for a password
supervise "$top/demo.sh" "$@"
for name in "${!PG@}"; do unset "$name"; done # an existing server is none of our business
cd /

[[ -w $top ]] || die "$top is not writable"
mkdir -p "$state"
exec 9>"$state/lock"
# A while for one that was killed and is being ended.
flock -w 3 9 || die "another ./demo.sh is running in $top"
trap on_exit EXIT
trap 'exit 143' TERM
stop_all
choose_user
fresh_state
build
[[ -n $application && $mode == show ]] && build_application || application=''
umask 027
say "starting PostgreSQL, Django's tables and the daemon"
start_postgres
manage
fill
launch page TERM "$python" "$project/live/serve.py" "$page_port" "$state/live.json" -- \
	"${manage[@]}" act >"$state/log/page.log" 2>&1
origin=http://127.0.0.1:$(wait_line page "listening on 127.0.0.1:")
if [[ -n $application ]]; then
	launch application TERM env PGUSER=estimates "$python" "$project/frontend/serve.py" \
		"$application_port" "$state/live.json" >"$state/log/application.log" 2>&1
	application=http://127.0.0.1:$(wait_line application "listening on 127.0.0.1:")
fi
configure_daemon
start_daemon
if [[ $mode == show ]]; then
	show
	watch
else
	launch proof TERM "$python" "$project/proof.py" "$daemon/api/v1/sse/events/" \
		"$state/users.json" -- "${manage[@]}"
	wait "$launched" || die "the proof failed" daemon
fi
