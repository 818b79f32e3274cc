/* SPDX-License-Identifier: PostgreSQL
 * See registry.h. */
#include "config.h"
#include "hub/registry.h"

#include <assert.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include <uthash.h>

struct user {
	size_t n;
	uint64_t probed_ms;
	UT_hash_handle hh;
	char id[];
};

struct registry {
	pthread_mutex_t lock;
	struct user *users;
	struct user *places; /* by name */
	size_t streams;
	uint64_t max_streams, max_per_user;
};

struct registry *registry_new(void)
{
	struct registry *r = xcalloc(1, sizeof(*r));

	pthread_mutex_init(&r->lock, NULL);
	return r;
}

void registry_free(struct registry *r)
{
	assert(!r->users && !r->places);
	pthread_mutex_destroy(&r->lock);
	free(r);
}

void registry_limit(struct registry *r, uint64_t max_streams, uint64_t max_per_user)
{
	pthread_mutex_lock(&r->lock);
	r->max_streams = max_streams;
	r->max_per_user = max_per_user;
	pthread_mutex_unlock(&r->lock);
}

static struct user *find(struct registry *r, const char *id)
{
	struct user *u;

	HASH_FIND_STR(r->users, id, u);
	return u;
}

/* One that is not there yet, of nobody. */
static struct user *add(struct user **all, const char *id)
{
	size_t len = strlen(id);
	struct user *u = xcalloc(1, sizeof(*u) + len + 1);

	memcpy(u->id, id, len);
	HASH_ADD_KEYPTR(hh, *all, u->id, len, u);
	return u;
}

enum registry_verdict registry_enter(struct registry *r, const char *user_id)
{
	enum registry_verdict v = REGISTRY_OK;
	struct user *u;

	pthread_mutex_lock(&r->lock);
	u = find(r, user_id);
	if (r->max_streams && r->streams >= r->max_streams)
		v = REGISTRY_FULL;
	else if (r->max_per_user && u && u->n >= r->max_per_user)
		v = REGISTRY_USER_FULL;
	else {
		u = u ? u : add(&r->users, user_id);
		u->n++;
		r->streams++;
	}
	pthread_mutex_unlock(&r->lock);
	return v;
}

bool registry_probes(struct registry *r, const char *user_id, uint64_t now_ms, uint64_t every_ms)
{
	struct user *u;
	bool due;

	pthread_mutex_lock(&r->lock);
	u = find(r, user_id);
	due = u && now_ms >= u->probed_ms + every_ms;
	if (due)
		u->probed_ms = now_ms;
	pthread_mutex_unlock(&r->lock);
	return due;
}

void registry_leave(struct registry *r, const char *user_id)
{
	struct user *u;

	pthread_mutex_lock(&r->lock);
	u = find(r, user_id);
	assert(u && u->n && r->streams);
	r->streams--;
	if (!--u->n) {
		HASH_DEL(r->users, u);
		free(u);
	}
	pthread_mutex_unlock(&r->lock);
}

bool registry_sit(struct registry *r, const char *place, uint64_t max)
{
	struct user *u;
	bool ok;

	pthread_mutex_lock(&r->lock);
	HASH_FIND_STR(r->places, place, u);
	ok = (u ? u->n : 0) < max;
	if (ok) {
		u = u ? u : add(&r->places, place);
		u->n++;
	}
	pthread_mutex_unlock(&r->lock);
	return ok;
}

void registry_rise(struct registry *r, const char *place)
{
	struct user *u;

	pthread_mutex_lock(&r->lock);
	HASH_FIND_STR(r->places, place, u);
	assert(u && u->n);
	if (!--u->n) {
		HASH_DEL(r->places, u);
		free(u);
	}
	pthread_mutex_unlock(&r->lock);
}

size_t registry_streams(struct registry *r)
{
	size_t n;

	pthread_mutex_lock(&r->lock);
	n = r->streams;
	pthread_mutex_unlock(&r->lock);
	return n;
}

void registry_each(struct registry *r, void (*each)(void *arg, const char *user_id, size_t n),
		   void *arg)
{
	struct user *u, *tmp;

	pthread_mutex_lock(&r->lock);
	HASH_ITER (hh, r->users, u, tmp)
		each(arg, u->id, u->n);
	pthread_mutex_unlock(&r->lock);
}
