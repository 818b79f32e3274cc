/* SPDX-License-Identifier: PostgreSQL
 * LD_PRELOAD: every flush to disk takes SLOW_FLUSH_US microseconds longer, as on a network disk. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

static void wait_a_moment(void)
{
	const char *us = getenv("SLOW_FLUSH_US");
	struct timespec moment = {0};

	if (us)
		moment.tv_nsec = strtol(us, NULL, 10) * 1000;
	nanosleep(&moment, NULL);
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
