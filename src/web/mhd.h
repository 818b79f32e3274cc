/* SPDX-License-Identifier: PostgreSQL
 * libmicrohttpd's header, and how a daemon of it is started inside a loop of ours. Proved by
 * tests/unit/test_mhd.c, which starts it the same way. */
#ifndef PGHERALD_WEB_MHD_H
#define PGHERALD_WEB_MHD_H

#include <microhttpd.h>

/* TURBO: closing is close(2) without shutdown(2), so that a dup lives on. From 1.0 on, a daemon
 * that is not told of its single thread takes added connections in later, in MHD_run(). */
#define MHD_FLAGS_PLAIN                                                                            \
	(MHD_USE_EPOLL | MHD_USE_NO_LISTEN_SOCKET | MHD_ALLOW_SUSPEND_RESUME | MHD_ALLOW_UPGRADE | \
	 MHD_USE_TURBO | MHD_USE_ERROR_LOG)
#if MHD_VERSION >= 0x00097707
#define MHD_FLAGS (MHD_FLAGS_PLAIN | MHD_USE_NO_THREAD_SAFETY)
#else
#define MHD_FLAGS MHD_FLAGS_PLAIN
#endif

#endif
