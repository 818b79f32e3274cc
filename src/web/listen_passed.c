/* SPDX-License-Identifier: PostgreSQL
 * Listening sockets that systemd keeps for us. See listen_adopt() in listen.h. */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "web/listen.h"

static bool option_is(int fd, int option, int want)
{
	int value = -1;
	socklen_t len = sizeof(value);

	return !getsockopt(fd, SOL_SOCKET, option, &value, &len) && value == want;
}

/* What it listens on; false when it does not. */
static bool look_at(struct listen_address *a, int fd)
{
	a->len = sizeof(a->sa);
	return option_is(fd, SO_ACCEPTCONN, 1) && option_is(fd, SO_TYPE, SOCK_STREAM) &&
	       !getsockname(fd, (struct sockaddr *)&a->sa, &a->len) &&
	       (a->sa.ss_family == AF_INET || a->sa.ss_family == AF_INET6 ||
		a->sa.ss_family == AF_UNIX);
}

bool listen_adopt(struct listen_set *set, const int *fds, size_t n, size_t n_workers,
		  struct buf *error)
{
	set->items = xcalloc(n, sizeof(*set->items));
	set->fds = xcalloc(n * n_workers, sizeof(*set->fds));
	set->n = n;
	for (size_t i = 0; i < n; i++) {
		int flags = fcntl(fds[i], F_GETFL);

		if (!look_at(&set->items[i], fds[i])) {
			buf_printf(error, "descriptor %d, which was passed, is no listening socket",
				   fds[i]);
			return false;
		}
		if (fcntl(fds[i], F_SETFL, flags | O_NONBLOCK)) {
			buf_printf(error, "descriptor %d: %s", fds[i], strerror(errno));
			return false;
		}
		if (set->items[i].sa.ss_family != AF_UNIX)
			listen_inherit(fds[i]);
		for (size_t w = 0; w < n_workers; w++) {
			int fd = w ? fcntl(fds[i], F_DUPFD_CLOEXEC, 0) : fds[i];

			if (fd < 0) {
				buf_printf(error, "cannot share a socket: %s", strerror(errno));
				return false;
			}
			set->fds[w * n + i] = fd;
		}
	}
	return true;
}
