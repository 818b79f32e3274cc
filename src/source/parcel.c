/* SPDX-License-Identifier: PostgreSQL
 * See parcel.h. */
#include "config.h"
#include "source/parcel.h"

#include <string.h>

#include "hub/subscription.h"
#include "pg/inline.h"
#include "wire/array.h"
#include "wire/dialect.h"
#include "wire/pattern.h"
#include "wire/scan.h"

#define TYPE_MAX      128
#define AUDIENCE_MAX  65536 /* bytes */
#define VARIABLES_MAX 16

/* Fills the variables of `to`. */
struct filler {
	const struct parcel *m;
	struct scan payload;
	struct buf values[VARIABLES_MAX]; /* of which the pieces are kept until the end */
	size_t n;
};

static bool is(const char *name, size_t len, const char *what)
{
	return strlen(what) == len && !memcmp(name, what, len);
}

static const char *keep(struct buf *b, const char *text, size_t len)
{
	if (!text || memchr(text, '\0', len))
		return NULL;
	buf_add(b, text, len);
	return buf_ok(b) && b->len ? buf_cstr(b) : NULL;
}

/* {channel}, {key}, or a member of the payload. */
static const char *value(void *arg, const char *name, size_t len)
{
	struct filler *f = arg;
	char member[PATTERN_NAME_MAX + 1];
	struct buf *b;
	struct scan v;

	if (f->n == VARIABLES_MAX || len > PATTERN_NAME_MAX)
		return NULL;
	b = &f->values[f->n++];
	buf_init(b, CHANNEL_MAX);
	if (is(name, len, "channel"))
		return keep(b, f->m->channel, f->m->channel_len);
	if (is(name, len, "key"))
		return keep(b, f->m->key, f->m->key_len);
	memcpy(member, name, len);
	member[len] = '\0';
	if (!scan_member(f->payload, member, &v))
		return NULL;
	if (scan_is_integer(v))
		return keep(b, v.at, v.len);
	return scan_string(v, b) && buf_ok(b) && b->len ? buf_cstr(b) : NULL;
}

static bool find_channel(const struct conf_listen *l, const struct parcel *m, struct scan payload,
			 struct buf *ret)
{
	struct filler f = {.m = m, .payload = payload};
	autobuf name = {0};
	bool ok;

	buf_init(&name, CHANNEL_MAX);
	ok = pattern_expand(l->to, value, &f, &name) && buf_ok(&name) &&
	     (!strcmp(l->to, "*") || channel_is_name(buf_cstr(&name), name.len));
	if (ok)
		array_add(ret, buf_cstr(&name));
	for (size_t i = 0; i < f.n; i++)
		buf_free(&f.values[i]);
	return ok;
}

/* What pgherald.publish() refuses too: what is the daemon's own, and changes of tables. */
static bool is_reserved(const struct conf *c, const char *type)
{
	if (dialect_reserves(type))
		return true;
	for (size_t i = 0; i < c->n_watches; i++)
		if (dialect_is_of(type, c->watches[i].name))
			return true;
	return false;
}

static bool find_type(const struct conf_listen *l, const struct parcel *m, struct scan payload,
		      struct buf *ret)
{
	struct scan v;

	if (m->type)
		return keep(ret, m->type, m->type_len);
	if (scan_member(payload, l->event_key, &v) && *v.at == '"')
		return scan_string(v, ret) && buf_ok(ret);
	buf_str(ret, l->name);
	return true;
}

static const char *complaint(const struct conf *c, const struct conf_listen *l,
			     const struct parcel *m, struct told *ret)
{
	struct scan payload, document;

	if (!m->payload)
		return "there is no payload, or it is longer than 1 MiB";
	if (m->payload_len > PARCEL_MAX)
		return "longer than 1 MiB";
	if (!scan_text(m->payload, m->payload_len, &payload))
		return "not JSON as RFC 8259 has it, or nested too deep";
	document = (struct scan){m->payload, m->payload_len};
	if (*l->data_key &&
	    (!scan_member(payload, l->data_key, &document) || scan_is_null(document)))
		return "no document under the configured key";
	buf_add(&ret->document, document.at, document.len);
	if (!find_type(l, m, payload, &ret->type) || !inline_valid_type(buf_cstr(&ret->type)))
		return "the event's type has bytes it must not have";
	if (is_reserved(c, buf_cstr(&ret->type)))
		return "the event's type is one of the daemon's own, or of a watched table";
	ret->is_channel = !l->owner_keys.n;
	if (ret->is_channel && !find_channel(l, m, payload, &ret->audience))
		return "no name of a channel comes out of it";
	for (size_t i = 0; i < l->owner_keys.n; i++)
		inline_put_owners(&ret->audience, payload, l->owner_keys.items[i]);
	array_end(&ret->audience);
	if (!buf_ok(&ret->audience) || array_count(buf_cstr(&ret->audience)) > PARCEL_USERS_MAX)
		return "it is for more than 100 users";
	return array_count(buf_cstr(&ret->audience)) ? NULL : "it is for nobody";
}

bool parcel_read(const struct conf *c, const struct conf_listen *l, const struct parcel *m,
		 struct told *ret, const char **why)
{
	buf_init(&ret->type, TYPE_MAX);
	buf_init(&ret->document, PARCEL_MAX);
	buf_init(&ret->audience, AUDIENCE_MAX);
	*why = complaint(c, l, m, ret);
	return !*why;
}

void told_free(struct told *t)
{
	buf_free(&t->type);
	buf_free(&t->document);
	buf_free(&t->audience);
}
