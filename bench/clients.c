/* SPDX-License-Identifier: PostgreSQL
 * See clients.h. */
#define _GNU_SOURCE
#include "clients.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define STAMP_LEN	 26    /* "@@", 16 hex digits of nanoseconds, 8 of the number */
#define STREAMS_A_SOURCE 10000 /* below the 28,000 ports that one source address has */

struct client {
	int fd;
	enum { CLIENT_DOWN, CLIENT_CONNECTING, CLIENT_ASKED, CLIENT_UP, CLIENT_FAILED } state;
	bool slow;
	uint32_t number, seen; /* the last event's number; 0 = none yet */
	uint64_t began_ns;
	struct share *share;
	struct wire_reader reader;
};

struct share {
	const struct clients_options *o;
	struct tally *t;
	struct client *clients;
	uint32_t n, next; /* the next to connect */
	unsigned in_flight, process;
	int epoll;
	uint64_t read_ns; /* when the bytes at hand were read */
};

uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_REALTIME, &ts); /* comparable with PostgreSQL's clock_timestamp() */
	return (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec;
}

unsigned bucket_of(uint64_t us)
{
	unsigned power;

	if (us < 32)
		return (unsigned)us;
	power = 63 - (unsigned)__builtin_clzll(us);
	return (power - 4) * 32 + ((unsigned)(us >> (power - 5)) & 31);
}

double bucket_us(unsigned bucket)
{
	double base;

	if (bucket < 32)
		return bucket + 0.5;
	base = (double)((uint64_t)1 << (bucket / 32 + 4));
	return base + base * (bucket % 32 + 0.5) / 32;
}

/* One writer, so no locked instruction is needed. */
static void add(_Atomic uint64_t *to, uint64_t n)
{
	atomic_store_explicit(to, atomic_load_explicit(to, memory_order_relaxed) + n,
			      memory_order_relaxed);
}

static void set(_Atomic uint64_t *to, uint64_t n)
{
	atomic_store_explicit(to, n, memory_order_relaxed);
}

static uint64_t hex(const char *p, int digits)
{
	uint64_t n = 0;

	for (; digits--; p++)
		n = n << 4 | (uint64_t)(*p <= '9' ? *p - '0' : (*p | 32) - 'a' + 10);
	return n;
}

static void on_message(void *arg, const char *id, const char *text, size_t len)
{
	struct client *c = arg;
	struct tally *t = c->share->t;
	const char *stamp = memmem(text, len, "@@", 2);
	uint64_t sent, us;
	uint32_t number;

	if (c == c->share->clients)
		memcpy(t->id, id, strlen(id) + 1);
	if (!stamp || (size_t)(text + len - stamp) < STAMP_LEN) {
		bool resync = memmem(text, len, "system.resync", 13) != NULL;

		add(resync ? &t->resyncs : &t->others, 1);
		if (resync) {
			if (!atomic_load_explicit(&t->first_resync_ns, memory_order_relaxed))
				set(&t->first_resync_ns, c->share->read_ns);
			set(&t->last_resync_ns, c->share->read_ns);
		}
		return;
	}
	sent = hex(stamp + 2, 16);
	number = (uint32_t)hex(stamp + 18, 8);
	us = c->share->read_ns > sent ? (c->share->read_ns - sent) / 1000 : 0;
	add(&t->latency[bucket_of(us) < N_BUCKETS ? bucket_of(us) : N_BUCKETS - 1], 1);
	add(&t->events, 1);
	if (c->seen && number <= c->seen)
		add(&t->backward, 1);
	else if (c->seen && c->share->o->consecutive && number != c->seen + 1)
		add(&t->missing, number - c->seen - 1);
	if (!c->seen || number > c->seen)
		c->seen = number;
	if (!atomic_load_explicit(&t->first_event_ns, memory_order_relaxed))
		set(&t->first_event_ns, c->share->read_ns);
	set(&t->last_event_ns, c->share->read_ns);
}

static void watch(struct client *c, int op, uint32_t events)
{
	struct epoll_event ev = {.events = events, .data.ptr = c};

	epoll_ctl(c->share->epoll, op, c->fd, &ev);
}

static void end(struct client *c, bool by_server)
{
	struct share *s = c->share;

	if (c->state == CLIENT_UP) {
		add(&s->t->up, (uint64_t)-1);
		if (by_server)
			add(&s->t->closed, 1);
	} else {
		s->in_flight--;
		if (by_server)
			add(&s->t->failed, 1);
	}
	c->state = by_server ? CLIENT_FAILED : CLIENT_DOWN;
	close(c->fd);
	c->fd = -1;
	wire_begin(&c->reader);
}

static void begin(struct client *c)
{
	static const int on = 1, small = 4096;
	static const struct linger hard = {1, 0}; /* no TIME_WAIT on our side */
	struct share *s = c->share;
	struct sockaddr_in to = {.sin_family = AF_INET,
				 .sin_port = htons(s->o->port),
				 .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	struct sockaddr_in from = {.sin_family = AF_INET,
				   .sin_addr.s_addr =
					   htonl(0x7f000100 + (s->process << 8) + 1 +
						 (uint32_t)(c - s->clients) / STREAMS_A_SOURCE)};

	c->state = CLIENT_CONNECTING;
	s->in_flight++;
	c->began_ns = now_ns();
	c->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (c->fd < 0) {
		perror("load: socket");
		exit(1);
	}
	setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &hard, sizeof(hard));
	setsockopt(c->fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof(on));
	if (c->slow)
		setsockopt(c->fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof(small));
	if (bind(c->fd, (struct sockaddr *)&from, sizeof(from)) ||
	    (connect(c->fd, (struct sockaddr *)&to, sizeof(to)) && errno != EINPROGRESS)) {
		perror("load: connect");
		end(c, true);
		return;
	}
	watch(c, EPOLL_CTL_ADD, EPOLLOUT);
}

static bool ask(struct client *c)
{
	const struct clients_options *o = c->share->o;
	char request[2048], token[256] = "";
	int n;

	if (o->n_tokens)
		snprintf(token, sizeof(token), "%s", o->tokens[c->number % o->n_tokens]);
	else if (o->token_format)
		snprintf(token, sizeof(token), o->token_format, c->number);
	n = snprintf(request, sizeof(request),
		     "GET %s%s%s HTTP/1.1\r\nHost: 127.0.0.1\r\n%s%s%s%s"
		     "User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36\r\n"
		     "Accept-Encoding: gzip, deflate\r\nCache-Control: no-cache\r\n\r\n",
		     o->path, *token ? "?token=" : "", token, o->wire->request,
		     *c->reader.id ? "Last-Event-ID: " : "", c->reader.id,
		     *c->reader.id ? "\r\n" : "");
	if (n < 0 || (size_t)n >= sizeof(request) ||
	    send(c->fd, request, (size_t)n, MSG_NOSIGNAL) != n)
		return false;
	c->state = CLIENT_ASKED;
	watch(c, EPOLL_CTL_MOD, EPOLLIN);
	return true;
}

/* The head has come: the stream is up, or was refused. */
static bool answered(struct client *c)
{
	struct share *s = c->share;
	uint64_t us = (s->read_ns - c->began_ns) / 1000;

	if (c->reader.status != c->share->o->wire->status) {
		set(&s->t->last_status, (uint64_t)c->reader.status);
		return false;
	}
	c->state = CLIENT_UP;
	s->in_flight--;
	add(&s->t->up, 1);
	add(&s->t->connects, 1);
	add(&s->t->opening[bucket_of(us) < N_BUCKETS ? bucket_of(us) : N_BUCKETS - 1], 1);
	set(&s->t->last_up_ns, s->read_ns);
	if (c->slow)
		watch(c, EPOLL_CTL_MOD, EPOLLRDHUP);
	return true;
}

static void ready(struct client *c, uint32_t events)
{
	static char bytes[256 * 1024];
	struct share *s = c->share;
	ssize_t n;

	if (c->fd < 0)
		return;
	if (c->state == CLIENT_CONNECTING) {
		if ((events & (EPOLLERR | EPOLLHUP)) || !ask(c))
			end(c, true);
		return;
	}
	if (c->slow && c->state == CLIENT_UP) { /* a FIN behind unread bytes is not seen */
		end(c, true);
		return;
	}
	n = recv(c->fd, bytes, sizeof(bytes), MSG_DONTWAIT);
	if (n < 0 && errno == EAGAIN)
		return;
	add(&s->t->reads, 1);
	if (n <= 0) {
		end(c, true);
		return;
	}
	s->read_ns = now_ns();
	add(&s->t->bytes, (uint64_t)n);
	if (!wire_read(&c->reader, bytes, (size_t)n) ||
	    (c->state == CLIENT_ASKED && c->reader.status && !answered(c)))
		end(c, true);
}

static void obey(struct share *s, char command)
{
	for (uint32_t i = 0; i < s->n; i++) {
		struct client *c = &s->clients[i];

		/* Who was never answered is asked for again. */
		if (c->fd >= 0 && (command == 'd' || c->state != CLIENT_UP))
			end(c, false);
	}
	if (command == 'c') {
		set(&s->t->first_event_ns, 0);
		set(&s->t->last_event_ns, 0);
		s->next = 0;
	}
}

void clients_run(const struct clients_options *o, struct tally *t, uint32_t first, uint32_t n,
		 unsigned process, int command_fd)
{
	struct share s = {.o = o, .t = t, .n = n, .next = n, .process = process};
	struct epoll_event ev = {.events = EPOLLIN}, got[512];

	s.epoll = epoll_create1(EPOLL_CLOEXEC);
	epoll_ctl(s.epoll, EPOLL_CTL_ADD, command_fd, &ev);
	s.clients = calloc(n ? n : 1, sizeof(*s.clients));
	if (!s.clients)
		abort();
	for (uint32_t i = 0; i < n; i++) {
		struct client *c = &s.clients[i];

		*c = (struct client){.fd = -1, .number = first + i, .share = &s};
		c->slow = (uint32_t)((first + i + 1) * o->slow) !=
			  (uint32_t)((first + i) * o->slow); /* evenly spread */
		c->reader = (struct wire_reader){.wire = o->wire, .message = on_message, .arg = c};
		snprintf(c->reader.id, sizeof(c->reader.id), "%s", o->last_id ? o->last_id : "");
	}
	for (;;) {
		int k;

		for (; s.in_flight < o->in_flight && s.next < n; s.next++)
			if (s.clients[s.next].fd < 0)
				begin(&s.clients[s.next]);
		k = epoll_wait(s.epoll, got, 512, -1);
		for (int i = 0; i < k; i++) {
			char command;

			if (got[i].data.ptr) {
				ready(got[i].data.ptr, got[i].events);
				continue;
			}
			if (read(command_fd, &command, 1) != 1)
				return;
			obey(&s, command);
		}
	}
}
