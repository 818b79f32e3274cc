/* SPDX-License-Identifier: PostgreSQL
 * See tickets.h. */
#include "config.h"
#include "web/tickets.h"

#include <stdlib.h>
#include <string.h>

#include "auth/ticket.h"
#include "conf.h"
#include <uthash.h>

struct ticket_holder {
	size_t n;
	UT_hash_handle hh;
	char id[];
};

struct ticket_given {
	struct list node;
	uint64_t ends_ms;
	struct ticket_holder *user, *address;
	UT_hash_handle hh;
	char name[TICKET_NAME + 1];
};

void tickets_init(struct tickets *t)
{
	*t = (struct tickets){.n = 0};
	pthread_mutex_init(&t->lock, NULL);
	list_init(&t->given);
}

static void leave(struct tickets *t, struct ticket_holder *h)
{
	if (--h->n)
		return;
	HASH_DEL(t->holders, h);
	free(h);
}

static void drop(struct tickets *t, struct ticket_given *g)
{
	list_remove(&g->node);
	HASH_DEL(t->by_name, g);
	leave(t, g->user);
	leave(t, g->address);
	free(g);
	t->n--;
}

void tickets_free(struct tickets *t)
{
	while (!list_empty(&t->given))
		drop(t, LIST_ENTRY(t->given.next, struct ticket_given, node));
	pthread_mutex_destroy(&t->lock);
}

/* With one ticket more; no user's id is spelled like an address of these. */
static struct ticket_holder *join(struct tickets *t, const char *kind, const char *id)
{
	autofree char *text = xasprintf("%s %s", kind, id);
	size_t len = strlen(text);
	struct ticket_holder *h;

	HASH_FIND_STR(t->holders, text, h);
	if (!h) {
		h = xcalloc(1, sizeof(*h) + len + 1);
		memcpy(h->id, text, len);
		HASH_ADD_KEYPTR(hh, t->holders, h->id, len, h);
	}
	h->n++;
	return h;
}

static void drop_ended(struct tickets *t, uint64_t now_ms)
{
	while (!list_empty(&t->given)) {
		struct ticket_given *g = LIST_ENTRY(t->given.next, struct ticket_given, node);

		if (g->ends_ms > now_ms)
			return;
		drop(t, g);
	}
}

static bool is_beyond(size_t n, uint64_t max)
{
	return max && n > max;
}

static enum tally_reason check(const struct tickets *t, const struct conf *conf,
			       const struct ticket_given *g)
{
	if (is_beyond(g->user->n, conf->max_tickets_per_user))
		return TALLY_USER_TICKETS;
	if (is_beyond(g->address->n, conf->max_tickets_per_address))
		return TALLY_ADDRESS_TICKETS;
	return is_beyond(t->n, conf->max_tickets) ? TALLY_TICKETS : N_TALLIES;
}

enum tally_reason tickets_give(struct tickets *t, const struct conf *conf, const char *name,
			       const char *user_id, const struct address *from, uint64_t now_ms)
{
	struct ticket_given *g = xcalloc(1, sizeof(*g));
	struct address block = address_block(from);
	char text[ADDRESS_TEXT_MAX];
	enum tally_reason over;

	address_text(&block, text);
	memcpy(g->name, name, TICKET_NAME);
	g->ends_ms = now_ms + (uint64_t)TICKET_LIFE_S * 1000;
	pthread_mutex_lock(&t->lock);
	drop_ended(t, now_ms);
	g->user = join(t, "user", user_id);
	g->address = join(t, "from", text);
	list_push(&t->given, &g->node);
	HASH_ADD_STR(t->by_name, name, g);
	t->n++;
	over = check(t, conf, g);
	if (over != N_TALLIES)
		drop(t, g);
	pthread_mutex_unlock(&t->lock);
	return over;
}

void tickets_forget(struct tickets *t, const char *name)
{
	struct ticket_given *g;

	pthread_mutex_lock(&t->lock);
	HASH_FIND_STR(t->by_name, name, g);
	if (g)
		drop(t, g);
	pthread_mutex_unlock(&t->lock);
}
