/* SPDX-License-Identifier: PostgreSQL
 * See ident.h. */
#include "config.h"
#include "sql/ident.h"

#include <stdlib.h>
#include <string.h>

/* Every word that is a keyword of more than the unreserved kind in PostgreSQL 13 to 18
 * (pg_get_keywords()), and PL/pgSQL's own reserved words. Sorted. */
static const char *const keywords[] = {
	/* clang-format off */
	"all", "analyse", "analyze", "and", "any", "array", "as", "asc", "asymmetric",
	"authorization", "begin", "between", "bigint", "binary", "bit", "boolean", "both",
	"by", "case", "cast", "char", "character", "check", "coalesce", "collate",
	"collation", "column", "concurrently", "constraint", "create", "cross",
	"current_catalog", "current_date", "current_role", "current_schema", "current_time",
	"current_timestamp", "current_user", "dec", "decimal", "declare", "default",
	"deferrable", "desc", "distinct", "do", "else", "end", "except", "execute", "exists",
	"extract", "false", "fetch", "float", "for", "foreach", "foreign", "freeze", "from",
	"full", "grant", "greatest", "group", "grouping", "having", "if", "ilike", "in",
	"initially", "inner", "inout", "int", "integer", "intersect", "interval", "into",
	"is", "isnull", "join", "json", "json_array", "json_arrayagg", "json_exists",
	"json_object", "json_objectagg", "json_query", "json_scalar", "json_serialize",
	"json_table", "json_value", "lateral", "leading", "least", "left", "like", "limit",
	"localtime", "localtimestamp", "loop", "merge_action", "national", "natural", "nchar",
	"none", "normalize", "not", "notnull", "null", "nullif", "numeric", "offset", "on",
	"only", "or", "order", "out", "outer", "overlaps", "overlay", "placing", "position",
	"precision", "primary", "real", "references", "returning", "right", "row", "select",
	"session_user", "setof", "similar", "smallint", "some", "strict", "substring",
	"symmetric", "system_user", "table", "tablesample", "then", "time", "timestamp", "to",
	"trailing", "treat", "trim", "true", "union", "unique", "user", "using", "values",
	"varchar", "variadic", "verbose", "when", "where", "while", "window", "with",
	"xmlattributes", "xmlconcat", "xmlelement", "xmlexists", "xmlforest", "xmlnamespaces",
	"xmlparse", "xmlpi", "xmlroot", "xmlserialize", "xmltable"
	/* clang-format on */
};

static int compare(const void *name, const void *word)
{
	return strcmp(name, *(const char *const *)word);
}

static bool needs_quotes(const char *name)
{
	if (!((*name >= 'a' && *name <= 'z') || *name == '_') ||
	    name[strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789_")])
		return true;
	return bsearch(name, keywords, sizeof(keywords) / sizeof(*keywords), sizeof(*keywords),
		       compare);
}

void ident_add_quoted(struct buf *out, const char *name)
{
	buf_char(out, '"');
	for (; *name; name++) {
		if (*name == '"')
			buf_char(out, '"');
		buf_char(out, *name);
	}
	buf_char(out, '"');
}

void ident_add(struct buf *out, const char *name)
{
	if (needs_quotes(name))
		ident_add_quoted(out, name);
	else
		buf_str(out, name);
}

void ident_add_table(struct buf *out, const char *schema, const char *table)
{
	ident_add(out, schema);
	buf_char(out, '.');
	ident_add(out, table);
}

void ident_add_literal(struct buf *out, const char *text)
{
	bool backslash = strchr(text, '\\');

	buf_str(out, backslash ? " E'" : "'");
	for (; *text; text++) {
		if (*text == '\'' || *text == '\\')
			buf_char(out, *text);
		buf_char(out, *text);
	}
	buf_char(out, '\'');
}
