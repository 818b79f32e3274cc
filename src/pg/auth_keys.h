/* SPDX-License-Identifier: PostgreSQL
 * The keys of [auth] sections with a jwks_url: fetched, kept, fetched again, and the look-ups that
 * wait for them. Nothing else waits. */
#ifndef PGHERALD_PG_AUTH_KEYS_H
#define PGHERALD_PG_AUTH_KEYS_H

#include <stdbool.h>

#include "auth/jwks_cache.h"
#include "base/complaint.h"
#include "base/list.h"
#include "base/loop.h"
#include "conf.h"
#include "hub/post.h"
#include "net/download.h"

struct auth_keys {
	struct loop *loop;
	struct downloads downloads;
	struct list sources; /* struct auth_source, one for each section */
	/* These letters (to be taken out of the list) may have another verdict now. */
	void (*again)(void *arg, struct list *letters);
	/* A key of that section is good no longer. */
	void (*gone)(void *arg, const char *section);
	void *again_arg, *gone_arg;
};

struct auth_source {
	struct list node;
	struct auth_keys *all;
	char *name, *url, *ca_file, *algorithm; /* of the section */
	struct jwks_cache cache;
	char *etag;	       /* of what is in the cache */
	struct download *away; /* under way, or NULL */
	struct list parked;    /* struct post_lookup */
	struct loop_timer timer;
	struct complaint complaint;
};

/* `again` and `gone` are the caller's to set. False with errno. */
bool auth_keys_start(struct auth_keys *k, struct loop *loop) MUST_CHECK;
/* The sections of another configuration, or of the first one. */
void auth_keys_reload(struct auth_keys *k, const struct conf *conf);
/* What waits goes to `again` once more. */
void auth_keys_stop(struct auth_keys *k);
/* As jwks_cache_verify(), of a section that has a jwks_url; asks where that is the answer. */
enum jwks_answer auth_keys_verify(struct auth_keys *k, const struct conf_auth *section,
				  const struct jwt_rule *rule, const char *token, int64_t now_s,
				  struct jwt *out, enum jwt_verdict *ret) MUST_CHECK;
/* A letter, in no list, that waits for that section's keys. */
void auth_keys_park(struct auth_keys *k, const struct conf_auth *section, struct post_lookup *l);

#endif
