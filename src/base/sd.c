/* SPDX-License-Identifier: PostgreSQL
 * See sd.h; the protocols are in sd_notify(3), section "Notes", and sd_listen_fds(3). */
#include "config.h"
#include "base/sd.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/num.h"

#define FIRST_PASSED 3	     /* SD_LISTEN_FDS_START */
#define PASSED_MAX   1000000 /* more than any limit of open files */

/* Lines, and with them a descriptor unless it is -1, to $NOTIFY_SOCKET. */
static bool send_lines(const char *lines, int passed)
{
	const char *path = getenv("NOTIFY_SOCKET");
	struct sockaddr_un sa = {.sun_family = AF_UNIX};
	size_t len = path ? strlen(path) : 0;
	union {
		struct cmsghdr head; /* aligns it */
		char bytes[CMSG_SPACE(sizeof(int))];
	} control = {{0}};
	struct iovec text = {.iov_base = xstrdup(lines), .iov_len = strlen(lines)};
	struct msghdr msg = {.msg_name = &sa,
			     .msg_namelen =
				     (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len),
			     .msg_iov = &text,
			     .msg_iovlen = 1};
	autofree void *bytes = text.iov_base;
	autoclose int fd = -1;

	(void)bytes;
	if (!len || len >= sizeof(sa.sun_path) || (path[0] != '/' && path[0] != '@')) {
		errno = ENOTCONN;
		return false;
	}
	memcpy(sa.sun_path, path, len);
	if (path[0] == '@')
		sa.sun_path[0] = '\0'; /* abstract socket, unix(7) */
	if (passed >= 0) {
		msg.msg_control = control.bytes;
		msg.msg_controllen = sizeof(control.bytes);
		control.head.cmsg_level = SOL_SOCKET;
		control.head.cmsg_type = SCM_RIGHTS;
		control.head.cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(&control.head), &passed, sizeof(int));
	}
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	return fd >= 0 && sendmsg(fd, &msg, MSG_NOSIGNAL) >= 0;
}

void sd_notify_text(const char *lines)
{
	(void)send_lines(lines, -1);
}

uint64_t sd_watchdog_ms(void)
{
	const char *usec = getenv("WATCHDOG_USEC");
	uint64_t n;

	return usec && num_u64(usec, strlen(usec), &n) ? n / 2000 : 0;
}

static bool number(const char *text, uint64_t max, uint64_t *ret)
{
	return text && num_u64(text, strlen(text), ret) && *ret <= max;
}

size_t sd_passed(struct sd_fd **ret)
{
	const char *names = getenv("LISTEN_FDNAMES");
	uint64_t pid, n = 0;

	*ret = NULL;
	if (!number(getenv("LISTEN_PID"), INT32_MAX, &pid) || (pid_t)pid != getpid() ||
	    !number(getenv("LISTEN_FDS"), PASSED_MAX, &n))
		n = 0;
	if (n)
		*ret = xcalloc((size_t)n, sizeof(**ret));
	for (size_t i = 0; i < n; i++) {
		struct sd_fd *p = *ret + i;
		size_t len = names ? strcspn(names, ":") : 0;

		p->fd = FIRST_PASSED + (int)i;
		(void)fcntl(p->fd, F_SETFD, FD_CLOEXEC);
		if (len < sizeof(p->name) && len)
			memcpy(p->name, names, len);
		names = names && names[len] ? names + len + 1 : NULL;
	}
	unsetenv("LISTEN_PID");
	unsetenv("LISTEN_FDS");
	unsetenv("LISTEN_FDNAMES");
	return (size_t)n;
}

uint64_t sd_store_max(void)
{
	uint64_t n;

	return number(getenv("FDSTORE"), PASSED_MAX, &n) ? n : 0;
}

bool sd_store(int fd, const char *name)
{
	char lines[SD_NAME_MAX + 32];

	snprintf(lines, sizeof(lines), "FDSTORE=1\nFDPOLL=0\nFDNAME=%s", name);
	return send_lines(lines, fd);
}

void sd_unstore(const char *name)
{
	char lines[SD_NAME_MAX + 32];

	snprintf(lines, sizeof(lines), "FDSTOREREMOVE=1\nFDNAME=%s", name);
	(void)send_lines(lines, -1);
}

bool sd_barrier(int wait_ms)
{
	struct pollfd ready = {.events = POLLIN};
	autoclose int ours = -1, theirs = -1;
	int ends[2];

	/* Theirs is closed once everything that came before it has been taken. */
	if (pipe2(ends, O_CLOEXEC))
		return false;
	ours = ready.fd = ends[0];
	theirs = ends[1];
	if (!send_lines("BARRIER=1", theirs))
		return false;
	mem_autoclose(&theirs);
	theirs = -1;
	return poll(&ready, 1, wait_ms) == 1;
}
