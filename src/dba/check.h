/* SPDX-License-Identifier: PostgreSQL
 * `pgherald sql check`: compares a database with what the configuration would install. */
#ifndef PGHERALD_DBA_CHECK_H
#define PGHERALD_DBA_CHECK_H

#include <libpq-fe.h>
#include <stdbool.h>

#include "conf.h"
#include "dba/report.h"

/* One question to the catalog; the table of them is made of sql/check/ by sql/embed_checks.awk. */
struct check {
	const char *id;
	const char *severity; /* danger, warning, notice */
	bool stop;	      /* after a finding the later checks make no sense */
	const char *means;
	const char *query; /* of what check_want says; rows of object, message, fix */
};

/* A WITH of what is wanted, which is $1, as json. */
extern const char check_want[];

extern const struct check checks[];
extern const unsigned n_checks;

/* Asks all of them over a connection. False when what is wanted cannot be worked out, which has
 * been said on stderr. */
bool check_look(struct report *r, PGconn *db, const struct conf *conf) MUST_CHECK;
/* Findings on stdout. 0 clean, 1 a warning or a danger was found, 2 could not look. */
int check_run(const struct conf *conf, const char *conninfo, bool apply, bool json);

#endif
