/* SPDX-License-Identifier: PostgreSQL
 * Events that come in a NOTIFY payload instead of the journal: from tables whose DBA refuses a
 * journal, and from applications that pg_notify JSON themselves. At most once, no replay; and
 * whoever may connect to the database can send one: see pgherald.conf(5). */
#ifndef PGHERALD_PG_INLINE_H
#define PGHERALD_PG_INLINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "hub/event.h"
#include "wire/scan.h"

#define INLINE_CHANNEL "pgherald_inline" /* what triggers with capture = notify use */

/* How the payload of an application's own channel is read; all names of JSON keys. */
struct inline_rule {
	const char *topic;	 /* the event's type when the payload names none */
	const char *event_key;	 /* holds the type */
	const char *data_key;	 /* holds the document; "" = the whole payload */
	char *const *owner_keys; /* hold the owners, a string, number or array each */
	size_t n_owner_keys;
	const char *const *watched; /* tables' topics, of whose types it can send none */
	size_t n_watched;
};

/* Of which topics triggers with capture = notify may send events. */
struct inline_topics {
	const char **names; /* the array belongs to whoever set it, the names to others */
	size_t n;
	size_t n_refetch; /* behind those: only "fetch again", for they have a journal */
};

/* The event in a payload of such a trigger; NULL with `why`, a literal, when it is none. */
struct event *inline_from_trigger(const struct inline_topics *topics, const char *payload,
				  int64_t at, const char **why);
/* The event in an application's payload; NULL with `why` when it is none. Its document is passed on
 * byte for byte. */
struct event *inline_from_application(const struct inline_rule *rule, const char *payload,
				      int64_t at, const char **why);

/* Appends whom a member of the object names: a string, a number, or an array of these; to a list as
 * wire/array.h has it. */
void inline_put_owners(struct buf *b, struct scan object, const char *name);
/* Whether an event can have that type. */
bool inline_valid_type(const char *type) MUST_CHECK;

#endif
