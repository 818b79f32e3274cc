/* SPDX-License-Identifier: PostgreSQL
 * HTTP in front of one worker: accepts, lets libmicrohttpd parse and answer, finds the route,
 * has the token looked up while the request is suspended, and hands streams over. */
#ifndef PGHERALD_WEB_HTTP_H
#define PGHERALD_WEB_HTTP_H

#include <stdbool.h>
#include <stddef.h>

#include "base/list.h"
#include "base/loop.h"
#include "base/mem.h"

struct worker;
struct MHD_Daemon;
struct conf_route;

struct http {
	struct MHD_Daemon *mhd;
	struct loop_fd mhd_fd;
	struct loop_timer mhd_timer;
	struct loop_fd *listeners;
	size_t n_listeners;
	struct loop_timer accept_again; /* set while accepting is paused */
	bool paused;
	int spare_fd;	      /* given up to answer one client when descriptors run out */
	struct list requests; /* struct request, from the first byte parsed to completion */
	size_t n_requests;
	bool run_wanted; /* something was resumed or added: MHD_run() before the turn ends */
};

bool http_start(struct worker *w, const int *fds, size_t n_fds) MUST_CHECK;
/* Accepts no more; requests under way go on. */
void http_quiesce(struct worker *w);
/* Ends every request and libmicrohttpd. */
void http_stop(struct worker *w);
/* Runs libmicrohttpd when something is waiting for it; at the end of each turn's work. */
void http_settle(struct worker *w);

/* Whether a role may use a route: those it names, or every configured one; the statistics' default
 * is the roles that hear everything. */
bool http_role_allowed(const struct worker *w, const struct conf_route *route,
		       const char *role) MUST_CHECK;

#endif
