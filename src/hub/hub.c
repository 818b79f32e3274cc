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
	assert(n <= HUB_MAX_ROLES && !h->keys);
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

/* Where a listener sits besides his group: for each channel the group and the place in it. */
struct hub_seats {
	uint64_t heard; /* the hub's n_published when it last heard something */
	size_t n;
	struct hub_seat {
		struct hub_group *group;
		uint32_t place;
	} at[];
};

static struct hub_group *group_of(struct hub *h, const char *key, size_t len)
{
	struct hub_group *g;

	HASH_FIND(hh, h->keys, key, len, g);
	return g;
}

/* The key of a user's id; the caller frees. */
static char *user_key(const char *user_id)
{
	return xasprintf("%s%s", key_is_escaped(user_id) ? "=" : "", user_id);
}

static struct hub_group *make_group(struct hub *h, char *key)
{
	struct hub_group *g = group_of(h, key, strlen(key));

	if (g) {
		free(key);
		return g;
	}
	g = xcalloc(1, sizeof(*g));
	g->key = key;
	HASH_ADD_KEYPTR(hh, h->keys, g->key, strlen(g->key), g);
	return g;
}

static uint32_t sit_down(struct hub_group *g, struct hub_member *m)
{
	if (g->n == g->cap) {
		g->cap = g->cap ? g->cap * 2 : 1;
		g->members = xrealloc(g->members, g->cap, sizeof(struct hub_member *));
	}
	g->members[g->n] = m;
	return (uint32_t)g->n++;
}

static void join_channels(struct hub *h, struct hub_member *m)
{
	const struct keys *channels = m->who->channels;
	size_t n = channels ? channels->n : 0;

	m->seats = xcalloc(1, sizeof(*m->seats) + n * sizeof(*m->seats->at));
	m->seats->n = n;
	for (size_t i = 0; i < n; i++) {
		struct hub_seat *s = &m->seats->at[i];

		s->group = make_group(h, xstrdup(channels->list[i]));
		s->place = sit_down(s->group, m);
	}
}

void hub_join(struct hub *h, struct hub_member *m)
{
	bool all = principal_hears_all(m->who, &h->policies[m->role]);

	assert(!m->group);
	/* Who hears everything is found by his role, everybody else by his keys. */
	m->group = all ? &h->roles[m->role] : make_group(h, user_key(m->who->user_id));
	m->place = sit_down(m->group, m);
	/* Who hears channels only sits by his id too, and is asked each time whether he hears it.
	 */
	if (!all && (m->who->channels || m->who->channels_only))
		join_channels(h, m);
}

/* The place of the member that sits last in a group. */
static uint32_t *place_in(struct hub_member *m, const struct hub_group *g)
{
	size_t i = 0;

	if (m->group == g)
		return &m->place;
	while (m->seats->at[i].group != g)
		i++;
	return &m->seats->at[i].place;
}

static void free_group(struct hub *h, struct hub_group *g)
{
	HASH_DEL(h->keys, g);
	free(g->members);
	free(g->key);
	free(g);
}

static void get_up(struct hub *h, struct hub_group *g, uint32_t place)
{
	struct hub_member *last = g->members[--g->n];

	*place_in(last, g) = place;
	g->members[place] = last;
	if (g->n || !g->key)
		return;
	if (!h->walking) {
		free_group(h, g);
		return;
	}
	g->next_empty = h->empty;
	h->empty = g;
}

/* While groups are walked none is freed: who leaves may have been the last one in several. */
static void end_walk(struct hub *h)
{
	struct hub_group *g;

	h->walking = false;
	while ((g = h->empty)) {
		h->empty = g->next_empty;
		free_group(h, g);
	}
}

void hub_leave(struct hub *h, struct hub_member *m)
{
	if (!m->group)
		return;
	get_up(h, m->group, m->place);
	m->group = NULL;
	for (size_t i = 0; m->seats && i < m->seats->n; i++)
		get_up(h, m->seats->at[i].group, m->seats->at[i].place);
	free(m->seats);
	m->seats = NULL;
}

/* Who has several keys may be met several times: what he sees is said by all of them together. */
static enum scope_view view_of_several(struct hub *h, struct hub_member *m, struct event *e)
{
	if (m->seats->heard == h->n_published)
		return VIEW_NOTHING;
	m->seats->heard = h->n_published;
	return event_view(e, &h->policies[m->role], m->who);
}

static void to_group(struct hub *h, struct hub_group *g, uint64_t allowed, struct event *e,
		     enum scope_view view)
{
	for (size_t i = g->n; i-- > 0;) {
		struct hub_member *m = g->members[i];
		enum scope_view his = m->seats ? view_of_several(h, m, e) : view;

		if (allowed >> m->role & 1 && his != VIEW_NOTHING)
			h->deliver(m, e, his);
	}
}

/* Who sits in a group for another reason than his keys: each is asked. */
static void to_those_meant(struct hub *h, struct hub_group *g, uint64_t allowed, struct event *e)
{
	for (size_t i = g->n; i-- > 0;) {
		struct hub_member *m = g->members[i];
		enum scope_view view = VIEW_NOTHING;

		if (m->group == g && allowed >> m->role & 1)
			view = event_view(e, &h->policies[m->role], m->who);
		if (view != VIEW_NOTHING)
			h->deliver(m, e, view);
	}
}

/* Who hears of every row. */
static void to_role(struct hub *h, struct hub_group *g, uint64_t allowed, struct event *e)
{
	if (e->op == 'm')
		to_those_meant(h, g, allowed, e);
	else
		to_group(h, g, allowed, e, VIEW_WHOLE);
}

static void to_key(struct hub *h, const char *key, uint64_t allowed, struct event *e, bool before,
		   bool after)
{
	enum scope_view view = scope_own_view(e->op, before, after);
	struct hub_group *g = view == VIEW_NOTHING ? NULL : group_of(h, key, strlen(key));

	if (g)
		to_group(h, g, allowed, e, view);
}

/* Both lists are in the same order: one walk tells who is in which. */
static void to_keys(struct hub *h, uint64_t allowed, struct event *e)
{
	const struct keys *a = &e->before, *b = &e->after;

	for (size_t i = 0, k = 0; i < a->n || k < b->n;) {
		int order = i == a->n ? 1 : k == b->n ? -1 : strcmp(a->list[i], b->list[k]);
		const char *key = order > 0 ? b->list[k] : a->list[i];

		to_key(h, key, allowed, e, order <= 0, order >= 0);
		i += order <= 0;
		k += order >= 0;
	}
}

/* Everybody once, whatever he sees: where he sits by his role or his id. */
static void to_everybody(struct hub *h, uint64_t allowed, struct event *e)
{
	struct hub_group *g, *tmp;

	for (size_t i = 0; i < h->n_policies && !event_is_for_owners(e); i++)
		if (e->op == 'r' || h->policies[i].receives == RECEIVES_ALL)
			to_role(h, &h->roles[i], allowed, e);
	HASH_ITER (hh, h->keys, g, tmp)
		to_those_meant(h, g, allowed, e);
}

void hub_publish(struct hub *h, struct event *e)
{
	uint64_t allowed = 0; /* roles that may hear this type at all */

	ring_add(&h->ring, e);
	for (size_t i = 0; i < h->n_policies; i++)
		if (event_allowed(e, &h->policies[i]))
			allowed |= (uint64_t)1 << i;
	h->n_published++;
	h->walking = true;
	if (e->op == 'r' || e->for_everybody) {
		to_everybody(h, allowed, e);
	} else {
		for (size_t i = 0; i < h->n_policies && !event_is_for_owners(e); i++)
			if (h->policies[i].receives == RECEIVES_ALL)
				to_role(h, &h->roles[i], allowed, e);
		to_keys(h, allowed, e);
	}
	end_walk(h);
}

void hub_each_of_user(struct hub *h, const char *user_id,
		      void (*each)(struct hub_member *m, void *arg), void *arg)
{
	autofree char *key = user_key(user_id);
	struct hub_group *g = group_of(h, key, strlen(key));

	h->walking = true;
	for (size_t i = 0; i < h->n_policies; i++)
		for (size_t k = h->roles[i].n; k-- > 0;)
			if (!strcmp(h->roles[i].members[k]->who->user_id, user_id))
				each(h->roles[i].members[k], arg);
	for (size_t k = g ? g->n : 0; k-- > 0;)
		each(g->members[k], arg);
	end_walk(h);
}
