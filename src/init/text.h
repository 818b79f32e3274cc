/* SPDX-License-Identifier: PostgreSQL
 * The configuration that was guessed, as a commented file. Pure. */
#ifndef PGHERALD_INIT_TEXT_H
#define PGHERALD_INIT_TEXT_H

#include "base/buf.h"
#include "init/catalog.h"
#include "init/django.h"
#include "init/proposal.h"

/* All that goes into the file. */
struct guess {
	const struct catalog *catalog;
	const struct django *django;
	const struct proposals *watches;
	char *const
		*roles; /* names that a user's role can have, NULL-terminated; NULL for is_staff */
	bool groups;	/* these are names of groups, and not values of django->role */
	const char *conninfo; /* the daemon's: without user and password */
	const char *dsn;  /* the administrator's, without a password, for the commands at the end */
	const char *path; /* where the file will stand; NULL for where everybody looks for it */
	unsigned port;	  /* where the daemon will listen, for this machine only */
};

/* The NAME of pgherald@NAME that reads the file of this path; NULL when none does. The caller
 * frees. */
char *text_instance(const char *path);
void text_write(struct buf *out, const struct guess *g);
/* What to type once the file is there, a command a line with `before` in front of it. */
void text_commands(struct buf *out, const struct guess *g, const char *before);
/* Whether a role can have this name in the configuration. */
bool text_names_role(const char *name);

#endif
