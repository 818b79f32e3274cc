/* SPDX-License-Identifier: PostgreSQL
 * See event.h. */
#include "config.h"
#include "hub/event.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/mem.h"
#include "wire/array.h"
#include "wire/json.h"

#define MAX_FRAME ((size_t)1 << 30) /* PostgreSQL's own limit for a value */

/* Everything that belongs to one event is one allocation: `at` walks through it. */
static char *keep(char **at, const char *s)
{
	char *start = *at;
	size_t len;

	if (!s)
		return NULL;
	len = strlen(s) + 1;
	memcpy(start, s, len);
	*at += len;
	return start;
}

/* Keys of ids that stand behind `start` + n: moved to the front, some of them longer by a byte. */
static void escape(char *start, const struct keys *k)
{
	for (size_t i = 0; i < k->n; i++) {
		size_t len = strlen(k->list[i]) + 1;
		bool escaped = key_is_escaped(k->list[i]);

		*start = '=';
		k->list[i] = memmove(start + escaped, k->list[i], len);
		k->list[i] -= escaped;
		start += escaped + len;
	}
}

static void keep_keys(char **at, struct keys *k, char **slots, const char *list, bool keyed)
{
	char *start = *at;

	k->list = slots;
	k->n = array_count(list);
	*at += k->n;
	array_split(list, at, slots);
	for (size_t i = 0; i < k->n && !keyed; i++)
		if (key_is_escaped(slots[i])) {
			escape(start, k);
			break;
		}
	keys_sort(k);
}

static size_t room(const char *s)
{
	return s ? strlen(s) + 1 : 0;
}

static struct event *make(const struct event_row *row, const char *type, const char *doc)
{
	size_t slots = array_count(row->before) + array_count(row->after);
	size_t text = room(row->topic) + room(type) + room(row->cursor) + room(doc) +
		      room(row->leave) + room(row->before) + room(row->after) + slots;
	size_t size = sizeof(struct event) + slots * sizeof(char *) + text;
	struct event *e = xcalloc(1, size);
	char **keys = (char **)(void *)(e + 1), **more;
	char *at = (char *)(keys + slots);

	e->refs = 1;
	e->op = row->op;
	e->txid = row->txid;
	e->id = row->id;
	e->at = row->at;
	e->bytes = size + room(doc) + 256; /* and about one frame */
	e->topic = keep(&at, row->topic);
	e->type = keep(&at, type);
	e->cursor = keep(&at, row->cursor);
	e->doc = keep(&at, doc);
	e->leave = keep(&at, row->leave);
	more = keys + array_count(row->before);
	keep_keys(&at, &e->before, keys, row->before, row->keyed);
	keep_keys(&at, &e->after, more, row->after, row->keyed);
	e->for_everybody = row->keyed && (keys_have(&e->before, "*") || keys_have(&e->after, "*"));
	return e;
}

static bool too_many_owners(const struct event_row *row)
{
	return array_count(row->before) > EVENT_OWNERS_MAX ||
	       array_count(row->after) > EVENT_OWNERS_MAX;
}

/* A resync's document is what its dialects need: reason, NUL-free, then the topics. */
static struct event *make_resync(const struct event_row *row, const char *reason,
				 const char *topics)
{
	struct event_row all = *row;

	all.leave = topics;
	if (all.op != 'f' || too_many_owners(row)) {
		all.op = 'r';
		all.before = all.after = NULL;
	}
	return make(&all, "system.resync", reason);
}

static bool is_resync(const struct event *e)
{
	return e->op == 'r' || e->op == 'f';
}

static const char *verb(char op)
{
	return op == 'i' ? "created" : op == 'd' ? "deleted" : "updated";
}

/* Why a row says "refetch": {"reason":"…"}, as the triggers write it. */
static const char *reason_in(const char *doc)
{
	static const char *const reasons[] = {"loss", "size", "rescope", "storm", "schema"};

	for (size_t i = 0; doc && i < sizeof(reasons) / sizeof(*reasons); i++) {
		char quoted[32];

		snprintf(quoted, sizeof(quoted), "\"reason\":\"%s\"", reasons[i]);
		if (strstr(doc, quoted))
			return reasons[i];
	}
	return "storm";
}

/* Why this row is told as "refetch"; NULL when it is not. */
static const char *refetch_reason(const struct event_row *row)
{
	if (row->op == 't')
		return "truncate";
	if (row->op != 'i' && row->op != 'u' && row->op != 'd' && row->op != 'o' && row->op != 'm')
		return reason_in(row->doc);
	return too_many_owners(row) ? "owners" : NULL;
}

struct event *event_new(const struct event_row *row)
{
	bool secret = row->op == 'a' || row->op == 'x';
	const char *reason = secret ? NULL : refetch_reason(row);
	struct event *e;
	autobuf text = {0};

	buf_init(&text, MAX_FRAME);
	if (secret) {
		e = make(row, row->op == 'a' ? "auth" : "none", NULL);
	} else if (!reason) {
		buf_str(&text, row->topic ? row->topic : "");
		buf_char(&text, '.');
		buf_str(&text, verb(row->op));
		e = make(row, row->type ? row->type : buf_cstr(&text),
			 row->doc ? row->doc : "null");
	} else {
		buf_char(&text, '[');
		json_string(&text, row->topic, strlen(row->topic));
		buf_char(&text, ']');
		e = make_resync(row, reason, buf_cstr(&text));
	}
	return e;
}

struct event *event_resync(const char *reason, const char *topics, const char *cursor, int64_t at)
{
	const struct event_row row = {.at = at, .cursor = cursor};

	return make_resync(&row, reason, topics);
}

struct event *event_ref(struct event *e)
{
	atomic_fetch_add_explicit(&e->refs, 1, memory_order_relaxed);
	return e;
}

void event_unref(struct event *e)
{
	if (!e || atomic_fetch_sub_explicit(&e->refs, 1, memory_order_acq_rel) != 1)
		return;
	for (struct frame *f = e->frames, *next; f; f = next) {
		next = f->next;
		if (atomic_load_explicit(&f->refs, memory_order_relaxed) > 1)
			frame_count(f, true); /* from now on only queues hold it */
		frame_unref(f);
	}
	free(e);
}

/* Of several nobody may be told the others. */
static const char *only_channel(const struct keys *k)
{
	return k->n == 1 && *k->list[0] == '#' ? k->list[0] + 1 : NULL;
}

struct frame *event_frame_with(const struct event *e, uint32_t form, enum scope_view view,
			       const char *cursor)
{
	struct news n = {.at = e->at, .txid = e->txid};
	struct frame *f;
	autobuf body = {0};

	buf_init(&body, MAX_FRAME);
	if (is_resync(e)) {
		n.reason = e->doc;
		n.topics = e->leave;
		form_resync(form, &body, &n, cursor);
	} else {
		bool leaves = view == VIEW_LEAVE;

		n.type = e->type;
		n.doc = !leaves ? e->doc : e->leave ? e->leave : "null";
		n.scope = leaves ? "leave" : view == VIEW_ENTER ? "enter" : NULL;
		n.channel = only_channel(leaves || !e->after.n ? &e->before : &e->after);
		form_event(form, &body, &n, cursor);
	}
	assert(buf_ok(&body)); /* PostgreSQL has no larger value */
	f = frame_new(body.data, body.len);
	return f;
}

static struct frame *find_frame(struct frame *list, uint32_t kind)
{
	while (list && list->kind != kind)
		list = list->next;
	return list;
}

struct frame *event_frame(struct event *e, uint32_t form, enum scope_view view)
{
	uint32_t kind = form << 2 | (uint32_t)view; /* a view is not 0 */
	struct frame *list = atomic_load_explicit(&e->frames, memory_order_acquire);
	struct frame *f = find_frame(list, kind), *other;

	if (f)
		return f;
	f = event_frame_with(e, form, view, e->cursor);
	f->kind = kind;
	frame_count(f, false); /* the ring's bound has it as long as the event lives */
	do {		       /* two workers may encode at once: the second one's copy goes */
		if ((other = find_frame(list, kind))) {
			frame_unref(f);
			return other;
		}
		f->next = list;
	} while (!atomic_compare_exchange_weak_explicit(&e->frames, &list, f, memory_order_acq_rel,
							memory_order_acquire));
	return f;
}

bool event_allowed(const struct event *e, const struct scope_policy *policy)
{
	char type[64];

	if (policy->receives == RECEIVES_NONE || e->op == 'a' || e->op == 'x')
		return false;
	if (!is_resync(e))
		return scope_type_allowed(policy, e->type);
	for (const char *op = "iud"; e->topic && *op; op++) {
		snprintf(type, sizeof(type), "%s.%s", e->topic, verb(*op));
		if (scope_type_allowed(policy, type))
			return true;
	}
	return !e->topic;
}

bool event_is_for_owners(const struct event *e)
{
	return e->op == 'f' || e->op == 'o';
}

enum scope_view event_view(const struct event *e, const struct scope_policy *policy,
			   const struct principal *who)
{
	if (!event_allowed(e, policy))
		return VIEW_NOTHING;
	if (e->op != 'm') { /* who hears of every row does not read everybody's letters */
		if (e->op == 'r' || (principal_hears_all(who, policy) && !event_is_for_owners(e)))
			return VIEW_WHOLE;
		if (principal_hears_all(who, policy)) /* the row is what it was */
			return VIEW_NOTHING;
	}
	return scope_own_view(e->op, principal_is_among(who, &e->before),
			      principal_is_among(who, &e->after));
}
