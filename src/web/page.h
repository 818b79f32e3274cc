/* SPDX-License-Identifier: PostgreSQL
 * The test page of a route, for developers: connects, and shows what comes. */
#ifndef PGHERALD_WEB_PAGE_H
#define PGHERALD_WEB_PAGE_H

#include <microhttpd.h>

struct conf;
struct conf_route;

extern const char page_text[]; /* page.html */

/* The page for the route that `page` opens. Under a Content-Security-Policy (W3C CSP3) that lets
 * its own script run, by a nonce, and talk to this host, and nothing else. */
enum MHD_Result page_answer(struct MHD_Connection *c, const struct conf *conf,
			    const struct conf_route *page);

#endif
