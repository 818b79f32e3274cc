/* SPDX-License-Identifier: PostgreSQL
 * The limit: what any server must at least do. One thread, epoll, one send() per recipient and
 * frame; no tokens, no rights, no resume. Frames have the size that is asked for. Commands on
 * stdin: "broadcast RATE COUNT BATCH" (BATCH frames share one send()) and "targeted RATE COUNT
 * BATCH" (BATCH frames to as many streams); RATE batches a second, 0 = as fast as it goes. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define QUEUE_MAX 64 /* blocks a stream may be behind; past it, it is closed */

struct block {
	int refs;
	size_t len;
	char bytes[];
};

struct peer {
	int fd;
	bool live, blocked;
	uint32_t place; /* among the live ones */
	unsigned head, n;
	size_t sent;	      /* of the first block */
	struct block **queue; /* only while it is behind */
	struct peer *next_dead;
};

static struct {
	int epoll, listener;
	size_t frame_len; /* of the event, without chunk framing */
	struct peer **live;
	uint32_t n_live, cap_live, target;
	uint64_t behind; /* blocks in queues */
	uint64_t number; /* of the last event */
	/* the command under way */
	uint64_t count, done, batch, next_ns, step_ns, began_ns;
	bool targeted;
	struct peer *dead; /* freed when no event of this turn can name them */
} g;

static uint64_t now_ns(clockid_t clock)
{
	struct timespec ts;

	clock_gettime(clock, &ts);
	return (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec;
}

static void unref(struct block *b)
{
	if (!--b->refs)
		free(b);
}

/* `n` events in the bytes an SSE server would send, each in one chunk. */
static struct block *make_block(uint64_t n)
{
	struct block *b = malloc(sizeof(*b) + n * (g.frame_len + 32));

	if (!b)
		abort();
	b->refs = 1;
	b->len = 0;
	for (; n; n--) {
		char *p = b->bytes + b->len;
		size_t room = g.frame_len + 32, head, body;

		g.number++;
		head = (size_t)snprintf(p, room, "%zx\r\n", g.frame_len);
		body = (size_t)snprintf(p + head, room - head,
					"id: %llu\ndata: {\"m\":\"@@%016llx%08llx\",\"pad\":\"",
					(unsigned long long)g.number,
					(unsigned long long)now_ns(CLOCK_REALTIME),
					(unsigned long long)g.number);
		memset(p + head + body, 'x', g.frame_len - body - 4);
		memcpy(p + head + g.frame_len - 4, "\"}\n\n\r\n", 6);
		b->len += head + g.frame_len + 2;
	}
	return b;
}

static void drop_peer(struct peer *p)
{
	if (p->fd < 0)
		return;
	if (p->live) {
		g.live[p->place] = g.live[--g.n_live];
		g.live[p->place]->place = p->place;
	}
	for (; p->n; p->n--, g.behind--)
		unref(p->queue[p->head++ % QUEUE_MAX]);
	free(p->queue);
	close(p->fd);
	p->fd = -1;
	p->next_dead = g.dead;
	g.dead = p;
}

static void catch_up(struct peer *p)
{
	while (p->n && p->fd >= 0) {
		struct block *b = p->queue[p->head % QUEUE_MAX];
		ssize_t n = send(p->fd, b->bytes + p->sent, b->len - p->sent,
				 MSG_DONTWAIT | MSG_NOSIGNAL);

		if (n < 0) {
			if (errno != EAGAIN)
				drop_peer(p);
			return;
		}
		p->sent += (size_t)n;
		if (p->sent < b->len)
			return;
		p->sent = 0;
		p->head++;
		p->n--;
		g.behind--;
		unref(b);
	}
	p->blocked = false;
}

static void send_to(struct peer *p, struct block *b)
{
	ssize_t n = 0;

	if (!p->blocked) {
		n = send(p->fd, b->bytes, b->len, MSG_DONTWAIT | MSG_NOSIGNAL);
		if (n == (ssize_t)b->len)
			return;
		if (n < 0 && errno != EAGAIN) {
			drop_peer(p);
			return;
		}
		p->sent = n < 0 ? 0 : (size_t)n;
		p->blocked = true;
	}
	if (p->n == QUEUE_MAX) {
		drop_peer(p);
		return;
	}
	if (!p->queue)
		p->queue = calloc(QUEUE_MAX, sizeof(struct block *));
	if (!p->queue)
		abort();
	b->refs++;
	p->queue[(p->head + p->n++) % QUEUE_MAX] = b;
	g.behind++;
}

static void publish(void)
{
	for (uint64_t i = 0; g.targeted && i < g.batch && g.n_live; i++) {
		struct block *b = make_block(1);

		g.target = (g.target + 7919) % g.n_live;
		send_to(g.live[g.target], b);
		unref(b);
	}
	if (!g.targeted) {
		struct block *b = make_block(g.batch);

		for (uint32_t i = g.n_live; i-- > 0;)
			send_to(g.live[i], b);
		unref(b);
	}
	g.done += g.batch;
	g.next_ns += g.step_ns;
}

static void finish(void)
{
	printf("{\"events\": %llu, \"streams\": %u, \"seconds\": %.4f}\n",
	       (unsigned long long)g.done, g.n_live,
	       (double)(now_ns(CLOCK_MONOTONIC) - g.began_ns) / 1e9);
	fflush(stdout);
	g.count = 0;
}

/* Sends what is due; how long to sleep then, in nanoseconds, or -1 for ever. */
static int64_t turn(void)
{
	uint64_t now = now_ns(CLOCK_MONOTONIC);

	if (!g.count)
		return -1;
	if (g.done >= g.count) {
		if (!g.behind)
			finish();
		return g.behind ? 5000000 : -1;
	}
	if (!g.step_ns) {
		if (!g.behind)
			publish();
		return g.behind ? 5000000 : 0;
	}
	while (g.done < g.count && g.next_ns <= now) {
		publish();
		now = now_ns(CLOCK_MONOTONIC);
	}
	return g.done < g.count ? (int64_t)(g.next_ns - now) : 0;
}

static void on_command(void)
{
	char line[256];
	ssize_t n = read(STDIN_FILENO, line, sizeof(line) - 1);
	double rate;
	unsigned long long count, batch = 1;

	if (n <= 0)
		exit(0);
	line[n] = '\0';
	g.targeted = line[0] == 't';
	if (sscanf(line, "%*s %lf %llu %llu", &rate, &count, &batch) < 2 || !batch) {
		fprintf(stderr, "epoll_sender: what is \"%s\"?\n", line);
		exit(2);
	}
	g.count = count;
	g.done = 0;
	g.batch = batch;
	g.step_ns = rate > 0 ? (uint64_t)(1e9 / rate) : 0;
	g.began_ns = g.next_ns = now_ns(CLOCK_MONOTONIC);
}

static void on_accept(void)
{
	static const int on = 1, buffer = 32768;
	int fd;

	while ((fd = accept4(g.listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
		struct peer *p = calloc(1, sizeof(*p));
		struct epoll_event ev = {.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET,
					 .data.ptr = p};

		if (!p)
			abort();
		p->fd = fd;
		setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
		setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &buffer, sizeof(buffer));
		epoll_ctl(g.epoll, EPOLL_CTL_ADD, fd, &ev);
	}
}

static void on_peer(struct peer *p, uint32_t events)
{
	static const char head[] = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
				   "Cache-Control: no-cache\r\nTransfer-Encoding: chunked\r\n\r\n"
				   "e\r\ndata: hello\n\n\n\r\n";
	char request[4096];
	ssize_t n;

	if (p->fd < 0)
		return;
	if (events & (EPOLLERR | EPOLLHUP | EPOLLRDHUP)) {
		drop_peer(p);
		return;
	}
	if ((events & EPOLLOUT) && p->blocked)
		catch_up(p);
	if (!(events & EPOLLIN) || p->fd < 0)
		return;
	n = recv(p->fd, request, sizeof(request), MSG_DONTWAIT);
	/* Our own load client sends its request in one piece. */
	if (n <= 0 || p->live || send(p->fd, head, sizeof(head) - 1, MSG_NOSIGNAL) < 0)
		return;
	if (g.n_live == g.cap_live) {
		g.cap_live = g.cap_live ? g.cap_live * 2 : 1024;
		g.live = realloc(g.live, g.cap_live * sizeof(struct peer *));
		if (!g.live)
			abort();
	}
	p->live = true;
	p->place = g.n_live;
	g.live[g.n_live++] = p;
}

static void open_listener(void)
{
	struct sockaddr_in sa = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof(sa);

	g.listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (g.listener < 0 || bind(g.listener, (struct sockaddr *)&sa, len) ||
	    listen(g.listener, 4096) || getsockname(g.listener, (struct sockaddr *)&sa, &len)) {
		perror("epoll_sender: listen");
		exit(1);
	}
	printf("{\"port\": %u}\n", ntohs(sa.sin_port));
	fflush(stdout);
}

int main(int argc, char **argv)
{
	struct epoll_event ev = {.events = EPOLLIN}, got[512];
	struct rlimit files;

	g.frame_len = argc > 1 ? strtoul(argv[1], NULL, 10) : 350;
	if (g.frame_len < 100 || g.frame_len > 1000000) {
		fputs("usage: epoll_sender FRAME_BYTES\n", stderr);
		return 2;
	}
	alarm(1800); /* it ends by itself, whatever happens */
	signal(SIGPIPE, SIG_IGN);
	getrlimit(RLIMIT_NOFILE, &files);
	files.rlim_cur = files.rlim_max;
	setrlimit(RLIMIT_NOFILE, &files);
	g.epoll = epoll_create1(EPOLL_CLOEXEC);
	open_listener();
	ev.data.ptr = &g;
	epoll_ctl(g.epoll, EPOLL_CTL_ADD, STDIN_FILENO, &ev);
	ev.data.ptr = &g.listener;
	epoll_ctl(g.epoll, EPOLL_CTL_ADD, g.listener, &ev);
	for (;;) {
		int64_t wait = turn();
		const struct timespec ts = {wait / 1000000000, wait % 1000000000};
		int n = epoll_pwait2(g.epoll, got, 512, wait < 0 ? NULL : &ts, NULL);

		for (int i = 0; i < n; i++) {
			if (got[i].data.ptr == &g)
				on_command();
			else if (got[i].data.ptr == &g.listener)
				on_accept();
			else
				on_peer(got[i].data.ptr, got[i].events);
		}
		while (g.dead) {
			struct peer *p = g.dead;

			g.dead = p->next_dead;
			free(p);
		}
	}
}
