/* SPDX-License-Identifier: PostgreSQL
 * See scan.h. Without recursion: how deep a text nests is whoever's who sent it. */
#include "config.h"
#include "wire/scan.h"

#include <stdint.h>
#include <string.h>

#include "base/utf8.h"

static const char *skip_space(const char *p, const char *end)
{
	while (p < end && (*p == ' ' || *p == '\t' || *p == '\n' || *p == '\r'))
		p++;
	return p;
}

static bool is_digit(const char *p, const char *end)
{
	return p < end && *p >= '0' && *p <= '9';
}

static const char *skip_digits(const char *p, const char *end)
{
	while (is_digit(p, end))
		p++;
	return p;
}

/* The value of four hexadecimal digits, or -1. */
static int32_t hex4(const char *p, const char *end)
{
	int32_t n = 0;

	if (end - p < 4)
		return -1;
	for (int i = 0; i < 4; i++) {
		const char *digits = "0123456789abcdef";
		char c = p[i] >= 'A' && p[i] <= 'F' ? (char)(p[i] + ('a' - 'A')) : p[i];
		const char *hit = c ? strchr(digits, c) : NULL;

		if (!hit)
			return -1;
		n = n * 16 + (int32_t)(hit - digits);
	}
	return n;
}

/* What follows an escape sequence, whose backslash is at `p`; NULL when it is none. */
static const char *skip_escape(const char *p, const char *end)
{
	if (end - p < 2 || !p[1])
		return NULL;
	if (p[1] == 'u')
		return hex4(p + 2, end) < 0 ? NULL : p + 6;
	return strchr("\"\\/bfnrt", p[1]) ? p + 2 : NULL;
}

/* These return what follows the thing that begins at `p`, or NULL when there is no such thing. */

static const char *skip_string(const char *p, const char *end)
{
	if (p == end || *p != '"')
		return NULL;
	for (p++; p < end;) {
		size_t n;

		if (*p == '"')
			return p + 1;
		if ((unsigned char)*p < 0x20)
			return NULL;
		if (*p == '\\') {
			p = skip_escape(p, end);
			if (!p)
				return NULL;
			continue;
		}
		n = utf8_len(p, (size_t)(end - p));
		if (!n)
			return NULL;
		p += n;
	}
	return NULL;
}

static const char *skip_number(const char *p, const char *end)
{
	p += p < end && *p == '-';
	if (!is_digit(p, end))
		return NULL;
	p = *p == '0' ? p + 1 : skip_digits(p, end);
	if (p < end && *p == '.') {
		if (!is_digit(++p, end))
			return NULL;
		p = skip_digits(p, end);
	}
	if (p < end && (*p == 'e' || *p == 'E')) {
		p++;
		p += p < end && (*p == '+' || *p == '-');
		if (!is_digit(p, end))
			return NULL;
		p = skip_digits(p, end);
	}
	return p;
}

static const char *skip_scalar(const char *p, const char *end)
{
	static const char *const words[] = {"true", "false", "null"};

	if (p < end && *p == '"')
		return skip_string(p, end);
	for (size_t i = 0; i < sizeof(words) / sizeof(*words); i++) {
		size_t len = strlen(words[i]);

		if ((size_t)(end - p) >= len && !memcmp(p, words[i], len))
			return p + len;
	}
	return skip_number(p, end);
}

/* A member's name with its colon. */
static const char *skip_name(const char *p, const char *end)
{
	p = skip_string(skip_space(p, end), end);
	if (!p)
		return NULL;
	p = skip_space(p, end);
	return p < end && *p == ':' ? p + 1 : NULL;
}

static const char *skip_value(const char *p, const char *end)
{
	char closing[SCAN_DEPTH_MAX]; /* of each container that is open */
	size_t depth = 0;

	for (;;) { /* a value begins here */
		p = skip_space(p, end);
		if (p < end && (*p == '{' || *p == '[')) {
			if (depth == SCAN_DEPTH_MAX)
				return NULL;
			closing[depth++] = *p == '{' ? '}' : ']';
			p = skip_space(p + 1, end);
			if (p == end || *p != closing[depth - 1]) {
				p = closing[depth - 1] == '}' ? skip_name(p, end) : p;
				if (!p)
					return NULL;
				continue;
			}
		} else {
			p = skip_scalar(p, end);
			if (!p)
				return NULL;
		}
		for (;;) { /* after a value, or before the end of an empty container */
			if (!depth)
				return p;
			p = skip_space(p, end);
			if (p == end)
				return NULL;
			if (*p++ == closing[depth - 1]) {
				depth--;
				continue;
			}
			if (p[-1] != ',')
				return NULL;
			p = closing[depth - 1] == '}' ? skip_name(p, end) : p;
			if (!p)
				return NULL;
			break;
		}
	}
}

bool scan_text(const char *text, size_t len, struct scan *ret)
{
	const char *end = text + len, *p = skip_space(text, end);
	const char *after = skip_value(p, end);

	if (!after || skip_space(after, end) != end)
		return false;
	*ret = (struct scan){p, (size_t)(after - p)};
	return true;
}

/* One element of an array, or one value of an object, at `p`. */
static struct scan value_at(const char *p, const char *end)
{
	const char *start = skip_space(p, end), *after = skip_value(start, end);

	return (struct scan){start, after ? (size_t)(after - start) : 0};
}

/* Whether a string, quotes and all, says `name`. */
static bool says(struct scan string, const char *name)
{
	size_t len = strlen(name);
	autobuf text = {0};

	if (!memchr(string.at, '\\', string.len))
		return string.len == len + 2 && !memcmp(string.at + 1, name, len);
	buf_init(&text, string.len);
	return scan_string(string, &text) && text.len == len && !strcmp(buf_cstr(&text), name);
}

bool scan_member(struct scan object, const char *name, struct scan *ret)
{
	const char *p = object.at, *end = object.at + object.len;
	bool found = false;

	if (!object.len || *p != '{')
		return false;
	for (p = skip_space(p + 1, end); p < end && *p == '"';) {
		struct scan key = {p, 0}, value;

		key.len = (size_t)(skip_string(p, end) - p);
		p = skip_space(p + key.len, end) + 1; /* the colon */
		value = value_at(p, end);
		if (says(key, name)) {
			*ret = value;
			found = true;
		}
		p = skip_space(value.at + value.len, end);
		if (p < end) /* a comma or the end */
			p = skip_space(p + 1, end);
	}
	return found;
}

bool scan_next(struct scan *rest, struct scan *ret)
{
	const char *p = rest->at, *end = rest->at + rest->len;

	if (!rest->len || (*p != '[' && *p != ','))
		return false;
	p = skip_space(p + 1, end);
	if (p == end || *p == ']')
		return false;
	*ret = value_at(p, end);
	p = skip_space(ret->at + ret->len, end);
	*rest = (struct scan){p, (size_t)(end - p)};
	return true;
}

static void put_utf8(struct buf *b, uint32_t c)
{
	if (c < 0x80) {
		buf_char(b, (char)c);
		return;
	}
	if (c < 0x800) {
		buf_char(b, (char)(0xc0 | c >> 6));
	} else {
		if (c < 0x10000) {
			buf_char(b, (char)(0xe0 | c >> 12));
		} else {
			buf_char(b, (char)(0xf0 | c >> 18));
			buf_char(b, (char)(0x80 | (c >> 12 & 0x3f)));
		}
		buf_char(b, (char)(0x80 | (c >> 6 & 0x3f)));
	}
	buf_char(b, (char)(0x80 | (c & 0x3f)));
}

/* The character of a \u at `p`, with its other half; what follows it, or NULL. */
static const char *take_unicode(const char *p, const char *end, struct buf *out)
{
	int32_t c = hex4(p + 2, end), low;

	p += 6;
	if (c >= 0xd800 && c < 0xdc00) {
		if (end - p < 6 || p[0] != '\\' || p[1] != 'u')
			return NULL;
		low = hex4(p + 2, end);
		if (low < 0xdc00 || low > 0xdfff)
			return NULL;
		c = 0x10000 + ((c - 0xd800) << 10) + (low - 0xdc00);
		p += 6;
	} else if (c <= 0 || (c >= 0xdc00 && c < 0xe000)) {
		return NULL;
	}
	put_utf8(out, (uint32_t)c);
	return p;
}

bool scan_string(struct scan value, struct buf *out)
{
	static const char letters[] = "bfnrt\"\\/", bytes[] = "\b\f\n\r\t\"\\/";
	const char *p, *end;
	size_t before = out->len;

	if (value.len < 2 || *value.at != '"')
		return false;
	p = value.at + 1;
	end = value.at + value.len - 1;
	while (p && p < end) {
		if (*p != '\\') {
			buf_char(out, *p++);
		} else if (p[1] == 'u') {
			p = take_unicode(p, end, out);
		} else {
			buf_char(out, bytes[strchr(letters, p[1]) - letters]);
			p += 2;
		}
	}
	if (p)
		return true;
	if (buf_ok(out) && out->len > before) /* take back what came before the bad one */
		out->data[out->len = before] = '\0';
	return false;
}

bool scan_is_integer(struct scan value)
{
	return value.len && (*value.at == '-' || is_digit(value.at, value.at + 1)) &&
	       !memchr(value.at, '.', value.len) && !memchr(value.at, 'e', value.len) &&
	       !memchr(value.at, 'E', value.len);
}

bool scan_is_null(struct scan value)
{
	return value.len == 4 && *value.at == 'n';
}
