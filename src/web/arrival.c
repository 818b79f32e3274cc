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
#include "web/caller.h"
#include "web/departure.h"
#include "web/parting.h"
#include "web/permission.h"
#include "web/stream.h"
#include "web/worker.h"

#define WAIT_MS	  30000 /* for the database; proxies wait as long for the next byte */
#define WORDS_MAX 256	/* bytes of the last ones */

struct arrival {
	struct list node;
	struct worker *worker;
	struct bag_item item;
	struct luggage luggage; /* the strings are ours */
	struct post_lookup *lookup;
	uint64_t rights_changes; /* the worker's count when the look-up went out */
	/* What it had before and whoever comes first may not take from it. */
	struct conf *conf;		/* of its route */
	const struct conf_route *route; /* of its seat, or NULL */
	struct seat seat;
	bool entered; /* counted as a stream of its user */
};

static void arrival_free(struct arrival *a)
{
	const char *strings[] = {a->luggage.token, a->luggage.user,	a->luggage.route,
				 a->luggage.door,  a->luggage.position, a->luggage.peer,
				 a->luggage.types, a->luggage.topics,	a->luggage.channels,
				 a->luggage.role,  a->luggage.from,	a->luggage.granted};

	if (a->lookup)
		a->lookup->asker = NULL;
	list_remove(&a->node);
	if (a->entered)
		registry_leave(a->worker->registry, a->luggage.user);
	if (a->route)
		seat_leave(&a->seat, a->worker->registry, a->route);
	conf_unref(a->conf);
	explicit_bzero((void *)(uintptr_t)a->luggage.token, strlen(a->luggage.token));
	for (size_t i = 0; i < sizeof(strings) / sizeof(*strings); i++)
		free((void *)(uintptr_t)strings[i]);
	if (a->item.words)
		frame_unref(a->item.words);
	free(a);
}

static void part(struct worker *w, struct bag_item *i)
{
	bag_farewell(i);
	if (i->talks)
		parting_take(w, i->fd);
	else
		close(i->fd);
}

/* The farewell of a restart lies beside the socket; other ends have words of their own. */
static void refuse(struct arrival *a, enum wire_end end, const char *why)
{
	autobuf words = {.max = WORDS_MAX};

	if (end != END_RESTART) {
		form_break((uint32_t)a->luggage.form, &words, end, why);
		frame_unref(a->item.words);
		a->item.words = words.len ? frame_new(words.data, words.len) : NULL;
	}
	part(a->worker, &a->item);
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
	if ((*l->types && !filter_add_types(ret, l->types)) ||
	    (*l->topics && !filter_add_topics(ret, l->topics)))
		return false;
	if (l->no_types || l->no_topics) {
		*ret = *ret ? *ret : xcalloc(1, sizeof(**ret));
		(*ret)->no_types = l->no_types;
		(*ret)->no_topics = l->no_topics;
	}
	return true;
}

/* The channels that it had; *ret may be NULL when it had none. */
static bool channels_of(const struct luggage *l, struct keys **ret)
{
	struct subscription s = {0};
	bool ok = !*l->channels || subscription_add(&s, l->channels);

	*ret = ok ? subscription_keys(&s) : NULL;
	subscription_clear(&s);
	return ok;
}

/* False when his role may not hear them any more. */
static bool may_hear(const struct arrival *a, struct principal *who)
{
	int role = hub_role(&a->worker->hub, who->role);

	return role >= 0 && channels_of(&a->luggage, &who->channels) &&
	       !subscription_refused(who->channels, &a->worker->conf->roles[role], who);
}

/* Whether his credential says of channels what it did: he has some that he did not ask for. */
static bool same_grants(const struct luggage *l, const struct principal *who)
{
	autofree char *text = subscription_grants_text(who->granted);

	return !strcmp(text, l->granted);
}

/* It keeps the places that it had. By a limit that is new, or lower, nobody is turned away. */
static void sit(const struct arrival *a, const struct conf_route *route, struct seat *seat)
{
	const char *text = a->luggage.from;
	struct address from = {{0}};
	bool known = address_parse(&from, text, strlen(text));
	struct keys *channels;

	if (!channels_of(&a->luggage, &channels))
		channels = NULL; /* it will be refused */
	seat_keep(seat, a->worker->registry, route, known ? &from : NULL, channels);
	free(channels);
}

/* Before anybody else is let in. */
static void reserve(struct arrival *a)
{
	unsigned door;

	a->conf = conf_ref(a->worker->conf);
	a->route = route_of(a, &door);
	if (a->route)
		sit(a, a->route, &a->seat);
	a->entered = registry_enter(a->worker->registry, a->luggage.user) == REGISTRY_OK;
}

/* Why it cannot go on on its connection, or NULL. */
static const char *hindrance(const struct arrival *a, const struct conf_route *route,
			     struct principal *who, struct filter **ret_filter,
			     enum wire_end *ret_end)
{
	const struct luggage *l = &a->luggage;
	enum wire_transport transport = form_transport((uint32_t)l->form);
	const struct address from = caller_peer_address(l->peer);

	*ret_end = END_RESTART;
	if (!route || !conf_route_carries(route, transport) ||
	    conf_route_form(route, transport) != l->form || !filter_of(l, ret_filter))
		return "its route is another one";
	if (!conf_route_admits(a->worker->conf, route, &from))
		return STREAM_ADDRESS_OUT;
	*ret_end = END_CREDENTIAL;
	if (strcmp(who->user_id, l->user) != 0)
		return "its token is another user's";
	*ret_end = END_ROLE;
	if (!conf_role_allowed(a->worker->conf, route, who->role))
		return "role may not use this route any more";
	*ret_end = END_RESTART;
	if ((*l->role || route->by_role) && strcmp(l->role, who->role) != 0)
		return "it has another role, and with it other channels";
	if (!same_grants(l, who))
		return "its credential has other channels";
	*ret_end = END_ROLE;
	if (!may_hear(a, who))
		return "role may not hear its channels any more";
	*ret_end = END_RESTART;
	if (!a->entered && registry_enter(a->worker->registry, who->user_id) != REGISTRY_OK)
		return "too many streams are open";
	return NULL;
}

/* It is a stream from here on, or has ended. Takes both. */
static void begin(struct arrival *a, struct principal *who)
{
	struct worker *w = a->worker;
	const struct luggage *l = &a->luggage;
	struct stream_wish wish = {.last_id = l->position,
				   .form = (uint32_t)l->form,
				   .who_am_i = l->who_am_i,
				   .chunked = a->item.chunked};
	const struct conf_route *route = route_of(a, &wish.door);
	enum wire_end end;
	const char *why = hindrance(a, route, who, &wish.filter, &end);
	struct stream *s;

	if (why) {
		filter_free(wish.filter);
		principal_free(who);
		refuse(a, end, why);
		return;
	}
	a->entered = false; /* that is the stream's now, and so is the seat */
	if (a->route == route) {
		wish.seat = a->seat;
		a->seat = (struct seat){0};
	} else { /* a reload has come between */
		sit(a, route, &wish.seat);
	}
	who->channels_only = route->channels.n && !route->own_too;
	filter_limit(&wish.filter, route->types.items, route->types.n);
	s = stream_new(w, w->conf, route, who, l->token, &wish, l->peer);
	/* The verdict may be of before that, or a reload; or its route's function is asked, too. */
	if (a->rights_changes != w->rights_changes || a->conf != w->conf ||
	    permission_is_asked(route))
		stream_hold(s, 0);
	stream_arrive(s, a->item.fd, l);
	arrival_free(a);
}

static void answered(struct post_lookup *l)
{
	struct arrival *a = l->asker;
	struct principal *who = l->who;

	l->who = NULL;
	if (a)
		a->lookup = NULL;
	if (!a || l->verdict == LOOKUP_UNAVAILABLE) { /* arrivals_tick() asks again */
		principal_free(who);
	} else if (l->verdict == LOOKUP_OK) {
		begin(a, who);
	} else {
		principal_free(who);
		refuse(a, END_CREDENTIAL,
		       l->verdict == LOOKUP_INACTIVE ? "user is not active any more"
						     : "token is not valid any more");
	}
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
		refuse(a, END_RESTART, NULL);
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

/* It is as it came, but for its row in the store; what it owes its client the process after will
 * find. Whose keep-alive is long due is not kept waiting once more: as long as one process would.
 */
static bool hand_on(struct arrival *a, struct departure *d)
{
	uint64_t due_s = a->luggage.keepalive_s;
	const struct bag_end end = {
		.form = (uint32_t)a->luggage.form,
		.chunked = a->item.chunked,
		.retry_ms = a->route ? a->route->retry_ms : 0,
		.position = transport_is_answer(form_transport((uint32_t)a->luggage.form))
				    ? a->luggage.position
				    : NULL,
	};

	return a->route && (!due_s || loop_now_ms(a->worker->loop) < due_s * 1000 + WAIT_MS) &&
	       departure_take(d, a->item.fd, &end, &a->luggage);
}

void arrivals_leave(struct worker *w, struct departure *d)
{
	LIST_EACH (&w->arrivals, node, tmp)
		if (hand_on(LIST_ENTRY(node, struct arrival, node), d))
			arrival_free(LIST_ENTRY(node, struct arrival, node));
}

void arrivals_refuse(struct worker *w)
{
	LIST_EACH (&w->arrivals, node, tmp)
		refuse(LIST_ENTRY(node, struct arrival, node), END_RESTART, NULL);
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

static void wait_at(struct worker *w, const struct bag_item *i, const struct luggage *l)
{
	struct arrival *a = xcalloc(1, sizeof(*a));

	a->worker = w;
	a->item = *i;
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
	a->luggage.role = xstrdup(l->role);
	a->luggage.granted = xstrdup(l->granted);
	a->luggage.from = xstrdup(l->from);
	w->arrivals_until_ms = loop_now_ms(w->loop) + WAIT_MS;
	list_push(&w->arrivals, &a->node);
	reserve(a);
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
	autofree struct bag_item *items = NULL;
	autofree struct luggage *all = NULL;
	autofree char *bytes = NULL;
	size_t n_all = 0, len = 0, taken = 0, n_items;

	if (bag < 0)
		return;
	/* The store lets go of them before the first one is used: a later process must not find
	 * them, and a client must see when we close his. */
	sd_unstore(DEPARTURE_STATE);
	sd_unstore(DEPARTURE_BAG);
	bytes = state >= 0 ? departure_state(state, &len) : NULL;
	if (bytes && luggage_read(bytes, len, &all, &n_all))
		xsort(all, n_all, sizeof(*all), by_socket);
	n_items = bag_unpack(bag, &items);
	for (size_t i = 0; i < n_items; i++) {
		const struct luggage *l = find(all, n_all, items[i].fd);
		struct worker *w = workers[i % n_workers];

		if (!l || !form_exists(l->form)) {
			part(w, &items[i]);
			continue;
		}
		wait_at(w, &items[i], l);
		taken++;
	}
	log_info("%zu streams of the process before go on; %zu are told to come back", taken,
		 n_items - taken);
	if (bytes)
		explicit_bzero(bytes, len);
}
