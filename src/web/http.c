/* SPDX-License-Identifier: PostgreSQL
 * See http.h. Facts about libmicrohttpd that this rests on are proved by tests/unit/test_mhd.c. */
#include "config.h"
#include "web/http.h"

#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "web/caller.h"
#include "web/mhd.h"
#include "web/request.h"
#include "web/worker.h"

#define POOL_BYTES	(32 * 1024) /* per request under way: what wire/head.h lets in fits */
#define MAX_CONNECTIONS (1u << 20)  /* web/lobby.h knows the limit */

static void on_mhd_log(void *arg, const char *fmt, va_list ap)
{
	char text[256];
	size_t len;

	(void)arg;
	if (!log_enabled(LOG_L_DEBUG))
		return;
	vsnprintf(text, sizeof(text), fmt, ap);
	len = strcspn(text, "\n");
	text[len] = '\0';
	log_debug("http: %s", text);
}

static void on_mhd_timer(void *arg)
{
	struct worker *w = arg;

	w->http.run_wanted = true;
	http_settle(w);
}

static void on_mhd_ready(void *arg, uint32_t events)
{
	struct worker *w = arg;

	(void)events;
	w->http.run_wanted = true;
	http_settle(w);
}

/* libmicrohttpd has taken a connection in, or closes it. */
static void on_connection(void *arg, struct MHD_Connection *c, void **context,
			  enum MHD_ConnectionNotificationCode what)
{
	struct worker *w = arg;

	(void)c;
	if (what == MHD_CONNECTION_NOTIFY_STARTED) {
		*context = caller_inside(w);
	} else if (*context) {
		caller_outside(*context);
		*context = NULL;
	}
}

void http_settle(struct worker *w)
{
	struct http *h = &w->http;
	MHD_UNSIGNED_LONG_LONG ms;

	if (!h->mhd || !h->run_wanted)
		return;
	while (h->run_wanted) {
		h->run_wanted = false;
		MHD_run(h->mhd);
	}
	if (MHD_get_timeout(h->mhd, &ms) == MHD_YES)
		loop_timer_set(w->loop, &h->mhd_timer, ms > 1 ? ms : 1);
	else
		loop_timer_clear(w->loop, &h->mhd_timer);
}

bool http_start(struct worker *w)
{
	struct http *h = &w->http;
	const union MHD_DaemonInfo *info;

	list_init(&h->requests);
	h->mhd_timer = (struct loop_timer){.fire = on_mhd_timer, .arg = w};
	h->mhd = MHD_start_daemon(
		MHD_FLAGS, 0, NULL, NULL, request_handle, w, MHD_OPTION_EXTERNAL_LOGGER, on_mhd_log,
		NULL, MHD_OPTION_NOTIFY_CONNECTION, on_connection, w, MHD_OPTION_NOTIFY_COMPLETED,
		request_completed, w, MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)POOL_BYTES,
		MHD_OPTION_CONNECTION_LIMIT, MAX_CONNECTIONS, MHD_OPTION_CONNECTION_TIMEOUT,
		(unsigned)((w->conf->request_ms + 999) / 1000), MHD_OPTION_END);
	info = h->mhd ? MHD_get_daemon_info(h->mhd, MHD_DAEMON_INFO_EPOLL_FD) : NULL;
	if (!info || info->epoll_fd < 0) {
		log_error("libmicrohttpd does not start in this process's event loop");
		return false;
	}
	h->mhd_fd = (struct loop_fd){.fd = info->epoll_fd, .ready = on_mhd_ready, .arg = w};
	return loop_add(w->loop, &h->mhd_fd, EPOLLIN);
}

void http_stop(struct worker *w)
{
	struct http *h = &w->http;

	request_give_up_all(w);
	http_settle(w);
	loop_timer_clear(w->loop, &h->mhd_timer);
	if (h->mhd_fd.arg)
		loop_del(w->loop, &h->mhd_fd);
	if (h->mhd)
		MHD_stop_daemon(h->mhd);
	h->mhd = NULL;
}
