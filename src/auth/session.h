/* SPDX-License-Identifier: PostgreSQL
 * What stands in a row of django_session: JSON, signed by Django since 3.1 with
 * django.core.signing. Pure; knows no database and no clock. */
#ifndef PGHERALD_AUTH_SESSION_H
#define PGHERALD_AUTH_SESSION_H

#include <stdbool.h>
#include <stddef.h>

#include "auth/secret.h"

#define SESSION_DATA_MAX  65536 /* bytes of session_data; the same number is in the SQL */
#define SESSION_JSON_MAX  65536 /* bytes of the JSON in it, once it is inflated */
#define SESSION_NAME_SIZE 73	/* "session:", 64 hexadecimal digits, NUL */

enum session_verdict {
	SESSION_OK,
	SESSION_FOREIGN,   /* no key of ours has signed it */
	SESSION_BROKEN,	   /* signed, and yet not what Django writes */
	SESSION_ANONYMOUS, /* nobody is logged in */
};

/* Who is logged in. Each belongs to whoever has it; see session_clear(). */
struct session {
	char *user_id;
	char *auth_hash; /* _auth_user_hash: ties the session to the user's password */
};

/* Verifies `data` and reads it. `out` is set with SESSION_OK only. */
enum session_verdict session_read(const struct secrets *s, const char *data, size_t len,
				  struct session *out) MUST_CHECK;
void session_clear(struct session *s);
/* Whether the session's hash is this one, in a time that does not depend on where they differ. */
bool session_hash_is(const struct session *s, const char *hash) MUST_CHECK;
/* What a session is called where its key must not be seen: "session:" and the key's SHA-256. The
 * triggers in sql/auth_session.sql name it the same way. False when libcrypto fails. */
bool session_name(char out[SESSION_NAME_SIZE], const char *key) MUST_CHECK;

#endif
