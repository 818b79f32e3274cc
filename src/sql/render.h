/* SPDX-License-Identifier: PostgreSQL
 * The SQL that puts pgherald into a database and takes it out again: the templates of sql/, filled
 * in. Pure text; each piece is one transaction that can be run again without harm. */
#ifndef PGHERALD_SQL_RENDER_H
#define PGHERALD_SQL_RENDER_H

#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "sql/watch.h"

struct slot;

enum render_role { RENDER_ROLE_COLUMN, RENDER_ROLE_GROUPS, RENDER_ROLE_STAFF };

/* The token itself, Knox's digest, SHA-256 in hex. */
enum render_hash { RENDER_HASH_NONE, RENDER_HASH_KNOX, RENDER_HASH_SHA256 };

/* What [auth NAME] says, tables as "schema.table"; an empty user_active means always active. */
struct render_auth {
	const char *name, *login;
	const char *token_table, *token_column, *token_user;
	const char *user_table, *user_key, *user_active;
	enum render_role role_from;
	const char *role_column;
	const char *group_table, *membership_table, *membership_user, *membership_group;
	const char *staff_role, *other_role;
	enum render_hash hash;	    /* what token_column has of a token */
	bool sessions;		    /* token_table is Django's django_session */
	bool users;		    /* there is no token_table: the daemon knows who it is */
	const char *user_password;  /* with sessions: the column that ties them to a password */
	const char *token_expires;  /* a column, or empty for tokens without end */
	const char *token_channels; /* another, or empty */
	enum watch_doorbell doorbell;
	const char *const *roles; /* configured roles, the first that is a group of the user wins */
	size_t n_roles;
	const char *const *tables; /* of all sections, as "schema.table" */
	size_t n_tables;
	const char *const *trusted_owners;
	size_t n_trusted_owners;
};

struct render_core {
	const char *login;	/* the daemon's role */
	uint64_t journal_bytes; /* the size at which the triggers stop adding to the journal */
	const struct watch *const *told; /* the watches that use it */
	size_t n_told;
	const char *const *publishers; /* roles that may publish */
	size_t n_publishers;
	enum watch_doorbell doorbell;
};

/* Roles, schema, journal and common functions. */
void render_core(struct buf *out, const struct render_core *core);
/* All watches of the database: whether their tables are one role's decides who reads them. */
struct render_all {
	const struct watch *const *watches;
	size_t n;
};

/* Trigger function and triggers of one table; without `all` there is no other watch. */
void render_watch(struct buf *out, const struct watch *w, const struct render_all *all);
/* pgherald.auth_NAME(); false with `error` when a table's name cannot be read. */
bool render_auth(struct buf *out, const struct render_auth *a, struct buf *error) MUST_CHECK;
/* The table of tickets, and what keeps and takes them. */
void render_ticket(struct buf *out, const char *login);

/* What [route NAME] asks of the application. */
struct render_authorize {
	const char *name, *login;
	const char *function;	   /* "schema.function" */
	const char *const *tables; /* who owns these may own it too, as "schema.table" */
	size_t n_tables;
	const char *const *trusted_owners;
	size_t n_trusted_owners;
};

/* pgherald.authorize_NAME(); false with `error` when a name cannot be read. */
bool render_authorize(struct buf *out, const struct render_authorize *a,
		      struct buf *error) MUST_CHECK;
/* What it calls, as to_regprocedure() reads it. */
bool render_authorize_asked(struct buf *out, const char *function, struct buf *error) MUST_CHECK;
/* One table's triggers and function out again. */
void render_unwatch(struct buf *out, const struct watch *w);
/* Takes the right to use the schema from the daemon: committed before everything else goes. */
void render_silence(struct buf *out, const char *login);
/* Everything else out again. */
void render_uninstall(struct buf *out, const char *login);

/* For the other files of render: comments with version and hash for these functions, a list of
 * literals as 'a', 'b'. */
void render_stamp(struct buf *out, const char *functions);
/* What every piece begins with, in a buffer that is set up here. */
void render_begin(struct buf *out);
/* The condition on which a writer rings the daemon's doorbell. */
const char *render_may_ring(enum watch_doorbell doorbell);
/* The part of it that is worth asking each time: that no daemon is awake. */
const char *render_asleep(enum watch_doorbell doorbell);
/* Text that may stand in a "--" comment. */
void render_comment(struct buf *out, const char *text);
/* GRANTs that let a role of ours read these columns, of tables. Calls with one table add up. */
struct render_grants;
struct render_grants *render_grants_new(const char *role);
void render_grants_add(struct render_grants *g, const char *schema, const char *table,
		       const char *column);
/* Adds what another one has. */
void render_grants_join(struct render_grants *g, const struct render_grants *other);
/* Appends the statements. */
void render_grants_finish(const struct render_grants *g, struct buf *out);
/* Appends the tables, as a list of literals; the columns, as rows ('table', 'column'), of a list
 * that goes on. */
void render_grants_tables(const struct render_grants *g, struct buf *out);
void render_grants_columns(const struct render_grants *g, struct buf *out);
/* Refuses those that triggers are not given. */
void render_grants_stored(const struct render_grants *g, struct buf *out);
void render_grants_free(struct render_grants *g);

/* Ceiling of one rendered piece, bytes: 200 joined fields with names of 63 bytes fit many times. */
#define RENDER_MAX ((size_t)1 << 20)

#endif
