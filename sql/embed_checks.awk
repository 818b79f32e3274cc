# SPDX-License-Identifier: PostgreSQL
# Makes the table of `pgherald sql check`: awk -f embed_checks.awk check/want.sql check/*.sql
# An entry begins with "--! id severity [stop]"; further "--!" lines are what its findings mean, and
# what follows to the next entry is its query. want.sql stands in front of what is asked.
BEGIN {
	print "/* Made by embed_checks.awk from sql/check/: edit that. */"
	print "#include \"config.h\""
	print "#include \"dba/check.h\""
	print "#include \"sql/owners.h\"\n"
	print "#pragma GCC diagnostic ignored \"-Woverlength-strings\""
}
function quoted(text)
{
	gsub(/\\/, "&&", text)
	gsub(/"/, "\\\"", text)
	gsub(/\t/, "\\t", text)
	gsub(/[{][{]owner_literals[}][}]/, "\" OWNER_LITERALS \"", text)
	gsub(/[{][{]owner_names[}][}]/, "\" OWNER_NAMES \"", text)
	return text
}
function finish()
{
	if (id != "")
		printf "\t{\"%s\", \"%s\", %s,\n\t \"%s\",\n%s\t},\n", id, severity, stop, means, sql
	id = sql = means = ""
}
/^--#/ || /^$/ { next }
FILENAME ~ /want\.sql$/ {
	prefix = prefix "\n\t\"" quoted($0) "\\n\""
	next
}
/^--!/ {
	if (sql != "" || id == "") {
		finish()
		if (!table++)
			printf "const char check_want[] =%s;\n\nconst struct check checks[] = {\n", prefix
		id = $2
		severity = $3
		stop = $4 == "stop" ? "true" : "false"
		next
	}
	sub(/^--! */, "")
	means = means (means == "" ? "" : " ") quoted($0)
	next
}
{ sql = sql "\t \"" quoted($0) "\\n\"\n" }
END {
	finish()
	print "};\nconst unsigned n_checks = sizeof(checks) / sizeof(*checks);"
}
