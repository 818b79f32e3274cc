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
#include <sys/stat.h>
#include <unistd.h>

#include "base/sd.h"

#define STATE_MAX (256 << 20) /* bytes */
#define SEALS	  (F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL)
#define WAIT_MS	  5000 /* for systemd to read what was sent */

struct departure {
	pthread_mutex_t lock;
	struct buf state;
	struct bag *bag;
};

struct departure *departure_new(void)
{
	struct departure *d = xcalloc(1, sizeof(*d));

	pthread_mutex_init(&d->lock, NULL);
	buf_init(&d->state, STATE_MAX);
	luggage_begin(&d->state);
	d->bag = bag_new();
	return d;
}

bool departure_take(struct departure *d, int fd, const struct bag_end *end, struct luggage *l)
{
	struct stat st;

	if (fstat(fd, &st))
		return false;
	l->socket = st.st_ino;
	pthread_mutex_lock(&d->lock);
	bag_put(d->bag, fd, end);
	luggage_add(&d->state, l);
	pthread_mutex_unlock(&d->lock);
	return true;
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
	bag = bag_pack(d->bag);
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

	*ret_n = bag_count(d->bag);
	luggage_end(&d->state);
	ok = !*ret_n || send_all(d);
	saved = errno;
	bag_free(d->bag, !ok);
	if (d->state.data)
		explicit_bzero(d->state.data, d->state.len); /* tokens */
	buf_free(&d->state);
	pthread_mutex_destroy(&d->lock);
	free(d);
	errno = saved;
	return ok;
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
