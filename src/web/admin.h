/* SPDX-License-Identifier: PostgreSQL
 * What operators ask: who is connected, is it alive, is it ready. */
#ifndef PGHERALD_WEB_ADMIN_H
#define PGHERALD_WEB_ADMIN_H

#include <microhttpd.h>

struct worker;

/* {"total_users": n, "total_connections": n, "users": {"<user id>": n, …}} */
enum MHD_Result admin_stats(struct worker *w, struct MHD_Connection *c);
/* 200 while the process serves. */
enum MHD_Result admin_healthz(struct worker *w, struct MHD_Connection *c);
/* 200 when streams can start: the database is there and read up to now; else 503. */
enum MHD_Result admin_readyz(struct worker *w, struct MHD_Connection *c);

#endif
