/* SPDX-License-Identifier: PostgreSQL
 * See caller.h. */
#include "config.h"
#include "web/caller.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "conf.h"
#include "web/answer.h"
#include "web/mhd.h"
#include "web/resource.h"
#include "web/worker.h"

#define DRAIN_MS  5000	       /* a refused client may finish its sentence for so long */
#define DRAIN_MAX (256 * 1024) /* ... and for so many bytes */

static struct lobby *lobby(const struct caller *c)
{
	return &c->worker->commons->lobby;
}

void caller_peer(const struct caller *c, char out[CALLER_PEER_MAX])
{
	char text[ADDRESS_TEXT_MAX];
	unsigned port;

	if (address_is_none(&c->address)) {
		snprintf(out, CALLER_PEER_MAX, "unix");
		return;
	}
	address_text(&c->address, text);
	if (c->sa.ss_family == AF_INET6) {
		port = ntohs(((const struct sockaddr_in6 *)(const void *)&c->sa)->sin6_port);
		snprintf(out, CALLER_PEER_MAX, "[%s]:%u", text, port);
	} else {
		port = ntohs(((const struct sockaddr_in *)(const void *)&c->sa)->sin_port);
		snprintf(out, CALLER_PEER_MAX, "%s:%u", text, port);
	}
}

struct address caller_peer_address(const char *peer)
{
	struct address a;
	const char *begin = peer + (*peer == '['), *port = strrchr(peer, ':');
	size_t len = strlen(peer);

	if (address_parse(&a, peer, len)) /* 2001:db8::1 has no port */
		return a;
	if (port)
		len = (size_t)(port - begin) - (begin > peer);
	return port && address_parse(&a, begin, len) ? a : (struct address){{0}};
}

struct address caller_counted(const struct caller *c, const struct address *client)
{
	const struct forwarded_trust *trust = &c->worker->conf->trust;

	if (address_is_loopback(client) || forwarded_trusts(trust, client))
		return (struct address){{0}};
	return *client;
}

static void note(const struct caller *c, enum tally_reason reason, const char *what)
{
	char peer[CALLER_PEER_MAX];

	caller_peer(c, peer);
	tally_note(&c->worker->commons->tally, reason, loop_now_ms(c->worker->loop), peer, what);
}

void caller_free(struct caller *c)
{
	lobby_leave(lobby(c), &c->guest);
	list_remove(&c->node);
	free(c);
}

static void unwatch(struct caller *c)
{
	if (c->watched)
		loop_del(c->worker->loop, &c->fd);
	c->watched = false;
}

/* Edge-triggered: what is only looked at would wake us again and again. False without room. */
static bool watch(struct caller *c)
{
	if (!c->watched)
		c->watched = loop_add(c->worker->loop, &c->fd, EPOLLIN | EPOLLRDHUP | EPOLLET);
	return c->watched;
}

void caller_hang_up(struct caller *c)
{
	int fd = c->fd.fd;

	unwatch(c);
	caller_free(c);
	close(fd);
}

/* Bytes that are not read when the socket is closed make the kernel send a reset, which can
 * overtake the answer: so the client is let finish, for a while. */
static void drain(struct caller *c)
{
	char scrap[4096];
	ssize_t n;

	while ((n = recv(c->fd.fd, scrap, sizeof(scrap), MSG_DONTWAIT)) > 0)
		if ((c->n_drained += (size_t)n) > DRAIN_MAX)
			break;
	if (n >= 0 || errno != EAGAIN || !watch(c))
		caller_hang_up(c);
}

/* It has its answer. */
static void see_off(struct caller *c)
{
	struct worker *w = c->worker;

	shutdown(c->fd.fd, SHUT_WR);
	c->state = CALLER_REFUSED;
	c->deadline_ms = loop_now_ms(w->loop) + DRAIN_MS;
	list_remove(&c->node);
	list_push(&w->door.refused, &c->node);
	drain(c);
}

static void say(struct caller *c, const struct conf *conf, const struct answer_refusal *refusal,
		const char *origin, size_t origin_len)
{
	struct buf b;

	answer_refusal(&b, conf, refusal, origin, origin_len, !c->head.head_method);
	(void)!send(c->fd.fd, buf_cstr(&b), b.len, MSG_DONTWAIT | MSG_NOSIGNAL);
	buf_free(&b);
}

static void refuse(struct caller *c, const char *bytes, size_t len,
		   const struct answer_refusal *refusal)
{
	head_find_origin(&c->head, bytes, len);
	say(c, c->worker->conf, refusal, c->head.origin ? bytes + c->head.origin : NULL,
	    c->head.origin_len);
	see_off(c);
}

void caller_refuse(struct caller *c, const struct conf *conf, unsigned status, const char *why,
		   const char *origin)
{
	const struct answer_refusal refusal = {status, why, NULL, NULL};

	say(c, conf, &refusal, origin, origin ? strlen(origin) : 0);
}

void caller_more_time(struct caller *c, const struct conf *conf)
{
	c->deadline_ms = loop_now_ms(c->worker->loop) + conf->request_ms;
}

void caller_outside(struct caller *c)
{
	int fd = c->unread ? fcntl(c->fd.fd, F_DUPFD_CLOEXEC, 0) : -1;

	if (fd < 0) {
		caller_free(c);
		return;
	}
	c->fd.fd = fd;
	see_off(c);
}

void caller_expire(struct caller *c)
{
	const struct answer_refusal late = {MHD_HTTP_REQUEST_TIMEOUT, CALLER_LATE, NULL, NULL};
	char scrap[HEAD_MAX];
	ssize_t n;

	if (c->state != CALLER_READING) {
		caller_hang_up(c);
		return;
	}
	note(c, TALLY_SLOW, NULL);
	n = recv(c->fd.fd, scrap, sizeof(scrap), MSG_PEEK | MSG_DONTWAIT);
	if (n > 0)
		refuse(c, scrap, (size_t)n, &late);
	else
		caller_hang_up(c);
}

struct caller *caller_inside(struct worker *w)
{
	struct caller *c = w->door.entering;

	assert(c); /* MHD_add_connection() calls back before it returns */
	c->state = CALLER_INSIDE;
	c->unread = c->head.body;
	w->door.entering = NULL;
	return c;
}

static void hand_over(struct caller *c)
{
	struct worker *w = c->worker;

	if (!lobby_complete(lobby(c), &c->guest)) {
		caller_hang_up(c);
		return;
	}
	unwatch(c);
	list_remove(&c->node);
	w->door.entering = c;
	if (MHD_add_connection(w->http.mhd, c->fd.fd, (struct sockaddr *)&c->sa, c->sa_len) !=
	    MHD_YES) /* which has closed it then */
		log_debug("http: a connection was refused by libmicrohttpd");
	if (w->door.entering) {
		w->door.entering = NULL;
		caller_free(c);
	}
	w->http.run_wanted = true;
}

static bool takes_body(const struct caller *c, const char *bytes)
{
	struct resource there;

	return resource_named(&there, c->worker->conf, bytes + c->head.target,
			      c->head.target_len) &&
	       there.route && conf_route_takes_body(there.route);
}

/* It is wrong in itself, or right in itself and not for what is there. */
static void turn_down(struct caller *c, const char *bytes, size_t len)
{
	const struct head *h = &c->head;
	struct answer_refusal r = {h->status, h->why, NULL, NULL};
	bool method = h->status == MHD_HTTP_METHOD_NOT_ALLOWED;
	autofree char *use = NULL;
	struct resource there;

	if (h->verdict == HEAD_OK) {
		r.status = MHD_HTTP_CONTENT_TOO_LARGE;
		r.detail = "No request with a body is taken here.";
	}
	if ((method || h->verdict == HEAD_OK) &&
	    !resource_named(&there, c->worker->conf, bytes + h->target, h->target_len)) {
		r.status = MHD_HTTP_NOT_FOUND;
		r.detail = RESOURCE_NONE;
	} else if (method) {
		r.detail = use = resource_complaint(&there);
		r.allow = there.allow;
	}
	note(c, TALLY_HEADS, r.detail);
	refuse(c, bytes, len, &r);
}

/* Looks at what has come. `ended`: nothing more will. */
static void look(struct caller *c, bool ended)
{
	char bytes[HEAD_MAX + 1]; /* one more than is allowed */
	ssize_t n = recv(c->fd.fd, bytes, sizeof(bytes), MSG_PEEK | MSG_DONTWAIT);

	if (n < 0 && errno == EAGAIN && !ended && watch(c))
		return;
	if (n <= 0) {
		caller_hang_up(c);
		return;
	}
	switch (head_check(&c->head, bytes, (size_t)n)) {
	case HEAD_OK:
		if (!c->head.body || takes_body(c, bytes)) {
			hand_over(c);
			return;
		}
		/* fall through */
	case HEAD_BAD:
		turn_down(c, bytes, (size_t)n);
		return;
	case HEAD_PART:
		if (ended || !watch(c))
			caller_hang_up(c);
	}
}

static void on_ready(void *arg, uint32_t events)
{
	struct caller *c = arg;
	struct worker *w = c->worker;

	if (c->state == CALLER_REFUSED)
		drain(c);
	else
		look(c, events & (EPOLLHUP | EPOLLERR | EPOLLRDHUP));
	http_settle(w);
}

void caller_come(struct worker *w, int fd, const struct sockaddr_storage *sa, socklen_t len)
{
	struct caller *c = xcalloc(1, sizeof(*c));
	uint64_t now = loop_now_ms(w->loop);
	struct address counted;
	unsigned evicted;

	c->worker = w;
	c->sa = *sa;
	c->sa_len = len;
	c->address = address_of((const struct sockaddr *)sa);
	c->deadline_ms = now + w->conf->request_ms;
	c->fd = (struct loop_fd){.fd = fd, .ready = on_ready, .arg = c};
	counted = caller_counted(c, &c->address);
	evicted = lobby_enter(&w->commons->lobby, &c->guest, fd, &counted, now);
	for (; evicted; evicted--)
		note(c, TALLY_ADDRESS, NULL);
	list_push(&w->door.reading, &c->node);
	look(c, false); /* mostly it is all there */
}
