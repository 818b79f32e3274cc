/* SPDX-License-Identifier: PostgreSQL
 * The stops of `pgherald doctor`, from the tables to the browser. Each adds its findings and says
 * in a line what it has looked at. Nothing is changed anywhere. */
#ifndef PGHERALD_DOCTOR_VISIT_H
#define PGHERALD_DOCTOR_VISIT_H

#include <stdbool.h>

#include "conf.h"
#include "dba/report.h"

struct visit {
	struct report report;
	const struct conf *conf;
	const char *conf_path;
	const char *dsn;   /* for what `sql check` asks; NULL: the daemon's own connection */
	const char *url;   /* that users open, or NULL */
	const char *token; /* a user's, or NULL */
	/* systemd's, that listens for the daemon of this configuration when it is active; or NULL
	 */
	const char *socket_unit;
	bool quick;  /* do not wait for a keep-alive */
	bool daemon; /* one answers where it should listen: set by visit_machine() */
};

/* Says what is looked at; not in JSON. */
void visit_say(const struct visit *v, const char *fmt, ...) PRINTF(2, 3);
/* A finding of this file's table, with words of its own. `fix` may be NULL. */
void visit_find(struct visit *v, const char *id, const char *object, const char *message,
		const char *fix);
/* Something that could not be looked at. */
void visit_blind(struct visit *v, const char *id, const char *why);

/* Who can read the file, and what it holds. */
void visit_conf(struct visit *v);
/* The daemon's connection: as the role and the system user that it uses. Then `sql check`. */
void visit_database(struct visit *v);
/* Files, ports, the daemon itself. */
void visit_machine(struct visit *v);
/* A request through the address that users use. */
void visit_edge(struct visit *v);

#endif
