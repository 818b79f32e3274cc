/* SPDX-License-Identifier: PostgreSQL
 * See listen.h. */
#include "config.h"
#include "web/listen.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/num.h"
#include "web/listen_unix.h"

#define BACKLOG	   4096	 /* the kernel lowers it to net.core.somaxconn */
#define SEGMENT	   16384 /* bytes at most; no network but loopback has larger ones */
#define PORT_TRIES 16	 /* for one that is free in every address family */

/* Splits at the last colon; the host without its brackets. */
static bool split(const char *name, char **host, char **port, struct buf *error)
{
	const char *colon = strrchr(name, ':');
	uint64_t n;

	if (!colon || !num_u64(colon + 1, strlen(colon + 1), &n) || n > 65535) {
		buf_printf(error, "listen address \"%s\" must be HOST:PORT or unix:/PATH", name);
		return false;
	}
	*port = xstrdup(colon + 1);
	if (*name == '[' && colon > name + 1 && colon[-1] == ']')
		*host = xstrndup(name + 1, (size_t)(colon - name) - 2);
	else
		*host = xstrndup(name, (size_t)(colon - name));
	return true;
}

static in_port_t *port_of(struct sockaddr_storage *sa)
{
	return sa->ss_family == AF_INET6 ? &((struct sockaddr_in6 *)(void *)sa)->sin6_port
					 : &((struct sockaddr_in *)(void *)sa)->sin_port;
}

static const void *bytes_of(const struct sockaddr_storage *sa, size_t *ret_len)
{
	if (sa->ss_family == AF_INET6) {
		*ret_len = sizeof(struct in6_addr);
		return &((const struct sockaddr_in6 *)(const void *)sa)->sin6_addr;
	}
	*ret_len = sizeof(struct in_addr);
	return &((const struct sockaddr_in *)(const void *)sa)->sin_addr;
}

/* Closes and keeps errno. */
static int fail(int fd)
{
	int saved = errno;

	close(fd);
	errno = saved;
	return -1;
}

static int fresh_socket(const struct listen_address *a)
{
	static const int on = 1;
	int family = a->sa.ss_family;
	int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (fd < 0)
		return -1;
	if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) ||
	    (family == AF_INET6 && setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on))))
		return fail(fd);
	return fd;
}

/* Whether this machine has the address at all. */
static bool available(const struct listen_address *a)
{
	struct listen_address any = *a;
	int fd = fresh_socket(a), r;

	if (fd < 0)
		return errno != EAFNOSUPPORT;
	*port_of(&any.sa) = 0;
	r = bind(fd, (struct sockaddr *)&any.sa, any.len);
	if (r)
		(void)fail(fd);
	else
		close(fd);
	return !r || errno != EADDRNOTAVAIL;
}

static bool same_host(const struct sockaddr_storage *a, const struct sockaddr_storage *b)
{
	static const struct sockaddr_storage any;
	size_t len;
	const void *x = bytes_of(a, &len);

	return !memcmp(x, bytes_of(b, &len), len) || !memcmp(x, &any, len) ||
	       !memcmp(bytes_of(b, &len), &any, len);
}

/* Whether the second could never be bound beside the first. */
static bool overlap(const struct listen_address *a, const struct listen_address *b)
{
	struct sockaddr_storage x = a->sa, y = b->sa;

	if (x.ss_family != y.ss_family)
		return false;
	if (x.ss_family == AF_UNIX)
		return !strcmp(((struct sockaddr_un *)(void *)&x)->sun_path,
			       ((struct sockaddr_un *)(void *)&y)->sun_path);
	return *port_of(&x) && *port_of(&x) == *port_of(&y) && same_host(&x, &y);
}

static bool add(struct listen_set *set, const struct listen_address *a, struct buf *error)
{
	for (size_t i = 0; i < set->n; i++) {
		if (!overlap(&set->items[i], a))
			continue;
		if (set->items[i].name == a->name) /* /etc/hosts has it twice */
			return true;
		buf_printf(error, "listen addresses %s and %s are in each other's way",
			   set->items[i].name, a->name);
		return false;
	}
	set->items = xrealloc(set->items, set->n + 1, sizeof(*set->items));
	set->items[set->n++] = *a;
	return true;
}

static bool resolve_inet(struct listen_set *set, const char *name, struct buf *error)
{
	struct addrinfo hints = {.ai_flags = AI_PASSIVE, .ai_socktype = SOCK_STREAM};
	autofree char *host = NULL, *port = NULL;
	size_t before = set->n;
	struct addrinfo *all;
	bool ok = true;
	int r;

	if (!split(name, &host, &port, error))
		return false;
	if (!strcasecmp(host, "localhost")) { /* browsers do not ask /etc/hosts (RFC 6761, 6.3) */
		*host = '\0';
		hints.ai_flags = 0; /* nothing stands for the loopback addresses then */
	}
	r = getaddrinfo(*host ? host : NULL, port, &hints, &all);
	if (r) {
		buf_printf(error, "listen address \"%s\": %s", name, gai_strerror(r));
		return false;
	}
	for (const struct addrinfo *ai = all; ai && ok; ai = ai->ai_next) {
		struct listen_address a = {.name = name, .len = ai->ai_addrlen};

		memcpy(&a.sa, ai->ai_addr, ai->ai_addrlen);
		if (available(&a))
			ok = add(set, &a, error);
	}
	freeaddrinfo(all);
	if (ok && set->n == before) {
		buf_printf(error, "cannot listen on %s: this machine has no such address", name);
		return false;
	}
	return ok;
}

bool listen_resolve(struct listen_set *set, char *const *names, size_t n, struct buf *error)
{
	for (size_t i = 0; i < n; i++) {
		struct listen_address a = {.name = names[i]};

		if (!listen_is_unix(names[i])) {
			if (!resolve_inet(set, names[i], error))
				return false;
		} else if (!listen_unix_resolve(&a, error) || !add(set, &a, error)) {
			return false;
		}
	}
	return true;
}

void listen_inherit(int fd)
{
	static const int on = 1, segment = SEGMENT;

	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
	setsockopt(fd, IPPROTO_TCP, TCP_MAXSEG, &segment, sizeof(segment)); /* or it is slower */
}

/* The first one listens alone, so that of two daemons one fails, whenever they start: with
 * SO_REUSEPORT set before, the second would take half of the first one's clients. Afterwards the
 * workers' sockets may share it. bind(2) alone is no decision: it lets two pass that do not listen
 * yet. SO_REUSEADDR is for what the daemon before has left in TIME_WAIT. */
static int open_socket(struct listen_address *a, bool first)
{
	static const int on = 1;
	int fd = fresh_socket(a);

	if (fd < 0)
		return -1;
	if ((!first && setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on))) ||
	    bind(fd, (struct sockaddr *)&a->sa, a->len) || listen(fd, BACKLOG) ||
	    (first && setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on))))
		return fail(fd);
	listen_inherit(fd);
	if (first) { /* port 0: the others take the one this one got */
		socklen_t len = sizeof(a->sa);

		getsockname(fd, (struct sockaddr *)&a->sa, &len);
	}
	return fd;
}

static bool open_address(struct listen_set *set, size_t i, size_t n_workers, mode_t mode,
			 struct buf *error)
{
	struct listen_address *a = &set->items[i];
	bool shared = a->sa.ss_family == AF_UNIX;

	for (size_t w = 0; w < n_workers; w++) {
		int fd;

		if (shared)
			fd = w ? dup(set->fds[i]) : listen_unix_open(a, mode, BACKLOG, error);
		else
			fd = open_socket(a, w == 0);
		if (fd < 0)
			return false;
		set->fds[w * set->n + i] = fd;
	}
	return true;
}

static void close_all(struct listen_set *set, size_t n_workers)
{
	for (size_t i = 0; set->fds && i < n_workers * set->n; i++)
		if (set->fds[i] >= 0)
			close(set->fds[i]);
	free(set->fds);
	set->fds = NULL;
}

/* The addresses of one name, from `first` on, with the same port where the kernel chooses it. */
static bool open_name(struct listen_set *set, size_t first, size_t end, size_t n_workers,
		      mode_t mode, struct buf *error)
{
	struct listen_address *a = &set->items[first];
	bool choose = a->sa.ss_family != AF_UNIX && !*port_of(&a->sa);

	for (int tries = 0; tries < (choose ? PORT_TRIES : 1); tries++) {
		size_t i = first;

		for (; i < end; i++) {
			if (choose)
				*port_of(&set->items[i].sa) = i > first ? *port_of(&a->sa) : 0;
			if (!open_address(set, i, n_workers, mode, error))
				break;
		}
		if (i == end)
			return true;
		for (size_t w = 0; choose && w < n_workers; w++)
			for (size_t k = first; k <= i; k++) {
				int *fd = &set->fds[w * set->n + k];

				if (*fd >= 0)
					close(*fd);
				*fd = -1;
			}
	}
	if (!error->len)
		buf_printf(error, "cannot listen on %s: %s", a->name, strerror(errno));
	return false;
}

bool listen_open(struct listen_set *set, size_t n_workers, mode_t mode, struct buf *error)
{
	size_t n = n_workers * set->n;

	set->fds = xcalloc(n, sizeof(*set->fds));
	for (size_t i = 0; i < n; i++)
		set->fds[i] = -1;
	for (size_t i = 0, end; i < set->n; i = end) {
		for (end = i; end < set->n && set->items[end].name == set->items[i].name;)
			end++;
		if (!open_name(set, i, end, n_workers, mode, error)) {
			close_all(set, n_workers);
			return false;
		}
	}
	return true;
}

void listen_text(const struct listen_address *a, struct buf *out)
{
	char host[64], port[8];

	if (a->sa.ss_family == AF_UNIX)
		buf_printf(out, "unix:%s",
			   ((const struct sockaddr_un *)(const void *)&a->sa)->sun_path);
	else if (!getnameinfo((const struct sockaddr *)&a->sa, a->len, host, sizeof(host), port,
			      sizeof(port), NI_NUMERICHOST | NI_NUMERICSERV))
		buf_printf(out, a->sa.ss_family == AF_INET6 ? "[%s]:%s" : "%s:%s", host, port);
}

void listen_free(struct listen_set *set)
{
	for (size_t i = 0; i < set->n; i++)
		listen_unix_remove(&set->items[i]);
	free(set->items);
	free(set->fds);
	*set = (struct listen_set){0};
}
