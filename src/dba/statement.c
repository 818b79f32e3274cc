/* SPDX-License-Identifier: PostgreSQL
 * See statement.h. */
#include "config.h"
#include "dba/statement.h"

#include <ctype.h>
#include <string.h>

bool words_starts(const char *p, const char *word)
{
	return strncmp(p, word, strlen(word)) == 0;
}

/* Past the quoted name, string, body or comment that begins at `p`; `p` itself when none does. */
static const char *skip_quoted(const char *p)
{
	const char *end = p;

	if (words_starts(p, "--"))
		return p + strcspn(p, "\n");
	if (words_starts(p, STATEMENT_DOLLAR)) {
		end = strstr(p + strlen(STATEMENT_DOLLAR), STATEMENT_DOLLAR);
		return end ? end + strlen(STATEMENT_DOLLAR) : p + strlen(p);
	}
	/* a doubled quote reads as two strings; E'' has its backslashes doubled, too */
	if (*p == '\'' || *p == '"') {
		end = strchr(p + 1, *p);
		return end ? end + 1 : p + strlen(p);
	}
	return p;
}

static const char *skip_space_and_comments(const char *p)
{
	while (isspace((unsigned char)*p) || words_starts(p, "--"))
		p = *p == '-' ? skip_quoted(p) : p + 1;
	return p;
}

bool statement_next(const char **text, struct statement *ret)
{
	const char *p = *text;
	struct statement s;

	while (*p == '\n')
		p++;
	s.all.p = p;
	s.bare.p = p = skip_space_and_comments(p);
	if (!*p)
		return false;
	while (*p && *p != ';') {
		const char *past = skip_quoted(p);

		p = past == p ? p + 1 : past;
	}
	s.bare.len = (size_t)(p - s.bare.p);
	if (*p)
		p++;
	s.all.len = (size_t)(p - s.all.p);
	*text = p;
	*ret = s;
	return true;
}

bool statement_begins(const struct statement *s, const char *words)
{
	return s->bare.len >= strlen(words) && words_starts(s->bare.p, words);
}

/* Without comments, and with single spaces outside of quotes. */
char *words_squeeze(const char *p, const char *end)
{
	autobuf out = {0};

	buf_init(&out, STATEMENT_MAX);
	while (p < end) {
		const char *past = skip_space_and_comments(p);

		if (past != p) {
			if (out.len && past < end)
				buf_char(&out, ' ');
			p = past;
			continue;
		}
		past = skip_quoted(p);
		if (past == p)
			past++;
		buf_add(&out, p, (size_t)(past - p));
		p = past;
	}
	return buf_steal(&out);
}

/* The first `stop` outside of quotes and parentheses, or the end. */
const char *words_find(const char *p, char stop)
{
	unsigned depth = 0;

	for (; *p && (depth || *p != stop); p++) {
		const char *past = skip_quoted(p);

		if (past != p) {
			p = past - 1;
			continue;
		}
		if (*p == '(')
			depth++;
		if (*p == ')' && depth)
			depth--;
	}
	return p;
}

/* "a, b" piece by piece, trimmed; the caller frees each. NULL at the end. */
char *words_item(const char **list)
{
	const char *p = *list + strspn(*list, " "), *end;

	if (!*p)
		return NULL;
	end = words_find(p, ',');
	*list = *end ? end + 1 : end;
	return words_squeeze(p, end);
}
