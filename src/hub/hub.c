/* SPDX-License-Identifier: PostgreSQL
 * See hub.h. Arrays are walked from the end, and leaving moves the last member into the gap: so
 * a member may leave while it is being served and nobody is skipped or served twice. */
#include "config.h"
#include "hub/hub.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

void hub_init(struct hub *h, const struct scope_policy *policies, size_t n, size_t ring_events,
	      uint64_t ring_bytes,
	      void (*deliver)(struct hub_member *, struct event *, enum scope_view))
{
	*h = (struct hub){.deliver = deliver};
	hub_set_policies(h, policies, n);
	ring_init(&h->ring, ring_events, ring_bytes);
}

void hub_set_policies(struct hub *h, const struct scope_policy *policies, size_t n)
{
	assert(n <= HUB_MAX_ROLES && !h->users);
	for (size_t i = 0; i < h->n_policies; i++) {
		assert(!h->roles[i].n);
		free(h->roles[i].members);
	}
	free(h->roles);
	h->policies = policies;
	h->n_policies = n;
	h->roles = xcalloc(n, sizeof(*h->roles));
}

void hub_free(struct hub *h)
{
	hub_set_policies(h, NULL, 0);
	free(h->roles);
	ring_free(&h->ring);
}

int hub_role(const struct hub *h, const char *name)
{
	for (size_t i = 0; i < h->n_policies; i++)
		if (!strcmp(h->policies[i].name, name))
			return (int)i;
	return -1;
}

static struct hub_group *user_group(struct hub *h, const char *user_id)
{
	struct hub_group *g;

	HASH_FIND_STR(h->users, user_id, g);
	return g;
}

void hub_join(struct hub *h, struct hub_member *m)
{
	struct hub_group *g = &h->roles[m->role];

	assert(!m->group);
	/* Everybody is found by his role or by his user id, never by both. */
	if (h->policies[m->role].receives != RECEIVES_ALL) {
		g = user_group(h, m->who->user_id);
		if (!g) {
			g = xcalloc(1, sizeof(*g));
			g->key = xstrdup(m->who->user_id);
			HASH_ADD_KEYPTR(hh, h->users, g->key, strlen(g->key), g);
		}
	}
	if (g->n == g->cap) {
		g->cap = g->cap ? g->cap * 2 : 1;
		g->members = xrealloc(g->members, g->cap, sizeof(struct hub_member *));
	}
	m->group = g;
	m->place = (uint32_t)g->n;
	g->members[g->n++] = m;
}

void hub_leave(struct hub *h, struct hub_member *m)
{
	struct hub_group *g = m->group;

	if (!g)
		return;
	g->members[m->place] = g->members[--g->n];
	g->members[m->place]->place = m->place;
	m->group = NULL;
	if (!g->n && g->key) {
		HASH_DEL(h->users, g);
		free(g->members);
		free(g->key);
		free(g);
	}
}

static void to_group(struct hub *h, struct hub_group *g, uint64_t allowed, struct event *e,
		     enum scope_view view)
{
	for (size_t i = g->n; i-- > 0;) {
		struct hub_member *m = g->members[i];
		bool last = g->n == 1; /* its leaving frees a user's group */

		if (allowed >> m->role & 1)
			h->deliver(m, e, view);
		if (last)
			return;
	}
}

static void to_user(struct hub *h, const char *key, uint64_t allowed, struct event *e, bool before,
		    bool after)
{
	enum scope_view view = scope_own_view(e->op, before, after);
	struct hub_group *g = view == VIEW_NOTHING ? NULL : user_group(h, key);

	if (g)
		to_group(h, g, allowed, e, view);
}

/* Both lists are in the same order: one walk tells who is in which. */
static void to_owners(struct hub *h, uint64_t allowed, struct event *e)
{
	const struct owners *a = &e->before, *b = &e->after;

	for (size_t i = 0, k = 0; i < a->n || k < b->n;) {
		int order = i == a->n ? 1 : k == b->n ? -1 : strcmp(a->keys[i], b->keys[k]);
		const char *key = order > 0 ? b->keys[k] : a->keys[i];

		to_user(h, key, allowed, e, order <= 0, order >= 0);
		i += order <= 0;
		k += order >= 0;
	}
}

static void to_everybody(struct hub *h, uint64_t allowed, struct event *e)
{
	struct hub_group *g, *tmp;

	for (size_t i = 0; i < h->n_policies; i++)
		to_group(h, &h->roles[i], allowed, e, VIEW_WHOLE);
	HASH_ITER (hh, h->users, g, tmp)
		to_group(h, g, allowed, e, VIEW_WHOLE);
}

void hub_publish(struct hub *h, struct event *e)
{
	uint64_t allowed = 0; /* roles that may hear this type at all */

	ring_add(&h->ring, e);
	for (size_t i = 0; i < h->n_policies; i++)
		if (event_allowed(e, &h->policies[i]))
			allowed |= (uint64_t)1 << i;
	if (e->op == 'r') {
		to_everybody(h, allowed, e);
		return;
	}
	for (size_t i = 0; i < h->n_policies && e->op != 'f'; i++)
		if (h->policies[i].receives == RECEIVES_ALL)
			to_group(h, &h->roles[i], allowed, e, VIEW_WHOLE);
	to_owners(h, allowed, e);
}

void hub_each_of_user(struct hub *h, const char *user_id,
		      void (*each)(struct hub_member *m, void *arg), void *arg)
{
	struct hub_group *g = user_group(h, user_id);

	for (size_t i = 0; i < h->n_policies; i++)
		for (size_t k = h->roles[i].n; k-- > 0;)
			if (!strcmp(h->roles[i].members[k]->who->user_id, user_id))
				each(h->roles[i].members[k], arg);
	for (size_t k = g ? g->n : 0; k-- > 0;) {
		bool last = g->n == 1;

		each(g->members[k], arg);
		if (last)
			return;
	}
}
