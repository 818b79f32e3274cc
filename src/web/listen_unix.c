/* SPDX-License-Identifier: PostgreSQL
 * See listen_unix.h. */
#include "config.h"
#include "web/listen_unix.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/file.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/mem.h"

#define PREFIX	   "unix:"
#define LOCK_TRIES 40 /* of 50 ms */

bool listen_is_unix(const char *name)
{
	return !strncmp(name, PREFIX, strlen(PREFIX));
}

static const char *path_of(const struct listen_address *a)
{
	return ((const struct sockaddr_un *)(const void *)&a->sa)->sun_path;
}

bool listen_unix_resolve(struct listen_address *a, struct buf *error)
{
	const char *path = a->name + strlen(PREFIX);
	struct sockaddr_un *un = (struct sockaddr_un *)(void *)&a->sa;

	if (*path != '/' || strlen(path) >= sizeof(un->sun_path)) {
		buf_printf(error,
			   "listen address \"%s\": the path must begin with / and have at "
			   "most %zu bytes",
			   a->name, sizeof(un->sun_path) - 1);
		return false;
	}
	un->sun_family = AF_UNIX;
	memcpy(un->sun_path, path, strlen(path) + 1);
	a->len = sizeof(*un);
	return true;
}

/* Of two daemons that start at the same time one must not remove what the other has just made: who
 * looks, removes and makes holds a lock on the directory meanwhile. Anybody who may read the
 * directory can hold it for ever, so nobody waits for it for long. -1 without one. */
static int lock_directory(const char *path)
{
	const char *slash = strrchr(path, '/');
	autofree char *directory = xstrndup(path, slash == path ? 1 : (size_t)(slash - path));
	int fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	for (int i = 0; fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) && i < LOCK_TRIES; i++)
		poll(NULL, 0, 50);
	return fd;
}

/* Removes a socket that nobody listens on. False with `error` when the path is not free after. */
static bool make_room(const struct listen_address *a, struct buf *error)
{
	autoclose int fd = -1;
	struct stat st;

	if (lstat(path_of(a), &st))
		return true; /* bind(2) has the better word on everything but ENOENT */
	if (!S_ISSOCK(st.st_mode)) {
		buf_printf(error, "cannot listen on %s: there is something else", a->name);
		return false;
	}
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd >= 0 && !connect(fd, (const struct sockaddr *)&a->sa, a->len))
		errno = EADDRINUSE;
	else if (errno == EAGAIN) /* somebody listens, and is busy */
		errno = EADDRINUSE;
	else if (errno == ECONNREFUSED && !unlink(path_of(a)))
		return true;
	buf_printf(error, "cannot listen on %s: %s", a->name, strerror(errno));
	return false;
}

int listen_unix_open(struct listen_address *a, mode_t mode, int backlog, struct buf *error)
{
	autoclose int directory __attribute__((unused)) = lock_directory(path_of(a));
	mode_t before;
	int fd, r;

	if (!make_room(a, error))
		return -1;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	before = umask(0777 & ~mode); /* no other thread makes files */
	r = fd < 0 || bind(fd, (const struct sockaddr *)&a->sa, a->len);
	umask(before);
	if (!r && !listen(fd, backlog) && !lstat(path_of(a), &a->file))
		return fd;
	buf_printf(error, "cannot listen on %s: %s", a->name, strerror(errno));
	mem_autoclose(&fd);
	return -1;
}

void listen_unix_remove(const struct listen_address *a)
{
	const struct stat *ours = &a->file;
	struct stat st;

	/* A new file may well get the number of one that was removed. */
	if (a->sa.ss_family == AF_UNIX && ours->st_ino && !lstat(path_of(a), &st) &&
	    st.st_dev == ours->st_dev && st.st_ino == ours->st_ino &&
	    st.st_ctim.tv_sec == ours->st_ctim.tv_sec &&
	    st.st_ctim.tv_nsec == ours->st_ctim.tv_nsec)
		(void)unlink(path_of(a));
}
