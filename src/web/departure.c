/* SPDX-License-Identifier: PostgreSQL
 * See departure.h. */
#include "config.h"
#include "web/departure.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/sd.h"
#include "wire/frame.h"
#include "wire/sse.h"

#define STATE_MAX (256 << 20) /* bytes */
#define SEALS	  (F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL)
#define BATCH	  250	  /* descriptors in a message; the kernel takes 253 (SCM_MAX_FD) */
#define BAG_BYTES 8388608 /* of the bag's queue: a message is charged with about 1 KiB */
#define WAIT_MS	  5000	  /* for systemd to read what was sent */
#define RETRY_MS  3000	  /* as by default: of a farewell that knows no route */

struct departure {
	pthread_mutex_t lock;
	struct buf state;
	struct departure_socket *sockets;
	size_t n, cap;
};

struct departure *departure_new(void)
{
	struct departure *d = xcalloc(1, sizeof(*d));

	pthread_mutex_init(&d->lock, NULL);
	buf_init(&d->state, STATE_MAX);
	luggage_begin(&d->state);
	return d;
}

bool departure_take(struct departure *d, int fd, bool chunked, struct luggage *l)
{
	struct stat st;

	if (fstat(fd, &st))
		return false;
	l->socket = st.st_ino;
	pthread_mutex_lock(&d->lock);
	if (d->n == d->cap) {
		d->cap = d->cap ? d->cap * 2 : 64;
		d->sockets = xrealloc(d->sockets, d->cap, sizeof(*d->sockets));
	}
	d->sockets[d->n++] = (struct departure_socket){fd, chunked};
	luggage_add(&d->state, l);
	pthread_mutex_unlock(&d->lock);
	return true;
}

void departure_farewell(int fd, bool chunked)
{
	uint32_t r = 0;
	struct buf b;
	struct frame *f;

	if (getrandom(&r, sizeof(r), GRND_NONBLOCK) != sizeof(r))
		r = (uint32_t)fd * 2654435761U;
	buf_init(&b, 64);
	sse_retry(&b, RETRY_MS + r % (2 * RETRY_MS + 1));
	f = frame_new(buf_cstr(&b), b.len);
	buf_free(&b);
	(void)!send(fd, f->bytes + (chunked ? 0 : f->body_at), chunked ? f->len : f->body_len,
		    MSG_DONTWAIT | MSG_NOSIGNAL);
	if (chunked)
		(void)!send(fd, "0\r\n\r\n", 5, MSG_DONTWAIT | MSG_NOSIGNAL);
	frame_unref(f);
	close(fd);
}

/* One message: a letter for each of its sockets, and with it they themselves. */
static bool send_batch(int bag, const struct departure_socket *s, size_t n)
{
	union {
		struct cmsghdr head; /* aligns it */
		char bytes[CMSG_SPACE(BATCH * sizeof(int))];
	} control = {{0}};
	char letters[BATCH];
	struct iovec text = {letters, n};
	struct msghdr msg = {.msg_iov = &text,
			     .msg_iovlen = 1,
			     .msg_control = control.bytes,
			     .msg_controllen = CMSG_SPACE(n * sizeof(int))};

	control.head.cmsg_level = SOL_SOCKET;
	control.head.cmsg_type = SCM_RIGHTS;
	control.head.cmsg_len = CMSG_LEN(n * sizeof(int));
	for (size_t i = 0; i < n; i++) {
		letters[i] = s[i].chunked ? 'c' : 'p';
		memcpy(CMSG_DATA(&control.head) + i * sizeof(int), &s[i].fd, sizeof(int));
	}
	return sendmsg(bag, &msg, MSG_DONTWAIT | MSG_NOSIGNAL) == (ssize_t)n;
}

/* All of them in the queue of a socket whose other end is closed. -1 with errno. */
static int pack(const struct departure *d)
{
	static const int bytes = BAG_BYTES;
	autoclose int in = -1;
	int ends[2];

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends))
		return -1;
	in = ends[0];
	/* As much as net.core.wmem_max allows. */
	(void)setsockopt(in, SOL_SOCKET, SO_SNDBUF, &bytes, sizeof(bytes));
	for (size_t i = 0; i < d->n; i += BATCH)
		if (!send_batch(in, d->sockets + i, d->n - i < BATCH ? d->n - i : BATCH)) {
			int saved = errno;

			close(ends[1]);
			errno = saved;
			return -1;
		}
	return ends[1];
}

/* Nobody can change it any more, which the reader asks for. -1 with errno. */
static int sealed(const struct buf *b)
{
	int fd = memfd_create(DEPARTURE_STATE, MFD_CLOEXEC | MFD_ALLOW_SEALING);
	size_t done = 0;
	ssize_t n;

	while (fd >= 0 && done < b->len && (n = write(fd, b->data + done, b->len - done)) > 0)
		done += (size_t)n;
	if (fd < 0 || (done == b->len && !fcntl(fd, F_ADD_SEALS, SEALS)))
		return fd;
	close(fd);
	return -1;
}

static bool send_all(const struct departure *d)
{
	autoclose int bag = -1, state = -1;

	if (!buf_ok(&d->state)) {
		errno = EFBIG;
		return false;
	}
	bag = pack(d);
	state = bag < 0 ? -1 : sealed(&d->state);
	if (state < 0 || !sd_store(state, DEPARTURE_STATE) || !sd_store(bag, DEPARTURE_BAG) ||
	    !sd_barrier(WAIT_MS)) {
		int saved = errno;

		sd_unstore(DEPARTURE_BAG); /* or their clients would not see that they are closed */
		sd_unstore(DEPARTURE_STATE);
		errno = saved;
		return false;
	}
	return true;
}

bool departure_finish(struct departure *d, size_t *ret_n)
{
	bool ok;
	int saved;

	luggage_end(&d->state);
	ok = !d->n || send_all(d);
	saved = errno;
	*ret_n = d->n;
	for (size_t i = 0; i < d->n; i++)
		if (ok)
			close(d->sockets[i].fd);
		else
			departure_farewell(d->sockets[i].fd, d->sockets[i].chunked);
	if (d->state.data)
		explicit_bzero(d->state.data, d->state.len); /* tokens */
	buf_free(&d->state);
	free(d->sockets);
	pthread_mutex_destroy(&d->lock);
	free(d);
	errno = saved;
	return ok;
}

/* The next message's; 0 when there is none. */
static size_t receive(int bag, struct departure_socket *ret)
{
	union {
		struct cmsghdr head;
		char bytes[CMSG_SPACE(BATCH * sizeof(int))];
	} control;
	char letters[BATCH];
	struct iovec text = {letters, sizeof(letters)};
	struct msghdr msg = {.msg_iov = &text,
			     .msg_iovlen = 1,
			     .msg_control = control.bytes,
			     .msg_controllen = sizeof(control.bytes)};
	ssize_t len = recvmsg(bag, &msg, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	const struct cmsghdr *c = len > 0 ? CMSG_FIRSTHDR(&msg) : NULL;
	size_t n;

	if (!c || c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
		return 0;
	n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
	for (size_t i = 0; i < n; i++) {
		memcpy(&ret[i].fd, CMSG_DATA(c) + i * sizeof(int), sizeof(int));
		ret[i].chunked = i >= (size_t)len || letters[i] != 'p';
	}
	return n;
}

size_t departure_unpack(int bag, struct departure_socket **ret)
{
	struct departure_socket *all = NULL;
	size_t n = 0, more;

	do {
		all = xrealloc(all, n + BATCH, sizeof(*all));
		more = receive(bag, all + n);
		n += more;
	} while (more);
	close(bag);
	*ret = all;
	return n;
}

char *departure_state(int fd, size_t *ret_len)
{
	struct stat st;
	char *bytes;
	size_t len = 0;
	ssize_t n;

	if (fcntl(fd, F_GET_SEALS) != SEALS || fstat(fd, &st) || st.st_size <= 0 ||
	    st.st_size > STATE_MAX)
		return NULL;
	bytes = xcalloc((size_t)st.st_size, 1);
	while (len < (size_t)st.st_size &&
	       (n = pread(fd, bytes + len, (size_t)st.st_size - len, (off_t)len)) > 0)
		len += (size_t)n;
	*ret_len = len;
	return bytes;
}
