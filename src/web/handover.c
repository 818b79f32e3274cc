/* SPDX-License-Identifier: PostgreSQL
 * See handover.h. tests/unit/test_mhd.c proves that it can be done so. */
#include "config.h"
#include "web/handover.h"

#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "conf.h"
#include "web/answer.h"
#include "web/stream.h"
#include "web/talk.h"
#include "web/upgrade.h"
#include "web/worker.h"

#define BLOCK_BYTES 1024 /* the content reader's; a greeting fits */

/* -1 when there is none. What libmicrohttpd points to is only good until it is asked again:
 * from 1.0 on, each connection has one such place. */
static int descriptor(struct MHD_Connection *c)
{
	const union MHD_ConnectionInfo *info =
		MHD_get_connection_info(c, MHD_CONNECTION_INFO_CONNECTION_FD);

	return info ? info->connect_fd : -1;
}

/* libmicrohttpd asks for the stream's bytes: first the greeting; the next call comes when all of it
 * is in the socket. Then the stream takes the socket: MHD_CONTENT_READER_END_WITH_ERROR makes
 * MHD close its descriptor, and with MHD_USE_TURBO it does so without shutdown(2). */
static ssize_t read_hello(void *arg, uint64_t pos, char *out, size_t max)
{
	struct handover *h = arg;
	struct stream *s = h->stream; /* stays until it is adopted: see stream_end() */
	int fd;

	(void)pos;
	if (h->sent < s->hello_len) {
		size_t n = s->hello_len - h->sent;

		if (n > max)
			n = max;
		memcpy(out, s->hello + h->sent, n);
		h->sent += n;
		return (ssize_t)n;
	}
	h->stream = NULL;
	h->worker->http.run_wanted =
		true; /* MHD closes its side in the next run, not in this one */
	fd = fcntl(descriptor(h->connection), F_DUPFD_CLOEXEC, 0);
	if (fd < 0)
		stream_close(s, "no descriptor left");
	else
		stream_adopt(s, fd);
	return MHD_CONTENT_READER_END_WITH_ERROR;
}

/* Bounds what a stuck client holds: autotuning would take megabytes. */
static void bound_buffer(struct MHD_Connection *c, const struct conf *conf)
{
	int bytes = (int)conf->send_buffer;

	if (bytes)
		setsockopt(descriptor(c), SOL_SOCKET, SO_SNDBUF, &bytes, sizeof(bytes));
}

enum MHD_Result handover_start(struct handover *h, struct worker *w, struct MHD_Connection *c,
			       const struct conf *conf, struct stream *s)
{
	struct MHD_Response *r = MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, BLOCK_BYTES,
								   read_hello, h, NULL);
	enum MHD_Result result;

	*h = (struct handover){w, c, s, 0};
	if (!r)
		return MHD_NO; /* the connection ends, and handover_cancel() follows */
	bound_buffer(c, conf);
	MHD_add_response_header(r, "Content-Type", transport_type(form_transport(s->form)));
	MHD_add_response_header(r, "Cache-Control",
				s->is_answer ? "no-store" : "no-cache, no-transform");
	if (s->is_answer)
		MHD_add_response_header(r, "Connection", "close");
	MHD_add_response_header(r, "X-Accel-Buffering", "no");
#if MHD_VERSION >= 0x00097310
	MHD_set_response_options(r, MHD_RF_SEND_KEEP_ALIVE_HEADER, MHD_RO_END);
#endif
	answer_headers(c, conf, r);
	result = MHD_queue_response(c, MHD_HTTP_OK, r);
	MHD_destroy_response(r);
	return result;
}

/* The head is out, and the greeting is the first thing behind it: there is room. */
static bool send_greeting(int fd, const struct stream *s)
{
	return !s->hello_len || send(fd, s->hello, s->hello_len, MSG_DONTWAIT | MSG_NOSIGNAL) ==
					(ssize_t)s->hello_len;
}

static void on_upgraded(void *arg, struct MHD_Connection *c, void *req, const char *early,
			size_t n_early, MHD_socket sock, struct MHD_UpgradeResponseHandle *urh)
{
	struct handover *h = arg;
	struct stream *s = h->stream;
	int fd = fcntl(sock, F_DUPFD_CLOEXEC, 0);

	(void)c;
	(void)req;
	h->stream = NULL;
	h->worker->http.run_wanted = true;
	MHD_upgrade_action(urh, MHD_UPGRADE_ACTION_CLOSE); /* its side, in the next run */
	if (fd < 0) {
		stream_close(s, "no descriptor left");
	} else if (!send_greeting(fd, s)) {
		close(fd);
		stream_close(s, "client closed before the stream began");
	} else {
		if (n_early)
			talk_add_early(s->talk, early, n_early);
		stream_adopt(s, fd);
	}
}

enum MHD_Result handover_upgrade(struct handover *h, struct worker *w, struct MHD_Connection *c,
				 const struct conf *conf, struct stream *s, const struct upgrade *u)
{
	struct MHD_Response *r = MHD_create_response_for_upgrade(on_upgraded, h);
	enum MHD_Result result;

	*h = (struct handover){w, c, s, 0};
	if (!r)
		return MHD_NO;
	bound_buffer(c, conf);
	MHD_add_response_header(r, "Upgrade", "websocket");
	MHD_add_response_header(r, "Sec-WebSocket-Accept", u->accept);
	if (u->protocol)
		MHD_add_response_header(r, "Sec-WebSocket-Protocol", UPGRADE_PROTOCOL);
	result = MHD_queue_response(c, MHD_HTTP_SWITCHING_PROTOCOLS, r);
	MHD_destroy_response(r);
	return result;
}

void handover_cancel(struct handover *h)
{
	if (h->stream)
		stream_close(h->stream, "client closed before the stream began");
	h->stream = NULL;
}
