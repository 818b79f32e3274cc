/* SPDX-License-Identifier: PostgreSQL
 * See post.h. */
#include "config.h"
#include "hub/post.h"

#include <stdlib.h>
#include <string.h>

void post_events_free(struct post_events *p)
{
	for (size_t i = 0; i < p->n; i++)
		event_unref(p->events[i]);
	if (p->in_flight)
		atomic_fetch_sub_explicit(p->in_flight, p->bytes, memory_order_relaxed);
	free(p);
}

void post_lookup_free(struct post_lookup *l)
{
	if (!l)
		return;
	principal_free(l->who);
	if (l->token)
		explicit_bzero(l->token, strlen(l->token));
	free(l->token);
	free(l->auth);
	free(l->route);
	free(l->sealed);
	free(l);
}

void post_publish_free(struct post_publish *l)
{
	if (!l)
		return;
	posting_clear(&l->message);
	free(l->why);
	free(l);
}

void post_replay_free(struct post_replay *p)
{
	for (size_t i = 0; i < p->n; i++)
		event_unref(p->events[i]);
	free(p->events);
	if (p->plan)
		p->free_plan(p->plan);
	free(p->user_id);
	free(p->session);
	free(p->channels);
	free(p);
}
