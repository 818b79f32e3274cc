# SPDX-License-Identifier: PostgreSQL
# Makes C strings of the SQL templates: awk -f embed.awk core.sql ... > sql_text.c
# core.sql becomes sql_core; lines that begin with --# are for readers of the template only.
BEGIN {
	print "/* Made by embed.awk from the templates in sql/: edit those. */"
	print "#include \"config.h\""
	print "#include \"sql/owners.h\""
	print "#include \"sql/text.h\"\n"
	# C promises strings of 4095 bytes only; gcc and clang take any length
	print "#pragma GCC diagnostic ignored \"-Woverlength-strings\""
}
FNR == 1 {
	if (NR > 1)
		print "\t;"
	name = FILENAME
	sub(/.*\//, "", name)
	sub(/\.sql$/, "", name)
	printf "\nconst char sql_%s[] =\n", name
}
/^--#/ { next }
{
	gsub(/\\/, "&&")
	gsub(/"/, "\\\"")
	gsub(/\t/, "\\t")
	gsub(/[{][{]owner_literals[}][}]/, "\" OWNER_LITERALS \"")
	gsub(/[{][{]owner_names[}][}]/, "\" OWNER_NAMES \"")
	printf "\t\"%s\\n\"\n", $0
}
END { print "\t;" }
