/* SPDX-License-Identifier: PostgreSQL
 * See resp.h. */
#include "config.h"
#include "wire/resp.h"

#include <string.h>

#include "base/num.h"

#define ITEM_BYTES 64 /* about what one takes besides its value */

void resp_init(struct resp *r, size_t max_value, size_t max_reply)
{
	*r = (struct resp){.max = max_value, .max_reply = max_reply};
}

void resp_next(struct resp *r)
{
	r->n_reply = 0;
	r->overfull = false;
}

/* A line of `n_line` bytes has come, its end among them. */
static bool take_line(struct resp *r, struct buf *out)
{
	uint64_t n;
	size_t digits;

	if (r->n_line < 3 || !strchr("+-:$*", *r->line))
		return false;
	if (*r->line != '$' && *r->line != '*') {
		r->n_line = 0;
		return true;
	}
	if (r->n_line > sizeof(r->line))
		return false;
	digits = r->n_line - 3;
	if (digits == 2 && !memcmp(r->line + 1, "-1", 2)) { /* nil */
		buf_add(out, r->line, r->n_line);
	} else if (!num_u64(r->line + 1, digits, &n)) {
		return false;
	} else if (*r->line == '*') {
		if (n > RESP_ITEMS_MAX)
			return false;
		buf_add(out, r->line, r->n_line);
	} else if (n > (uint64_t)1 << 40) {
		return false;
	} else {
		r->left = n + 2;
		r->dropping = n > r->max;
		if (!r->dropping && n + ITEM_BYTES > r->max_reply - r->n_reply)
			r->dropping = r->overfull = true;
		if (!r->dropping)
			r->n_reply += (size_t)n + ITEM_BYTES;
		r->n_dropped += r->dropping;
		if (r->dropping)
			buf_str(out, "$-1\r\n");
		else
			buf_add(out, r->line, r->n_line);
	}
	r->n_line = 0;
	return true;
}

/* The first byte of a line says whether it goes on as it comes. */
static bool take_byte(struct resp *r, char c, struct buf *out)
{
	bool ends = c == '\n' && r->last == '\r';

	if (r->n_line == RESP_LINE_MAX)
		return false;
	if (r->n_line < sizeof(r->line))
		r->line[r->n_line] = c;
	r->n_line++;
	r->last = ends ? '\0' : c;
	if (*r->line != '$' && *r->line != '*')
		buf_char(out, c);
	return !ends || take_line(r, out);
}

bool resp_feed(struct resp *r, const char *data, size_t len, struct buf *out)
{
	while (len && !r->failed) {
		size_t n = 1;

		if (r->left) {
			n = r->left < len ? (size_t)r->left : len;
			if (!r->dropping)
				buf_add(out, data, n);
			r->left -= n;
		} else if (!take_byte(r, *data, out)) {
			r->failed = true;
		}
		data += n;
		len -= n;
	}
	return !r->failed && buf_ok(out);
}
