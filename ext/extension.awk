# SPDX-License-Identifier: PostgreSQL
# Makes the extension's script of the templates that `pgherald sql install` runs first:
# awk -v version=0.1.0 -f extension.awk owners.h begin.sql stamp.sql core.sql
# CREATE EXTENSION is the transaction, and there is no configuration: login and limit are the defaults,
# and there are no watches yet.
BEGIN {
	print "-- pgherald " version ": made by ext/extension.awk from sql/core.sql"
	print "\\echo Use \"CREATE EXTENSION pgherald\" to load this file. \\quit"
	value["version"] = version
	value["login"] = value["login_comment"] = "pgherald"
	value["login_literal"] = "'pgherald'"
	value["tellers"] = "IF"
	value["max_bytes"] = 1024 * 1024 * 1024
	value["publishers"] = value["publisher_literals"] = ""
	value["may_ring"] = "current_setting('max_prepared_transactions') = '0'" \
		" AND pg_try_advisory_lock_shared(1885825394, 1) AND pg_advisory_unlock_shared(1885825394, 1)" \
		" AND pg_notification_queue_usage() < 0.5"
}
/^#define OWNER_/ {
	split($0, quoted, "\"")
	value[tolower($2)] = quoted[2]
}
FILENAME ~ /\.h$/ { next }
/^--#/ || /^(BEGIN|COMMIT);/ || /^SET LOCAL (lock_timeout|client_min_messages) / { next }
{
	sub(/AND p\.proname IN \(\{\{functions\}\}\)/, "")  # all there are
	while (match($0, /\{\{[a-z_]*\}\}/)) {
		name = substr($0, RSTART + 2, RLENGTH - 4)
		if (name in piece) {
			printf "%s", piece[name]
			next
		}
		if (!(name in value)) {
			print FILENAME ": nobody knows {{" name "}}" >"/dev/stderr"
			exit 1
		}
		$0 = substr($0, 1, RSTART - 1) value[name] substr($0, RSTART + RLENGTH)
	}
}
FILENAME ~ /(begin|stamp)\.sql$/ {
	name = FILENAME
	gsub(/.*\/|\.sql$/, "", name)
	piece[name] = piece[name] $0 "\n"
	next
}
{ print }
