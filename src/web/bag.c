/* SPDX-License-Identifier: PostgreSQL
 * See bag.h. A message has up to 250 sockets, which end alike; as text a letter for each of them,
 * and behind these the last words. The streams of SSE come first, then a message without a socket:
 * versions that know nothing else stop reading there, and the rest is closed, which every client
 * understands, where a line of SSE would be nonsense to it. */
#include "config.h"
#include "web/bag.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/buf.h"
#include "wire/form.h"

#define BATCH	  250	  /* descriptors in a message; the kernel takes 253 (SCM_MAX_FD) */
#define WORDS_MAX 512	  /* bytes */
#define BAG_BYTES 8388608 /* of the bag's queue: a message is charged with about 1 KiB */
#define RETRY_MS  3000	  /* as by default: where a bag has no words */
#define SCRAP_MAX 65536	  /* bytes that are read away before a WebSocket is closed */

#define CHUNKED	  'c'
#define PLAIN	  'p'
#define WEBSOCKET 'w'

/* A message. */
struct batch {
	struct batch *next;
	uint32_t form;
	uint64_t retry_ms;
	char *position;
	struct buf words;
	size_t n;
	int fds[BATCH];
	char letters[BATCH];
};

struct bag {
	struct batch *first; /* the one that was begun last */
	size_t n;
};

struct bag *bag_new(void)
{
	return xcalloc(1, sizeof(struct bag));
}

size_t bag_count(const struct bag *b)
{
	return b->n;
}

/* Not everybody's time to come back. */
static uint64_t spread(uint64_t retry_ms)
{
	uint32_t r = 0;

	if (getrandom(&r, sizeof(r), GRND_NONBLOCK) != sizeof(r))
		r = (uint32_t)time(NULL) * 2654435761U;
	return retry_ms + r % (2 * retry_ms + 1);
}

static struct batch *batch_new(const struct bag_end *end)
{
	struct batch *t = xcalloc(1, sizeof(*t));

	t->form = end->form;
	t->retry_ms = end->retry_ms;
	t->position = end->position ? xstrdup(end->position) : NULL;
	buf_init(&t->words, WORDS_MAX);
	form_farewell(end->form, &t->words, spread(end->retry_ms), (int64_t)time(NULL),
		      end->position);
	return t;
}

static bool ends_so(const struct batch *t, const struct bag_end *end)
{
	return t->form == end->form && t->retry_ms == end->retry_ms &&
	       !t->position == !end->position &&
	       (!t->position || !strcmp(t->position, end->position));
}

void bag_put(struct bag *b, int fd, const struct bag_end *end)
{
	struct batch *t = b->first;

	while (t && (t->n == BATCH || !ends_so(t, end)))
		t = t->next;
	if (!t) {
		t = batch_new(end);
		t->next = b->first;
		b->first = t;
	}
	t->fds[t->n] = fd;
	t->letters[t->n++] = transport_talks(form_transport(end->form)) ? WEBSOCKET
			     : end->chunked				? CHUNKED
									: PLAIN;
	b->n++;
}

static bool send_batch(int bag, const struct batch *t)
{
	union {
		struct cmsghdr head; /* aligns it */
		char bytes[CMSG_SPACE(BATCH * sizeof(int))];
	} control = {{0}};
	struct iovec text[] = {
		{(void *)(uintptr_t)t->letters, t->n},
		{t->words.data, t->words.len},
	};
	struct msghdr msg = {.msg_iov = text,
			     .msg_iovlen = 2,
			     .msg_control = control.bytes,
			     .msg_controllen = CMSG_SPACE(t->n * sizeof(int))};

	control.head.cmsg_level = SOL_SOCKET;
	control.head.cmsg_type = SCM_RIGHTS;
	control.head.cmsg_len = CMSG_LEN(t->n * sizeof(int));
	memcpy(CMSG_DATA(&control.head), t->fds, t->n * sizeof(int));
	return sendmsg(bag, &msg, MSG_DONTWAIT | MSG_NOSIGNAL) >= 0;
}

static bool is_sse(const struct batch *t)
{
	return form_transport(t->form) == TRANSPORT_SSE;
}

static bool send_all(int bag, const struct bag *b)
{
	bool others = false;

	for (const struct batch *t = b->first; t; t = t->next) {
		others |= !is_sse(t);
		if (is_sse(t) && !send_batch(bag, t))
			return false;
	}
	if (others && send(bag, "", 1, MSG_DONTWAIT | MSG_NOSIGNAL) != 1)
		return false;
	for (const struct batch *t = b->first; t; t = t->next)
		if (!is_sse(t) && !send_batch(bag, t))
			return false;
	return true;
}

int bag_pack(const struct bag *b)
{
	static const int bytes = BAG_BYTES;
	autoclose int in = -1;
	int ends[2], saved;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends))
		return -1;
	in = ends[0];
	/* As much as net.core.wmem_max allows. */
	(void)setsockopt(in, SOL_SOCKET, SO_SNDBUF, &bytes, sizeof(bytes));
	if (send_all(in, b))
		return ends[1];
	saved = errno;
	close(ends[1]);
	errno = saved;
	return -1;
}

void bag_farewell(struct bag_item *i)
{
	const struct frame *f = i->words;

	if (f)
		(void)!send(i->fd, f->bytes + (i->chunked ? 0 : f->body_at),
			    i->chunked ? f->len : f->body_len, MSG_DONTWAIT | MSG_NOSIGNAL);
	if (i->chunked)
		(void)!send(i->fd, "0\r\n\r\n", 5, MSG_DONTWAIT | MSG_NOSIGNAL);
	if (f)
		frame_unref(i->words);
	i->words = NULL;
}

/* What has not been read would make the kernel send a reset, which overtakes the last words. */
static void read_away(int fd)
{
	char scrap[4096];
	size_t total = 0;
	ssize_t n;

	shutdown(fd, SHUT_WR);
	while (total < SCRAP_MAX && (n = recv(fd, scrap, sizeof(scrap), MSG_DONTWAIT)) > 0)
		total += (size_t)n;
}

static void part(const struct batch *t)
{
	struct frame *words = frame_new(buf_cstr(&t->words), t->words.len);

	for (size_t i = 0; i < t->n; i++) {
		struct bag_item item = {.fd = t->fds[i],
					.chunked = t->letters[i] == CHUNKED,
					.words = frame_ref(words)};

		bag_farewell(&item);
		if (t->letters[i] == WEBSOCKET)
			read_away(item.fd);
	}
	frame_unref(words);
}

void bag_free(struct bag *b, bool farewell)
{
	for (struct batch *t = b->first, *next; t; t = next) {
		next = t->next;
		if (farewell)
			part(t);
		for (size_t i = 0; i < t->n; i++)
			close(t->fds[i]);
		buf_free(&t->words);
		free(t->position);
		free(t);
	}
	free(b);
}

static struct frame *words_of(const char *text, size_t len)
{
	struct frame *f;
	struct buf b;

	if (len)
		return frame_new(text, len);
	buf_init(&b, WORDS_MAX);
	form_farewell(0, &b, spread(RETRY_MS), 0, NULL);
	f = frame_new(buf_cstr(&b), b.len);
	buf_free(&b);
	return f;
}

/* The next message's sockets; false when there is no message. */
static bool receive(int bag, struct bag_item *ret, size_t *ret_n)
{
	union {
		struct cmsghdr head;
		char bytes[CMSG_SPACE(BATCH * sizeof(int))];
	} control;
	char text[BATCH + WORDS_MAX];
	struct iovec v = {text, sizeof(text)};
	struct msghdr msg = {.msg_iov = &v,
			     .msg_iovlen = 1,
			     .msg_control = control.bytes,
			     .msg_controllen = sizeof(control.bytes)};
	ssize_t len = recvmsg(bag, &msg, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	const struct cmsghdr *c = len > 0 ? CMSG_FIRSTHDR(&msg) : NULL;
	struct frame *words;
	size_t n = 0;

	*ret_n = 0;
	if (len <= 0)
		return false;
	if (!c || c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
		return true;
	n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
	words = words_of(text + n, (size_t)len > n ? (size_t)len - n : 0);
	for (size_t i = 0; i < n; i++) {
		char letter = i < (size_t)len ? text[i] : CHUNKED;

		memcpy(&ret[i].fd, CMSG_DATA(c) + i * sizeof(int), sizeof(int));
		ret[i].chunked = letter == CHUNKED;
		ret[i].talks = letter == WEBSOCKET;
		ret[i].words = frame_ref(words);
	}
	frame_unref(words);
	*ret_n = n;
	return true;
}

size_t bag_unpack(int bag, struct bag_item **ret)
{
	struct bag_item *all = NULL;
	size_t n = 0, more;

	do {
		all = xrealloc(all, n + BATCH, sizeof(*all));
		if (!receive(bag, all + n, &more))
			break;
		n += more;
	} while (true);
	close(bag);
	*ret = all;
	return n;
}
