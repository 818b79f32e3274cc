/* SPDX-License-Identifier: PostgreSQL
 * See visit.h: what each finding means. */
#include "config.h"
#include "doctor/visit.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "base/shown.h"

enum { SAID_MAX = 4096 };

static const struct {
	const char *id, *severity, *means;
} findings[] = {
	{"conf-refused", "danger", "Neither the daemon nor this can begin with it."},
	{"conf-readable", "warning",
	 "There is a password in it, and more system users than the daemon can read it."},
	{"login-refused", "danger",
	 "The daemon cannot connect to the database as it is configured: nobody gets a stream."},
	{"login-other", "danger",
	 "The installation gives its rights to the role that login names. Another one has them "
	 "not, "
	 "or has more than a daemon needs that listens to strangers."},
	{"login-standby", "danger",
	 "A standby has no triggers that fire and tells nobody of a change: the daemon goes to a "
	 "primary or nowhere."},
	{"login-plain", "warning",
	 "Rows and look-ups of tokens cross the network unencrypted, and nothing says that the "
	 "server is "
	 "the right one."},
	{"pooler", "notice",
	 "A connection pooler stands between the daemon and the server. It must give the daemon's "
	 "sessions connections of their own (pool_mode = session)."},
	{"pooler-transaction", "warning",
	 "Notifications do not come through, as behind a pooler in transaction mode: an event "
	 "waits "
	 "for the poll, a second by default."},
	{"clock", "warning",
	 "Times in events are the database's; a page that compares them with its own is wrong by "
	 "as "
	 "much, and log lines of the two cannot be put together."},
	{"files", "warning",
	 "Each stream takes a descriptor; when none is left, new clients are turned away with "
	 "503."},
	{"backlog", "notice",
	 "Clients that come at once, as after a restart, wait in the kernel's queue of "
	 "connections; "
	 "beyond it they are dropped and try again after a second or more."},
	{"port-taken", "danger", "Another program answers there: the daemon cannot listen."},
	{"daemon-away", "danger", "No daemon answers: it does not run, or listens elsewhere."},
	{"daemon-unready", "danger", "The daemon runs and cannot serve streams."},
	{"edge-unreachable", "danger", "Users cannot reach this address."},
	{"edge-redirect", "warning",
	 "An EventSource follows a redirect, but a request with a token in a header loses it on "
	 "the way "
	 "to another host."},
	{"edge-missing", "danger",
	 "What answers here knows no such path: the proxy passes it elsewhere, or changes it."},
	{"edge-refused", "danger",
	 "The token is not taken: it is not valid, or the proxy does not pass the Authorization "
	 "header or the cookie."},
	{"edge-role", "danger", "The user's role may not use this route."},
	{"edge-answer", "danger", "This is not what the daemon answers to an open stream."},
	{"edge-type", "danger",
	 "An EventSource ends for good when the type is not text/event-stream (WHATWG HTML, "
	 "section "
	 "9.2.3)."},
	{"edge-buffered", "danger",
	 "The head came and the greeting did not: something on the way collects the answer before "
	 "it "
	 "passes it on. Events come late, or all at once."},
	{"edge-compressed", "warning",
	 "What compresses a stream holds events back until a block is full."},
	{"edge-http1", "warning",
	 "Over HTTP/1.1 a browser opens at most six connections to a host, over all tabs: the "
	 "seventh "
	 "tab hangs."},
	{"edge-idle", "danger",
	 "Something on the way closes quiet streams before the keep-alive comes: clients come back "
	 "again "
	 "and again."},
	{"edge-silent", "danger",
	 "The keep-alive did not come through in its time: something on the way holds small "
	 "answers "
	 "back."},
	{"edge-position", "danger",
	 "The position of a client that comes back is lost on the way: what it missed stays "
	 "missed."},
	{"edge-cors", "danger",
	 "Pages of this origin, which the configuration lists, cannot open a stream here."},
	{"edge-outage", "danger",
	 "While the daemon is away, what answers here ends an EventSource for good: it never comes "
	 "back "
	 "until the page is loaded anew."},
	{"edge-outage-untried", "notice",
	 "What this address answers while the daemon is away can only be seen then: stop the "
	 "daemon "
	 "and run this once more."},
};

void visit_say(const struct visit *v, const char *fmt, ...)
{
	autobuf line = {0};
	va_list ap;

	if (v->report.json)
		return;
	buf_init(&line, SAID_MAX);
	va_start(ap, fmt);
	buf_vprintf(&line, fmt, ap);
	va_end(ap);
	shown_print(stdout, buf_cstr(&line), line.len);
	putchar('\n');
	fflush(stdout);
}

void visit_find(struct visit *v, const char *id, const char *object, const char *message,
		const char *fix)
{
	size_t i = 0;

	while (strcmp(findings[i].id, id) != 0)
		assert(++i < sizeof(findings) / sizeof(*findings));
	report_add(&v->report, &(struct finding){.id = id,
						 .severity = findings[i].severity,
						 .object = object,
						 .message = message,
						 .means = findings[i].means,
						 .fix = fix});
}

void visit_blind(struct visit *v, const char *id, const char *why)
{
	report_blind(&v->report, id, why);
}
