/* SPDX-License-Identifier: PostgreSQL
 * See handover.h. tests/unit/test_mhd.c proves that it can be done so. */
#include "config.h"
#include "web/handover.h"

#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>

#include "conf.h"
#include "web/answer.h"
#include "web/stream.h"
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

enum MHD_Result handover_start(struct handover *h, struct worker *w, struct MHD_Connection *c,
			       const struct conf *conf, struct stream *s)
{
	struct MHD_Response *r = MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, BLOCK_BYTES,
								   read_hello, h, NULL);
	int send_buffer = (int)conf->send_buffer;
	enum MHD_Result result;

	*h = (struct handover){w, c, s, 0};
	if (!r)
		return MHD_NO; /* the connection ends, and handover_cancel() follows */
	if (send_buffer) /* bounds what a stuck client holds: autotuning would take megabytes */
		setsockopt(descriptor(c), SOL_SOCKET, SO_SNDBUF, &send_buffer, sizeof(send_buffer));
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

void handover_cancel(struct handover *h)
{
	if (h->stream)
		stream_close(h->stream, "client closed before the stream began");
	h->stream = NULL;
}
