/* SPDX-License-Identifier: PostgreSQL
 * See lobby.h. */
#include "config.h"
#include "web/lobby.h"

#include <assert.h>
#include <stdlib.h>
#include <sys/socket.h>

#include <uthash.h>

struct lobby_address {
	struct address block;
	struct list waiting; /* guests by `mates` */
	size_t n_waiting, n_asking;
	UT_hash_handle hh;
};

void lobby_init(struct lobby *l)
{
	*l = (struct lobby){0};
	pthread_mutex_init(&l->lock, NULL);
	list_init(&l->waiting);
}

void lobby_free(struct lobby *l)
{
	assert(!l->n && !l->addresses);
	pthread_mutex_destroy(&l->lock);
}

void lobby_limit(struct lobby *l, uint64_t max, uint64_t max_per_address)
{
	pthread_mutex_lock(&l->lock);
	l->max = max;
	l->max_per_address = max_per_address;
	pthread_mutex_unlock(&l->lock);
}

/* The entry of an address, made when it is not there yet; NULL for none. */
static struct lobby_address *entry(struct lobby *l, const struct address *address)
{
	struct address block = address_block(address);
	struct lobby_address *a;

	if (address_is_none(address))
		return NULL;
	HASH_FIND(hh, l->addresses, &block, sizeof(block), a);
	if (!a) {
		a = xcalloc(1, sizeof(*a));
		a->block = block;
		list_init(&a->waiting);
		HASH_ADD(hh, l->addresses, block, sizeof(a->block), a);
	}
	return a;
}

static void drop_entry(struct lobby *l, struct lobby_address *a)
{
	if (a && !a->n_waiting && !a->n_asking) {
		HASH_DEL(l->addresses, a);
		free(a);
	}
}

static void stop_waiting(struct lobby *l, struct guest *g)
{
	struct lobby_address *a = g->waiting;

	list_remove(&g->all);
	list_remove(&g->mates);
	g->waiting = NULL;
	if (a)
		a->n_waiting--;
	drop_entry(l, a);
}

/* Shows it the door. Its worker, which may be another one, hears of it from the socket, and leaves
 * before it closes the descriptor: so it is still that one. False in its first moments. */
static bool evict(struct lobby *l, struct guest *g, uint64_t now_ms)
{
	if (now_ms < g->since_ms + LOBBY_GRACE_MS)
		return false;
	stop_waiting(l, g);
	g->evicted = true;
	shutdown(g->fd, SHUT_RDWR);
	return true;
}

/* The oldest ones of an address, until so many are left. */
static unsigned shrink(struct lobby *l, struct lobby_address *a, size_t left, uint64_t now_ms)
{
	unsigned n = 0;

	a->n_asking++; /* so that it stays */
	while (a->n_waiting > left &&
	       evict(l, LIST_ENTRY(a->waiting.next, struct guest, mates), now_ms))
		n++;
	a->n_asking--;
	return n;
}

/* Some places stay free for what has been shown the door and has not gone yet. */
static uint64_t comfortable(const struct lobby *l)
{
	return l->max - l->max / 8;
}

bool lobby_has_room(struct lobby *l, uint64_t now_ms, unsigned *ret_evicted)
{
	bool room;

	*ret_evicted = 0;
	pthread_mutex_lock(&l->lock);
	while (l->max && l->n >= comfortable(l) + *ret_evicted && !list_empty(&l->waiting) &&
	       evict(l, LIST_ENTRY(l->waiting.next, struct guest, all), now_ms))
		++*ret_evicted;
	room = !l->max || l->n < l->max;
	pthread_mutex_unlock(&l->lock);
	return room;
}

unsigned lobby_enter(struct lobby *l, struct guest *g, int fd, const struct address *address,
		     uint64_t now_ms)
{
	struct lobby_address *a;
	unsigned evicted = 0;

	*g = (struct guest){.fd = fd, .since_ms = now_ms};
	list_init(&g->all);
	list_init(&g->mates);
	pthread_mutex_lock(&l->lock);
	l->n++;
	g->waiting = a = entry(l, address);
	if (a && l->max_per_address)
		evicted = shrink(l, a, (size_t)l->max_per_address - 1, now_ms);
	list_push(&l->waiting, &g->all);
	if (a) {
		list_push(&a->waiting, &g->mates);
		a->n_waiting++;
	}
	pthread_mutex_unlock(&l->lock);
	return evicted;
}

unsigned lobby_trim(struct lobby *l, uint64_t now_ms)
{
	struct lobby_address *a, *tmp;
	unsigned n = 0;

	pthread_mutex_lock(&l->lock);
	HASH_ITER (hh, l->addresses, a, tmp) {
		if (l->max_per_address && a->n_waiting > l->max_per_address)
			n += shrink(l, a, (size_t)l->max_per_address, now_ms);
	}
	pthread_mutex_unlock(&l->lock);
	return n;
}

bool lobby_complete(struct lobby *l, struct guest *g)
{
	bool here;

	pthread_mutex_lock(&l->lock);
	here = !g->evicted;
	stop_waiting(l, g);
	pthread_mutex_unlock(&l->lock);
	return here;
}

bool lobby_ask(struct lobby *l, struct guest *g, const struct address *address)
{
	struct lobby_address *a;
	bool ok;

	pthread_mutex_lock(&l->lock);
	assert(!g->asking);
	a = entry(l, address);
	ok = !a || !l->max_per_address || a->n_asking < l->max_per_address;
	if (ok && a) {
		a->n_asking++;
		g->asking = a;
	}
	pthread_mutex_unlock(&l->lock);
	return ok;
}

static void stop_asking(struct lobby *l, struct guest *g)
{
	struct lobby_address *a = g->asking;

	g->asking = NULL;
	if (a)
		a->n_asking--;
	drop_entry(l, a);
}

void lobby_answered(struct lobby *l, struct guest *g)
{
	pthread_mutex_lock(&l->lock);
	stop_asking(l, g);
	pthread_mutex_unlock(&l->lock);
}

void lobby_leave(struct lobby *l, struct guest *g)
{
	pthread_mutex_lock(&l->lock);
	stop_waiting(l, g);
	stop_asking(l, g);
	l->n--;
	pthread_mutex_unlock(&l->lock);
}
