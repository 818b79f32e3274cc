/* SPDX-License-Identifier: PostgreSQL
 * See pattern.h. */
#include "config.h"
#include "wire/pattern.h"

#include <string.h>

#define LETTERS "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
#define DIGITS	"0123456789"
#define VALUE	LETTERS DIGITS "_.:@-"

/* Bytes of "{name}" at the beginning, or 0. */
static size_t variable_len(const char *text, bool of_query)
{
	size_t begin, len;

	if (*text != '{')
		return 0;
	begin = of_query && text[1] == '?' ? 2 : 1;
	len = strspn(text + begin, LETTERS DIGITS "_");
	return len && len <= PATTERN_NAME_MAX && text[begin + len] == '}' ? begin + len + 1 : 0;
}

bool pattern_next(const char **pattern, struct pattern_piece *ret)
{
	const char *text = *pattern;
	size_t len = variable_len(text, true);

	if (!*text)
		return false;
	if (len) {
		*ret = (struct pattern_piece){text + 1, len - 2, true};
	} else {
		len = strcspn(text + 1, "{") + 1;
		*ret = (struct pattern_piece){text, len, false};
	}
	*pattern = text + len;
	return true;
}

/* The end of the segment that begins behind a slash. */
static size_t segment_len(const char *text)
{
	return strcspn(text, "/");
}

const char *pattern_path_complaint(const char *path)
{
	unsigned n = 0;

	if (*path != '/')
		return "must begin with /";
	while (*path == '/') {
		size_t len = segment_len(++path), variable = variable_len(path, false);

		if (variable == len && len) {
			if (n++ == PATTERN_VARIABLES_MAX)
				return "has more than 4 variables";
		} else if (memchr(path, '{', len) || memchr(path, '}', len)) {
			return "has a brace and no variable: that is a whole segment, {name}, of "
			       "at most 32 letters, digits and _";
		} else if (memchr(path, '?', len) || memchr(path, '#', len)) {
			return "is the path of a URL: without ? and #";
		}
		path += len;
	}
	return NULL;
}

const char *pattern_channel_complaint(const char *channel)
{
	struct pattern_piece p;

	while (pattern_next(&channel, &p))
		if (!p.is_variable && strspn(p.at, VALUE) < p.len)
			return "is no name of a channel, which has letters, digits, any of _.:@- "
			       "and {variables}";
	return NULL;
}

int pattern_variable(const char *path, const char *name, size_t len)
{
	struct pattern_piece p;
	int i = 0;

	while (pattern_next(&path, &p)) {
		if (!p.is_variable)
			continue;
		if (p.len == len && !memcmp(p.at, name, len))
			return i;
		i++;
	}
	return -1;
}

static bool is_value(const char *text, size_t len)
{
	return len && len <= PATTERN_VALUE_MAX && strspn(text, VALUE) >= len;
}

bool pattern_matches(const char *path, const char *given,
		     struct pattern_piece ret[PATTERN_VARIABLES_MAX])
{
	size_t n = 0;

	while (*path) {
		size_t variable = variable_len(path, false), len = segment_len(given);

		if (variable && n < PATTERN_VARIABLES_MAX) {
			if (!is_value(given, len))
				return false;
			ret[n++] = (struct pattern_piece){given, len, false};
			path += variable;
			given += len;
		} else if (*path++ != *given++) {
			return false;
		}
	}
	return !*given;
}

bool pattern_overlap(const char *a, const char *b)
{
	while (*a == '/' && *b == '/') {
		size_t n = segment_len(++a), m = segment_len(++b);
		bool any_a = variable_len(a, false), any_b = variable_len(b, false);

		if (any_a && any_b)
			;
		else if (any_a || any_b) {
			if (!is_value(any_a ? b : a, any_a ? m : n))
				return false;
		} else if (n != m || memcmp(a, b, n)) {
			return false;
		}
		a += n;
		b += m;
	}
	return !*a && !*b;
}

bool pattern_expand(const char *pattern,
		    const char *(*value)(void *arg, const char *name, size_t len), void *arg,
		    struct buf *out)
{
	struct pattern_piece p;

	while (pattern_next(&pattern, &p)) {
		const char *text = p.is_variable ? value(arg, p.at, p.len) : NULL;

		if (p.is_variable && !text)
			return false;
		if (text)
			buf_str(out, text);
		else
			buf_add(out, p.at, p.len);
	}
	return true;
}
