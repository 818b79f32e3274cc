/* SPDX-License-Identifier: PostgreSQL
 * See sd.h; the protocols are in sd_notify(3), section "Notes", and sd_listen_fds(3). */
#include "config.h"
#include "base/sd.h"

#include <fcntl.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/num.h"

#define FIRST_PASSED 3	     /* SD_LISTEN_FDS_START */
#define PASSED_MAX   1000000 /* more than any limit of open files */

void sd_notify_text(const char *lines)
{
	const char *path = getenv("NOTIFY_SOCKET");
	struct sockaddr_un sa = {.sun_family = AF_UNIX};
	size_t len = path ? strlen(path) : 0;
	autoclose int fd = -1;

	if (!len || len >= sizeof(sa.sun_path) || (path[0] != '/' && path[0] != '@'))
		return;
	memcpy(sa.sun_path, path, len);
	if (path[0] == '@')
		sa.sun_path[0] = '\0'; /* abstract socket, unix(7) */
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return;
	(void)!sendto(fd, lines, strlen(lines), MSG_NOSIGNAL, (struct sockaddr *)&sa,
		      (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len));
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
