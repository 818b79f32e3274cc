/* SPDX-License-Identifier: PostgreSQL
 * See listen.h. */
#include "config.h"
#include "web/listen.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/num.h"

#define BACKLOG 4096 /* the kernel lowers it to net.core.somaxconn */

/* Splits at the last colon; the host without its brackets. */
static bool split(const char *address, char **host, char **port, struct buf *error)
{
	const char *colon = strrchr(address, ':');
	uint64_t n;

	if (!colon || !num_u64(colon + 1, strlen(colon + 1), &n) || n > 65535) {
		buf_printf(error, "listen address \"%s\" must be HOST:PORT", address);
		return false;
	}
	*port = xstrdup(colon + 1);
	if (*address == '[' && colon > address + 1 && colon[-1] == ']')
		*host = xstrndup(address + 1, (size_t)(colon - address) - 2);
	else
		*host = xstrndup(address, (size_t)(colon - address));
	return true;
}

static int open_one(const struct sockaddr *sa, socklen_t len, int family)
{
	static const int on = 1;
	int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (fd < 0)
		return -1;
	if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) ||
	    setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on)) ||
	    (family == AF_INET6 && setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on))) ||
	    bind(fd, sa, len) || listen(fd, BACKLOG)) {
		int saved = errno;

		close(fd);
		errno = saved;
		return -1;
	}
	return fd;
}

static bool open_all(const struct addrinfo *ai, int *fds, size_t n, struct buf *bound)
{
	struct sockaddr_storage sa;
	socklen_t len = ai->ai_addrlen;
	char host[64], port[8];

	memcpy(&sa, ai->ai_addr, ai->ai_addrlen);
	for (size_t i = 0; i < n; i++) {
		fds[i] = open_one((struct sockaddr *)&sa, len, ai->ai_family);
		if (fds[i] < 0) {
			int saved = errno;

			while (i--)
				close(fds[i]);
			errno = saved;
			return false;
		}
		if (i == 0) { /* port 0: the others take the one this one got */
			len = sizeof(sa);
			getsockname(fds[0], (struct sockaddr *)&sa, &len);
		}
	}
	if (getnameinfo((struct sockaddr *)&sa, len, host, sizeof(host), port, sizeof(port),
			NI_NUMERICHOST | NI_NUMERICSERV) == 0)
		buf_printf(bound, ai->ai_family == AF_INET6 ? "[%s]:%s" : "%s:%s", host, port);
	return true;
}

bool listen_open(const char *address, int *fds, size_t n, struct buf *bound, struct buf *error)
{
	const struct addrinfo hints = {.ai_flags = AI_PASSIVE, .ai_socktype = SOCK_STREAM};
	autofree char *host = NULL, *port = NULL;
	struct addrinfo *ai;
	int r;
	bool ok;

	if (!split(address, &host, &port, error))
		return false;
	r = getaddrinfo(*host ? host : NULL, port, &hints, &ai);
	if (r) {
		buf_printf(error, "listen address \"%s\": %s", address, gai_strerror(r));
		return false;
	}
	ok = open_all(ai, fds, n, bound);
	if (!ok)
		buf_printf(error, "cannot listen on %s: %s", address, strerror(errno));
	freeaddrinfo(ai);
	return ok;
}
