/* SPDX-License-Identifier: PostgreSQL
 * See redis.h. */
#include "config.h"
#include "source/redis.h"

#include <errno.h>
#include <hiredis/hiredis.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/log.h"
#include "source/tls.h"
#include "wire/redis_url.h"
#include "wire/resp.h"

#define CONNECT_MS 10000
#define READ_BYTES 65536
#define OUT_MAX	   (1 << 20)

struct redis {
	const struct redis_callbacks *callbacks;
	void *extra;
	struct redis_url url;
	struct addrinfo *addresses, *next; /* of the host; those still to be tried */
	struct loop_fd fd;		   /* -1 without */
	enum { REDIS_OFF, REDIS_CONNECTING, REDIS_TLS, REDIS_GREETING, REDIS_UP } state;
	unsigned n_greetings; /* replies to what is said at first */
	struct tls *tls;
	struct resp sieve;
	redisReader *reader;
	struct buf in, out;
	size_t n_out; /* bytes of `out` that have gone */
	struct loop_timer limit;
	bool failed; /* within the handler at hand */
};

static void try_next(struct source *s, const char *why);

static struct redis *of(const struct source *s)
{
	return s->own;
}

bool redis_is_up(const struct source *s)
{
	return of(s)->state == REDIS_UP;
}

void *redis_extra(const struct source *s)
{
	return of(s)->extra;
}

bool redis_is_overfull(const struct source *s)
{
	return of(s)->sieve.overfull;
}

static void hang_up(struct source *s)
{
	struct redis *r = of(s);

	loop_timer_clear(s->loop, &r->limit);
	tls_free(r->tls);
	r->tls = NULL;
	if (r->fd.fd >= 0) {
		loop_del(s->loop, &r->fd);
		close(r->fd.fd);
	}
	r->fd.fd = -1;
	if (r->reader)
		redisReaderFree(r->reader);
	r->reader = NULL;
	buf_free(&r->in);
	buf_free(&r->out);
	r->n_out = 0;
	r->state = REDIS_OFF;
}

void redis_fail(struct source *s, const char *why)
{
	struct redis *r = of(s);

	if (r->failed)
		return;
	r->failed = true;
	hang_up(s);
	if (r->addresses)
		freeaddrinfo(r->addresses);
	r->addresses = r->next = NULL;
	source_down(s, why);
}

void redis_expect(struct source *s, uint64_t within_ms)
{
	if (within_ms)
		loop_timer_set(s->loop, &of(s)->limit, within_ms);
	else
		loop_timer_clear(s->loop, &of(s)->limit);
}

static void on_limit(void *arg)
{
	struct source *s = arg;

	if (of(s)->state == REDIS_CONNECTING)
		try_next(s, "no connection in time");
	else
		redis_fail(s, "no answer in time");
}

/* Sends what there is. False with errno. */
static bool flush(struct source *s)
{
	struct redis *r = of(s);

	while (r->n_out < r->out.len) {
		const char *data = r->out.data + r->n_out;
		size_t left = r->out.len - r->n_out;
		ssize_t n = r->tls ? tls_write(r->tls, data, left)
				   : send(r->fd.fd, data, left, MSG_NOSIGNAL);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno != EAGAIN)
			return false;
		if (n < 0)
			break;
		r->n_out += (size_t)n;
	}
	if (r->n_out == r->out.len) {
		buf_clear(&r->out);
		r->n_out = 0;
	}
	loop_mod(s->loop, &r->fd, r->out.len ? EPOLLIN | EPOLLOUT : EPOLLIN);
	return true;
}

void redis_command(struct source *s, size_t n, const char *const *words)
{
	struct redis *r = of(s);
	char *text = NULL;
	long long len;

	/* (hiredis wants them writable, and does not write; before 1.1 it returns an int.) */
	len = redisFormatCommandArgv(&text, (int)n, (const char **)(void *)(uintptr_t)words, NULL);
	if (len > 0)
		buf_add(&r->out, text, (size_t)len);
	redisFreeCommand(text);
	if (len <= 0 || !buf_ok(&r->out))
		redis_fail(s, "a command is too long");
	else if (!flush(s))
		redis_fail(s, strerror(errno));
}

static void say_who(struct source *s)
{
	struct redis *r = of(s);
	const char *password = s->listen->password ? s->listen->password : r->url.password;
	const char *with_user[] = {"AUTH", r->url.user, password};
	const char *without[] = {"AUTH", password};
	char number[12];
	const char *database[] = {"SELECT", number};

	r->state = REDIS_GREETING;
	r->n_greetings = 1;
	if (*password) {
		r->n_greetings++;
		if (*r->url.user)
			redis_command(s, 3, with_user);
		else
			redis_command(s, 2, without);
	}
	if (r->url.database && !r->failed) {
		snprintf(number, sizeof(number), "%u", r->url.database);
		r->n_greetings++;
		redis_command(s, 2, database);
	}
	if (!r->failed)
		redis_command(s, 1, (const char *[]){"PING"});
}

static void take_greeting(struct source *s, const redisReply *reply)
{
	char why[200];

	if (reply->type == REDIS_REPLY_ERROR) {
		snprintf(why, sizeof(why), "the server says %.150s", reply->str);
		redis_fail(s, why);
		return;
	}
	if (--of(s)->n_greetings)
		return;
	of(s)->state = REDIS_UP;
	redis_expect(s, 0);
	source_up(s);
	of(s)->callbacks->up(s);
}

static void take_replies(struct source *s)
{
	struct redis *r = of(s);
	void *reply;

	while (!r->failed && redisReaderGetReply(r->reader, &reply) == REDIS_OK && reply) {
		if (r->state == REDIS_GREETING)
			take_greeting(s, reply);
		else
			r->callbacks->reply(s, reply);
		freeReplyObject(reply);
		resp_next(&r->sieve);
	}
	if (!r->failed && r->reader->err)
		redis_fail(s, r->reader->errstr);
}

static void take(struct source *s, const char *data, size_t len)
{
	struct redis *r = of(s);

	buf_clear(&r->in);
	if (!resp_feed(&r->sieve, data, len, &r->in))
		redis_fail(s, "what it says is not RESP 2");
	else if (redisReaderFeed(r->reader, buf_cstr(&r->in), r->in.len) != REDIS_OK)
		redis_fail(s, r->reader->errstr);
	else
		take_replies(s);
}

static void read_all(struct source *s)
{
	struct redis *r = of(s);
	char data[READ_BYTES];

	do {
		ssize_t n = r->tls ? tls_read(r->tls, data, sizeof(data))
				   : recv(r->fd.fd, data, sizeof(data), 0);

		if (n > 0)
			take(s, data, (size_t)n);
		else if (!n)
			redis_fail(s, "the server has hung up");
		else if (errno != EAGAIN && errno != EINTR)
			redis_fail(s, strerror(errno));
		/* TLS may have more than the socket tells of; all else has its turn in between. */
	} while (!r->failed && r->tls && tls_pending(r->tls));
}

static void shake_hands(struct source *s)
{
	struct redis *r = of(s);
	char why[200] = "";
	int wants = tls_handshake(r->tls, why, sizeof(why));

	if (wants < 0)
		redis_fail(s, why);
	else if (wants > 0)
		loop_mod(s->loop, &r->fd, wants == TLS_WANTS_WRITE ? EPOLLOUT : EPOLLIN);
	else
		say_who(s);
}

static void connected(struct source *s)
{
	struct redis *r = of(s);
	int error = 0;
	socklen_t len = sizeof(error);
	char why[200] = "";

	if (getsockopt(r->fd.fd, SOL_SOCKET, SO_ERROR, &error, &len) || error) {
		try_next(s, strerror(error ? error : errno));
		return;
	}
	loop_timer_set(s->loop, &r->limit, CONNECT_MS);
	if (!r->url.tls) {
		say_who(s);
		return;
	}
	r->tls = tls_new(r->fd.fd, r->url.host, s->listen->ca_file, why, sizeof(why));
	r->state = REDIS_TLS;
	if (r->tls)
		shake_hands(s);
	else
		redis_fail(s, why);
}

static void on_ready(void *arg, uint32_t events)
{
	struct source *s = arg;
	struct redis *r = of(s);

	r->failed = false;
	if (r->state == REDIS_CONNECTING) {
		connected(s);
	} else if (r->state == REDIS_TLS) {
		shake_hands(s);
	} else {
		if (events & EPOLLOUT && !flush(s))
			redis_fail(s, strerror(errno));
		if (!r->failed)
			read_all(s);
	}
}

/* With the next address, or says why not with the last one. */
static void try_next(struct source *s, const char *why)
{
	struct redis *r = of(s);
	char line[400];

	hang_up(s);
	for (; r->next; r->next = r->next->ai_next) {
		int fd = socket(r->next->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

		if (fd < 0 ||
		    (connect(fd, r->next->ai_addr, r->next->ai_addrlen) && errno != EINPROGRESS)) {
			why = strerror(errno);
			if (fd >= 0)
				close(fd);
			continue;
		}
		r->next = r->next->ai_next;
		r->fd.fd = fd;
		r->state = REDIS_CONNECTING;
		r->reader = redisReaderCreate();
		resp_init(&r->sieve, PARCEL_MAX, REDIS_REPLY_BYTES);
		buf_init(&r->in, 2 * READ_BYTES);
		buf_init(&r->out, OUT_MAX);
		loop_timer_set(s->loop, &r->limit, CONNECT_MS);
		if (r->reader && loop_add(s->loop, &r->fd, EPOLLOUT))
			return;
		why = "no memory";
		break;
	}
	snprintf(line, sizeof(line), "cannot connect to %.200s, port %s: %s", r->url.host,
		 r->url.port, why);
	redis_fail(s, line);
}

static void begin(struct source *s)
{
	struct redis *r = of(s);
	const struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_ADDRCONFIG};
	char line[400];
	int e;

	r->failed = false;
	/* It may wait for a name server: that is what the thread is for. */
	e = getaddrinfo(r->url.host, r->url.port, &hints, &r->addresses);
	if (e) {
		r->addresses = NULL;
		snprintf(line, sizeof(line), "%.200s: %s", r->url.host, gai_strerror(e));
		redis_fail(s, line);
		return;
	}
	r->next = r->addresses;
	try_next(s, "it has no address");
}

void redis_start(struct source *s, void *extra, const struct redis_callbacks *callbacks)
{
	struct redis *r = xcalloc(1, sizeof(*r));

	s->own = r;
	r->callbacks = callbacks;
	r->extra = extra;
	r->fd = (struct loop_fd){.fd = -1, .ready = on_ready, .arg = s};
	r->limit = (struct loop_timer){.fire = on_limit, .arg = s};
	s->again = begin;
	if (redis_url_parse(&r->url, s->listen->server)) /* it has been read with the file */
		abort();
	begin(s);
}

void redis_stop(struct source *s)
{
	struct redis *r = of(s);

	hang_up(s);
	if (r->addresses)
		freeaddrinfo(r->addresses);
	explicit_bzero(&r->url, sizeof(r->url));
	free(r);
	s->own = NULL;
}
