/* SPDX-License-Identifier: PostgreSQL
 * "Whose token is this?" for all workers, over one connection: questions that come while one is
 * being answered are asked together next, as one statement with an array. Sessions take two: what
 * is in them, and who that is. */
#ifndef PGHERALD_PG_AUTH_H
#define PGHERALD_PG_AUTH_H

#include "auth/session.h"
#include "base/complaint.h"
#include "base/list.h"
#include "base/loop.h"
#include "conf.h"
#include "hub/post.h"
#include "pg/auth_keys.h"
#include "pg/conn.h"

struct auth {
	struct conn conn;
	struct auth_keys keys; /* by auth_keys_start(), before the rest */
	struct conf *conf;     /* a reference */
	struct list waiting;   /* struct post_lookup, in the order of asking */
	size_t n_waiting;
	struct list asked;	   /* those in the statement under way, all of one [auth] section */
	size_t n_asked, max_asked; /* how many those are, and may be: fewer after a bad one */
	uint64_t n_bad;		   /* tokens refused because what belongs to them is unreadable */
	char *turn; /* name of the [auth] section that was asked last; NULL before the first */
	bool busy;
	bool asked_channels; /* the statement under way has them as well */
	bool open;	     /* questions may go out: what they lead to needs the journal as well */
	struct session *sessions; /* of those asked, in their order, while their users are away */
	size_t n_sessions;
	uint64_t complain_at_ms;   /* not before, about credentials that cannot be read */
	uint64_t locked_at_ms;	   /* not before, about a table that is locked */
	struct complaint failures; /* of whole look-ups */
	/* The connection is there; what is sent now goes before all questions. */
	void (*connected)(void *arg);
	void *arg;
};

void auth_start(struct auth *a, struct loop *loop, struct conf *conf, void (*connected)(void *arg),
		void *arg);
/* `conf` replaces the one before. */
void auth_reload(struct auth *a, struct conf *conf);
/* What waits is answered LOOKUP_UNAVAILABLE. */
void auth_stop(struct auth *a);
/* Says whether the journal is read up to now; until then questions wait. */
void auth_open(struct auth *a, bool open);
/* Takes the letter; it goes back to its reply_to with a verdict. While the database is away it
 * waits: who asked sets the limit. */
void auth_ask(struct auth *a, struct post_lookup *l);

/* Between the files of auth: */

/* The time left until `expires`, in milliseconds; NULL for never, which is also spelled infinity.
 */
#define AUTH_EXPIRES_SQL                                                                           \
	"CASE WHEN pg_catalog.isfinite(expires) THEN GREATEST(1, pg_catalog.ceil(1000 *"           \
	" extract(epoch FROM expires - pg_catalog.clock_timestamp())))::bigint END"

/* Asks for what is in the sessions of those asked; the rest follows. */
void auth_ask_sessions(struct auth *a, const struct conf_auth *section, const char *tokens);
/* Verifies what those asked have, JWTs or API keys; who is good and must be in a table is asked
 * about. */
void auth_ask_verified(struct auth *a, const struct conf_auth *section);
enum auth_verified {
	VERIFIED,	/* *ret is who it is, as far as the credential says */
	VERIFIED_NOT,	/* it is not good */
	VERIFIED_LATER, /* the keys are on their way */
	VERIFIED_AWAY,	/* they cannot be had */
};
enum auth_verified auth_verify_jwt(struct auth *a, const struct conf_auth *section,
				   const char *token, struct principal **ret) MUST_CHECK;
/* Takes the tickets of those asked; who has one is looked up by what it stands for. */
void auth_take_tickets(struct auth *a);
/* Keeps tickets, whose names are the elements of an array. */
void auth_keep_tickets(struct auth *a, const char *hashes);
/* The next statement, when there is something to ask. */
void auth_ask_next(struct auth *a);
/* Whether this is an answer with so many columns; otherwise those asked have been told, or wait
 * again. */
bool auth_answered(struct auth *a, const PGresult *r, int n_columns) MUST_CHECK;
/* Whether `row` is the answer to the question of this place, from 1; column 0 says which it is. */
bool auth_row_is(const PGresult *r, int row, uint64_t place) MUST_CHECK;
/* Whether two rows are the same, but for column `ends`; -1: without exception. */
bool auth_rows_agree(const PGresult *r, int x, int y, int ends) MUST_CHECK;
/* The row that answers the question of this place, from 1: `*row` is where its rows may begin, and
 * is moved behind them. False without one, or when a table has what is asked about more than once,
 * and the rows do not say the same; but for column `ends`, of which the first one counts. */
bool auth_take_row(struct auth *a, const PGresult *r, int *row, uint64_t place, int ends,
		   int *ret) MUST_CHECK;
/* Sends a letter of those asked home. */
void auth_reply(struct post_lookup *l, enum lookup_verdict verdict);
/* One more element of a text array without its braces. */
void auth_put_element(struct buf *b, const char *s);
/* The time of an AUTH_EXPIRES_SQL; 0 for none. */
uint64_t auth_expires_ms(const PGresult *r, int row, int column);
/* "pgherald."PREFIX_NAME, quoted. */
void auth_put_function(struct auth *a, struct buf *b, const char *prefix, const char *name);

#endif
