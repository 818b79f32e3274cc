/* SPDX-License-Identifier: PostgreSQL
 * See luggage.h. A field that is added, or means something else, makes another format. */
#include "config.h"
#include "web/luggage.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/num.h"

static const char format[] = "pgherald streams 4";
static const char more[] = "stream", end[] = "end";

static void put(struct buf *b, const char *s)
{
	buf_add(b, s, strlen(s) + 1);
}

static void put_number(struct buf *b, uint64_t n)
{
	buf_u64(b, n);
	buf_char(b, '\0');
}

void luggage_begin(struct buf *b)
{
	put(b, format);
}

void luggage_add(struct buf *b, const struct luggage *l)
{
	put(b, more);
	put_number(b, l->socket);
	put(b, l->token);
	put(b, l->user);
	put(b, l->route);
	put(b, l->door);
	put(b, l->position);
	put(b, l->peer);
	put(b, l->types);
	put(b, l->topics);
	put(b, l->channels);
	put(b, l->role);
	put(b, l->granted);
	put(b, l->from);
	put_number(b, l->opened_ms);
	put_number(b, l->keepalive_s);
	put_number(b, l->silent_s);
	put_number(b, l->n_events);
	put_number(b, l->n_bytes);
	put_number(b, l->form);
	put_number(b, l->who_am_i);
	put_number(b, l->no_types);
	put_number(b, l->no_topics);
}

void luggage_end(struct buf *b)
{
	put(b, end);
}

struct reader {
	const char *at, *end;
	bool ok;
};

/* The next text; "" and no longer ok when there is none. */
static const char *text(struct reader *r)
{
	const char *s = r->at, *nul = memchr(s, '\0', (size_t)(r->end - s));

	if (!nul) {
		r->ok = false;
		return "";
	}
	r->at = nul + 1;
	return s;
}

static uint64_t number(struct reader *r)
{
	const char *s = text(r);
	uint64_t n = 0;

	r->ok = num_u64(s, strlen(s), &n) && r->ok;
	return n;
}

static struct luggage read_one(struct reader *r)
{
	struct luggage l = {.socket = number(r)};

	l.token = text(r);
	l.user = text(r);
	l.route = text(r);
	l.door = text(r);
	l.position = text(r);
	l.peer = text(r);
	l.types = text(r);
	l.topics = text(r);
	l.channels = text(r);
	l.role = text(r);
	l.granted = text(r);
	l.from = text(r);
	l.opened_ms = number(r);
	l.keepalive_s = number(r);
	l.silent_s = number(r);
	l.n_events = number(r);
	l.n_bytes = number(r);
	l.form = number(r);
	l.who_am_i = number(r) != 0;
	l.no_types = number(r) != 0;
	l.no_topics = number(r) != 0;
	return l;
}

bool luggage_read(const char *bytes, size_t len, struct luggage **ret, size_t *ret_n)
{
	struct reader r = {bytes, bytes + len, true};
	struct luggage *list = NULL;
	size_t n = 0, cap = 0;
	const char *word = "";

	*ret = NULL;
	*ret_n = 0;
	if (strcmp(text(&r), format) != 0)
		return false;
	while (r.ok && !strcmp(word = text(&r), more)) {
		if (n == cap)
			list = xrealloc(list, cap = cap ? cap * 2 : 64, sizeof(*list));
		list[n++] = read_one(&r);
	}
	if (!r.ok || strcmp(word, end) != 0 || r.at != r.end) {
		free(list);
		return false;
	}
	*ret = list;
	*ret_n = n;
	return true;
}
