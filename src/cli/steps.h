/* SPDX-License-Identifier: PostgreSQL
 * SQL as a list of named steps, each one transaction, and the two things to do with them. */
#ifndef PGHERALD_CLI_STEPS_H
#define PGHERALD_CLI_STEPS_H

#include <libpq-fe.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/mem.h"

struct step {
	char *title; /* "watch estimate (public.api_estimate)" */
	char *sql;
};

struct steps {
	struct step *items;
	size_t n;
};

/* Takes both strings over. */
void steps_add(struct steps *s, char *title, char *sql);
void steps_free(struct steps *s);
/* All the text to stdout. */
bool steps_print(const struct steps *s) MUST_CHECK;
/* Runs them in order over one connection, a line per step on stdout; a step whose locks cannot be
 * had is tried again. False after saying on stderr what failed. */
bool steps_apply(const struct steps *s, const char *conninfo) MUST_CHECK;
/* A connection, which the caller finishes; NULL after saying on stderr why not. */
PGconn *steps_connect(const char *conninfo);

#endif
