/* SPDX-License-Identifier: PostgreSQL
 * One change, or one "refetch": made once from a journal row, immutable, counted, shared by all
 * workers. Its bytes are encoded on first use, once per wire form and view. */
#ifndef PGHERALD_HUB_EVENT_H
#define PGHERALD_HUB_EVENT_H

#include <stdatomic.h>
#include <stdint.h>

#include "hub/scope.h"
#include "wire/form.h"
#include "wire/frame.h"

/* A row with more of them, before or after, says "fetch again" to everybody who may hear of its
 * topic. Who records a row looks for no more than one beyond (sql/render_watch.c). */
#define EVENT_OWNERS_MAX 10000

struct event {
	atomic_int refs;
	char op;       /* i u d, o: nothing but its owners changed, r: resync, f: resync for its
			* owners alone, m: a message; for nobody's eyes are a: rights changed, and x:
			* told by another row of its transaction */
	uint64_t txid; /* of the journal row; 0 for an event that is not in the journal */
	uint64_t id;
	int64_t at;   /* Unix seconds */
	size_t bytes; /* memory it takes, for the ring's bound */
	char *topic;
	char *type;   /* "estimate.updated" */
	char *cursor; /* the SSE id */
	char *doc;    /* JSON text; of a resync its reason */
	char *leave;  /* JSON text for a former owner, or NULL */
	struct keys before, after;
	bool for_everybody;		/* "*" is in one of them */
	_Atomic(struct frame *) frames; /* in each form and view that somebody has been sent */
};

/* A journal row as text; every string may be NULL and is copied. Whom it is for is spelled as
 * wire/array.h says; what is not is nobody's. */
struct event_row {
	char op;
	bool keyed; /* `before` and `after` are audience keys; otherwise users' ids, none of which
		     * is a channel, however it is spelled */
	uint64_t txid, id;
	int64_t at;
	const char *topic, *doc, *leave, *before, *after, *cursor;
	const char *type; /* NULL: topic and operation make it; a message has one */
};

/* One reference is the caller's. Rows that collapsed ('r'), truncated ('t') or have too many owners
 * become a resync of their topic. */
struct event *event_new(const struct event_row *row);
/* A resync that is not in the journal; `topics` is a JSON array's text. */
struct event *event_resync(const char *reason, const char *topics, const char *cursor, int64_t at);
struct event *event_ref(struct event *e);
void event_unref(struct event *e);
/* The bytes for a form and a view other than VIEW_NOTHING; lives as long as the event. */
struct frame *event_frame(struct event *e, uint32_t form, enum scope_view view);
/* The same bytes with another id, for a client that knows more than this daemon has told; the
 * caller owns the reference. */
struct frame *event_frame_with(const struct event *e, uint32_t form, enum scope_view view,
			       const char *cursor);
/* Whether it is nothing to roles that receive all. */
bool event_is_for_owners(const struct event *e);
/* Whether a role may hear this type of event at all; of a resync, anything of its topic. */
bool event_allowed(const struct event *e, const struct scope_policy *policy);
/* What one principal under `policy` sees of it: the rule for replay, which hub_publish() must
 * agree with. */
enum scope_view event_view(const struct event *e, const struct scope_policy *policy,
			   const struct principal *who);

#endif
