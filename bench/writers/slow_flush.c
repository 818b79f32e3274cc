/* SPDX-License-Identifier: PostgreSQL
 * LD_PRELOAD: every flush to disk takes SLOW_FLUSH_US microseconds longer, as on a network disk. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdlib.h>
#include <unistd.h>

static void wait_a_moment(void)
{
	const char *us = getenv("SLOW_FLUSH_US");

	if (us)
		usleep((useconds_t)strtoul(us, NULL, 10));
}

int fdatasync(int fd)
{
	int (*next)(int) = (int (*)(int))dlsym(RTLD_NEXT, "fdatasync");

	wait_a_moment();
	return next(fd);
}

int fsync(int fd)
{
	int (*next)(int) = (int (*)(int))dlsym(RTLD_NEXT, "fsync");

	wait_a_moment();
	return next(fd);
}
