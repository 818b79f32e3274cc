/* SPDX-License-Identifier: PostgreSQL
 * See arrival.h. */
#include "config.h"
#include "web/arrival.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "hub/filter.h"
#include "hub/subscription.h"
#include "web/departure.h"
#include "web/stream.h"
#include "web/worker.h"

#define WAIT_MS 30000 /* for the database; proxies wait as long for the next byte */

struct arrival {
	struct list node;
	struct worker *worker;
	int fd;
	bool chunked;
	struct luggage luggage; /* the strings are ours; NULL without any */
	struct post_lookup *lookup;
	uint64_t rights_changes; /* the worker's count when the look-up went out */
};

static void arrival_free(struct arrival *a)
{
	const char *strings[] = {a->luggage.token, a->luggage.user,	a->luggage.route,
				 a->luggage.door,  a->luggage.position, a->luggage.peer,
				 a->luggage.types, a->luggage.topics,	a->luggage.channels};

	if (a->lookup)
		a->lookup->asker = NULL;
	list_remove(&a->node);
	explicit_bzero((void *)(uintptr_t)a->luggage.token, strlen(a->luggage.token));
	for (size_t i = 0; i < sizeof(strings) / sizeof(*strings); i++)
		free((void *)(uintptr_t)strings[i]);
	free(a);
}

static void refuse(struct arrival *a)
{
	departure_farewell(a->fd, a->chunked);
	arrival_free(a);
}

/* Its route, and of that the door by which it came; NULL when one of them is no longer there. */
static const struct conf_route *route_of(const struct arrival *a, unsigned *ret_door)
{
	const struct conf *c = a->worker->conf;

	for (size_t i = 0; i < c->n_routes; i++)
		if (!strcmp(c->routes[i].name, a->luggage.route))
			return c->routes[i].kind == ROUTE_EVENTS &&
					       conf_find_door(&c->routes[i], a->luggage.door,
							      ret_door)
				       ? &c->routes[i]
				       : NULL;
	return NULL;
}

static bool filter_of(const struct luggage *l, struct filter **ret)
{
	*ret = NULL;
	return (!*l->types || filter_add_types(ret, l->types)) &&
	       (!*l->topics || filter_add_topics(ret, l->topics));
}

/* False when his role may not hear them any more. */
static bool channels_of(const struct arrival *a, struct principal *who)
{
	const struct conf *conf = a->worker->conf;
	struct subscription s = {0};
	int role = hub_role(&a->worker->hub, who->role);
	bool ok = role >= 0 && (!*a->luggage.channels || subscription_add(&s, a->luggage.channels));

	if (ok)
		who->channels = subscription_keys(&s);
	subscription_clear(&s);
	return ok && !subscription_refused(who->channels, &conf->roles[role], who->user_id);
}

/* It is a stream from here on; false when he may not have one any more. Takes `who`. */
static bool begin(struct arrival *a, struct principal *who)
{
	struct worker *w = a->worker;
	const struct luggage *l = &a->luggage;
	struct stream_wish wish = {
		.last_id = l->position, .who_am_i = l->who_am_i, .chunked = a->chunked};
	const struct conf_route *route = route_of(a, &wish.door);
	struct stream *s;

	if (!route || conf_route_form(route, TRANSPORT_SSE) != l->form ||
	    strcmp(who->user_id, l->user) != 0 || !conf_role_allowed(w->conf, route, who->role) ||
	    !filter_of(l, &wish.filter) || !channels_of(a, who) ||
	    registry_enter(w->registry, who->user_id) != REGISTRY_OK) {
		filter_free(wish.filter);
		principal_free(who);
		return false;
	}
	wish.form = (uint32_t)l->form;
	who->channels_only = route->channels.n && !route->own_too;
	filter_limit(&wish.filter, route->types.items, route->types.n);
	s = stream_new(w, w->conf, route, who, l->token, &wish, l->peer);
	if (a->rights_changes != w->rights_changes) /* the verdict may be of before that */
		stream_hold(s, 0);
	stream_arrive(s, a->fd, l);
	return true;
}

static void answered(struct post_lookup *l)
{
	struct arrival *a = l->asker;
	struct principal *who = l->who;

	l->who = NULL;
	if (a)
		a->lookup = NULL;
	if (!a || l->verdict == LOOKUP_UNAVAILABLE) /* arrivals_tick() asks again */
		principal_free(who);
	else if (l->verdict == LOOKUP_OK && begin(a, who))
		arrival_free(a);
	else
		refuse(a);
	post_lookup_free(l);
}

static void look_up(struct arrival *a)
{
	struct worker *w = a->worker;
	struct post_lookup *l;
	unsigned door;
	const struct conf_route *route = route_of(a, &door);

	if (a->lookup)
		return;
	if (!route) {
		refuse(a);
		return;
	}
	l = a->lookup = xcalloc(1, sizeof(*l));
	l->letter.kind = POST_LOOKUP;
	l->reply_to = &w->inbox;
	l->auth = xstrdup(a->luggage.door);
	l->token = xstrdup(a->luggage.token);
	l->asker = a;
	l->answered = answered;
	l->until_ms = loop_now_ms(w->loop) + w->conf->request_ms;
	a->rights_changes = w->rights_changes;
	inbox_post(w->db, &l->letter);
}

void arrivals_go(struct worker *w)
{
	LIST_EACH (&w->arrivals, node, tmp)
		look_up(LIST_ENTRY(node, struct arrival, node));
}

void arrivals_tick(struct worker *w)
{
	if (list_empty(&w->arrivals))
		return;
	if (loop_now_ms(w->loop) >= w->arrivals_until_ms)
		arrivals_refuse(w);
	else if (w->database_up)
		arrivals_go(w);
}

void arrivals_refuse(struct worker *w)
{
	LIST_EACH (&w->arrivals, node, tmp)
		refuse(LIST_ENTRY(node, struct arrival, node));
}

static int by_socket(const void *a, const void *b)
{
	uint64_t x = ((const struct luggage *)a)->socket, y = ((const struct luggage *)b)->socket;

	return x < y ? -1 : x > y;
}

static const struct luggage *find(const struct luggage *all, size_t n, int fd)
{
	struct luggage key = {0};
	struct stat st;

	if (!n || fstat(fd, &st) || !S_ISSOCK(st.st_mode))
		return NULL;
	key.socket = st.st_ino;
	return bsearch(&key, all, n, sizeof(*all), by_socket);
}

static void wait_at(struct worker *w, int fd, bool chunked, const struct luggage *l)
{
	struct arrival *a = xcalloc(1, sizeof(*a));

	a->worker = w;
	a->fd = fd;
	a->chunked = chunked;
	a->luggage = *l;
	a->luggage.token = xstrdup(l->token);
	a->luggage.user = xstrdup(l->user);
	a->luggage.route = xstrdup(l->route);
	a->luggage.door = xstrdup(l->door);
	a->luggage.position = xstrdup(l->position);
	a->luggage.peer = xstrdup(l->peer);
	a->luggage.types = xstrdup(l->types);
	a->luggage.topics = xstrdup(l->topics);
	a->luggage.channels = xstrdup(l->channels);
	w->arrivals_until_ms = loop_now_ms(w->loop) + WAIT_MS;
	list_push(&w->arrivals, &a->node);
}

static bool named(const struct sd_fd *passed, const char *name)
{
	return !strcmp(passed->name, name);
}

bool arrival_is(const struct sd_fd *passed)
{
	return named(passed, DEPARTURE_BAG) || named(passed, DEPARTURE_STATE);
}

/* The first of that name, or -1. Any more are closed: nobody would know them. */
static int first_named(const struct sd_fd *passed, size_t n, const char *name)
{
	int fd = -1;

	for (size_t i = 0; i < n; i++) {
		if (!named(&passed[i], name))
			continue;
		if (fd >= 0)
			close(passed[i].fd);
		else
			fd = passed[i].fd;
	}
	return fd;
}

void arrivals_take(const struct sd_fd *passed, size_t n, struct worker **workers, size_t n_workers)
{
	int bag = first_named(passed, n, DEPARTURE_BAG);
	autoclose int state = first_named(passed, n, DEPARTURE_STATE);
	autofree struct departure_socket *sockets = NULL;
	autofree struct luggage *all = NULL;
	autofree char *bytes = NULL;
	size_t n_all = 0, len = 0, taken = 0, n_sockets;

	if (bag < 0)
		return;
	/* The store lets go of them before the first one is used: a later process must not find
	 * them, and a client must see when we close his. */
	sd_unstore(DEPARTURE_STATE);
	sd_unstore(DEPARTURE_BAG);
	bytes = state >= 0 ? departure_state(state, &len) : NULL;
	if (bytes && luggage_read(bytes, len, &all, &n_all))
		xsort(all, n_all, sizeof(*all), by_socket);
	n_sockets = departure_unpack(bag, &sockets);
	for (size_t i = 0; i < n_sockets; i++) {
		const struct luggage *l = find(all, n_all, sockets[i].fd);

		if (l)
			wait_at(workers[taken++ % n_workers], sockets[i].fd, sockets[i].chunked, l);
		else
			departure_farewell(sockets[i].fd, sockets[i].chunked);
	}
	log_info("%zu streams of the process before go on; %zu are told to come back", taken,
		 n_sockets - taken);
	if (bytes)
		explicit_bzero(bytes, len);
}
