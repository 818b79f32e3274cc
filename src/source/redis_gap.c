/* SPDX-License-Identifier: PostgreSQL
 * See redis_gap.h. */
#include "config.h"
#include "source/redis_gap.h"

#include <hiredis/hiredis.h>
#include <string.h>

#include "base/num.h"

bool redis_entry_id(struct redis_entry_id *ret, const redisReply *text)
{
	const char *dash;

	if (!text || text->type != REDIS_REPLY_STRING ||
	    !(dash = memchr(text->str, '-', text->len)))
		return false;
	return num_u64(text->str, (size_t)(dash - text->str), &ret->ms) &&
	       num_u64(dash + 1, (size_t)(text->str + text->len - dash - 1), &ret->n);
}

static bool is_after(struct redis_entry_id a, struct redis_entry_id b)
{
	return a.ms > b.ms || (a.ms == b.ms && a.n > b.n);
}

/* Of a list of names and values. */
static const redisReply *value_of(const redisReply *r, const char *name)
{
	for (size_t i = 0; r->type == REDIS_REPLY_ARRAY && i + 1 < r->elements; i += 2) {
		const redisReply *e = r->element[i];

		if (e->type == REDIS_REPLY_STRING && e->len == strlen(name) &&
		    !memcmp(e->str, name, e->len))
			return r->element[i + 1];
	}
	return NULL;
}

static int64_t number_of(const redisReply *r, const char *name)
{
	const redisReply *v = value_of(r, name);

	return v && v->type == REDIS_REPLY_INTEGER && v->integer >= 0 ? v->integer : -1;
}

struct redis_extent redis_extent(const redisReply *r)
{
	const redisReply *first = value_of(r, "first-entry");
	int64_t length = number_of(r, "length"), added = number_of(r, "entries-added");
	struct redis_extent e = {.gone = added < 0 || length < 0 ? -1 : added - length};

	if (length > 0 && first && first->type == REDIS_REPLY_ARRAY && first->elements)
		e.known = redis_entry_id(&e.first, first->element[0]);
	else if (!length && redis_entry_id(&e.first, value_of(r, "last-generated-id")))
		e.known = e.first.n++ < UINT64_MAX;
	return e;
}

bool redis_gap(const struct redis_extent *e, const redisReply *last)
{
	struct redis_entry_id id;

	return e->known && redis_entry_id(&id, last) && (id.ms || id.n) && is_after(e->first, id) &&
	       !(e->first.ms == id.ms && e->first.n == id.n + 1);
}

bool redis_gap_of_group(const struct redis_extent *e, const redisReply *r, const char *group)
{
	for (size_t i = 0; r->type == REDIS_REPLY_ARRAY && i < r->elements; i++) {
		const redisReply *g = r->element[i], *name = value_of(g, "name");
		int64_t read = number_of(g, "entries-read");

		if (name && name->type == REDIS_REPLY_STRING && name->len == strlen(group) &&
		    !memcmp(name->str, group, name->len))
			return redis_gap(e, value_of(g, "last-delivered-id")) &&
			       !(e->gone >= 0 && read >= 0 && e->gone <= read);
	}
	return false;
}
