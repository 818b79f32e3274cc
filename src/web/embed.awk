# SPDX-License-Identifier: PostgreSQL
# Makes a C string of the test page: awk -f embed.awk page.html > page_text.c
BEGIN {
	print "/* Made by embed.awk from page.html: edit that. */"
	print "#include \"config.h\""
	print "#include \"web/page.h\"\n"
	# C promises strings of 4095 bytes only; gcc and clang take any length
	print "#pragma GCC diagnostic ignored \"-Woverlength-strings\""
	print "\nconst char page_text[] ="
}
{
	gsub(/\\/, "&&")
	gsub(/"/, "\\\"")
	gsub(/\t/, "\\t")
	printf "\t\"%s\\n\"\n", $0
}
END { print "\t;" }
