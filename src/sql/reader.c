/* SPDX-License-Identifier: PostgreSQL
 * See reader.h. */
#include "config.h"
#include "sql/reader.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

bool reader_complain(const struct reader *r, const char *fmt, ...)
{
	va_list ap;
	int shown = (int)strnlen(r->p, 24);

	while (shown && ((unsigned char)r->p[shown] & 0xc0) == 0x80)
		shown--; /* not in the middle of a character */
	buf_clear(r->error);
	buf_str(r->error, r->setting);
	if (r->item)
		buf_printf(r->error, ", item %zu", r->item);
	buf_str(r->error, ": ");
	va_start(ap, fmt);
	buf_vprintf(r->error, fmt, ap);
	va_end(ap);
	if (shown)
		buf_printf(r->error, ", near \"%.*s%s\"", shown, r->p, r->p[shown] ? "..." : "");
	else
		buf_str(r->error, ", at the end");
	return false;
}

static bool is_space(char c)
{
	return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

static bool is_bare(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
	       c == '_' || c == '$' || (unsigned char)c >= 0x80;
}

void reader_skip_space(struct reader *r)
{
	while (is_space(*r->p))
		r->p++;
}

bool reader_accept(struct reader *r, const char *token)
{
	size_t len = strlen(token);

	reader_skip_space(r);
	if (strncmp(r->p, token, len) != 0)
		return false;
	r->p += len;
	return true;
}

bool reader_expect(struct reader *r, const char *token, const char *after)
{
	return reader_accept(r, token) ||
	       reader_complain(r, "expected \"%s\" after %s", token, after);
}

/* An identifier as it stands in the catalog: bare, or "quoted" with "" for a quote. */
bool reader_name(struct reader *r, const char *what, char **ret)
{
	autobuf name = {0};
	const char *start;

	buf_init(&name, READER_MAX_NAME);
	reader_skip_space(r);
	start = r->p;
	if (*r->p == '"') {
		for (r->p++; *r->p != '"' || r->p[1] == '"'; r->p++) {
			if ((unsigned char)*r->p < 0x20 || *r->p == 0x7f) {
				r->p = start;
				return reader_complain(
					r, "%s has no closing quote or a control character", what);
			}
			if (*r->p == '"')
				r->p++;
			buf_char(&name, *r->p);
		}
		r->p++;
	} else {
		for (; is_bare(*r->p); r->p++)
			buf_char(&name, *r->p);
	}
	if (!buf_ok(&name)) {
		r->p = start;
		return reader_complain(r, "%s is longer than %d bytes", what, READER_MAX_NAME);
	}
	if (!name.len)
		return reader_complain(r, "expected %s", what);
	/* it would end the body of the function that is generated */
	if (strstr(buf_cstr(&name), "$pgherald$")) {
		r->p = start;
		return reader_complain(r, "%s may not contain \"$pgherald$\"", what);
	}
	free(*ret);
	*ret = buf_steal(&name);
	return true;
}
