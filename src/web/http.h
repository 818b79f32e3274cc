/* SPDX-License-Identifier: PostgreSQL
 * libmicrohttpd inside one worker's loop: it is run when its descriptor or its timer says so, or
 * when something of ours is waiting for it. Knows requests only as callbacks (request.h). */
#ifndef PGHERALD_WEB_HTTP_H
#define PGHERALD_WEB_HTTP_H

#include <stdbool.h>
#include <stddef.h>

#include "base/list.h"
#include "base/loop.h"
#include "base/mem.h"
#include "hub/room.h"

struct worker;
struct MHD_Daemon;

struct http {
	struct MHD_Daemon *mhd;
	struct loop_fd mhd_fd;
	struct loop_timer mhd_timer;
	struct list requests; /* struct request, from the first byte parsed to completion */
	size_t n_requests;
	struct room room; /* for what is posted and said */
	bool run_wanted;  /* something was resumed or added: MHD_run() before the turn ends */
};

bool http_start(struct worker *w) MUST_CHECK;
/* Ends every request and libmicrohttpd. */
void http_stop(struct worker *w);
/* Runs libmicrohttpd when something is waiting for it; at the end of each turn's work. */
void http_settle(struct worker *w);

#endif
