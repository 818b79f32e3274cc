/* SPDX-License-Identifier: PostgreSQL
 * The numbers of a daemon as OpenMetrics 1.0 has them, for Prometheus and its like. Labels have
 * values of this program's only, so that no client can make more series. */
#ifndef PGHERALD_WEB_METRICS_H
#define PGHERALD_WEB_METRICS_H

#include <microhttpd.h>

struct worker;

enum MHD_Result metrics_answer(struct worker *w, struct MHD_Connection *c);

#endif
