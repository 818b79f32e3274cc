#!/usr/bin/env bash
# SPDX-License-Identifier: PostgreSQL
# For check.sh and demo.sh, which read this file and must end in good order at any Ctrl-C. bash
# forgets a SIGINT that comes while it waits for a $(...) or forks. So the script that is started
# does nothing but wait for a second run of itself, which has a session of its own, out of the
# terminal's reach: every signal is passed on to it as SIGTERM, which bash treats like any other.

# supervise SCRIPT ARG...: never returns in the first run; in the second it does at once.
supervise() {
	local status=0
	if [[ -n ${PGHERALD_SUPERVISOR-} ]]; then
		# The kernel ends us when the first run is killed; it may have been killed before.
		[[ $PPID == "$PGHERALD_SUPERVISOR" ]] || exit 143
		unset PGHERALD_SUPERVISOR
		return
	fi
	trap 'end_supervised 130' INT
	trap 'end_supervised 143' TERM HUP
	PGHERALD_SUPERVISOR=$$ setsid setpriv --pdeathsig TERM "$BASH" "$@" &
	wait "$!" || status=$?
	exit "$status"
}

# end_supervised STATUS: ends the second run, then this one with the signal's status.
end_supervised() {
	local body i status=0
	trap '' INT TERM HUP
	body=$(jobs -p)
	[[ -n $body ]] || exit "$1"
	# Again and again: it may have been looking elsewhere, too.
	while kill -s TERM "$body" 2>/dev/null; do
		for ((i = 0; i < 40; i++)); do
			kill -s 0 "$body" 2>/dev/null || break
			sleep 0.05
		done
	done
	wait "$body" || status=$?
	# 143, or 2: bash 5.2 may take the trap's text for a part of a $(...) that it was just reading.
	((status == 0)) || status=$1
	exit "$status"
}
