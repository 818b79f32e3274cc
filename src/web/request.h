/* SPDX-License-Identifier: PostgreSQL
 * The life of a request: its route, its token looked up while libmicrohttpd holds it suspended, the
 * verdict's answer, and the stream that it becomes. Knows nothing of accepting. */
#ifndef PGHERALD_WEB_REQUEST_H
#define PGHERALD_WEB_REQUEST_H

#include <microhttpd.h>
#include <stddef.h>

struct worker;

/* What libmicrohttpd calls for each request, with the worker as `arg`: when the head has been read
 * (twice without a body), again when a suspended one was resumed, for each piece of a body that is
 * wanted, and at its end.
 */
enum MHD_Result request_handle(void *arg, struct MHD_Connection *c, const char *url,
			       const char *method, const char *version, const char *upload,
			       size_t *upload_size, void **req);
/* ... and when it has been answered, or its client has gone. */
void request_completed(void *arg, struct MHD_Connection *c, void **req,
		       enum MHD_RequestTerminationCode why);
/* Resumes those whose look-up is away, as unavailable: libmicrohttpd stops only then. */
void request_give_up_all(struct worker *w);

#endif
