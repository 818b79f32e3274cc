/* SPDX-License-Identifier: PostgreSQL
 * Django's SECRET_KEY and its predecessors, out of a file, as the keys that are made of them: the
 * secrets themselves are not kept. Nothing in here is ever logged. */
#ifndef PGHERALD_AUTH_SECRET_H
#define PGHERALD_AUTH_SECRET_H

#include <stddef.h>

#include "base/buf.h"
#include "base/mem.h"

#define SECRETS_MAX 8  /* SECRET_KEY and SECRET_KEY_FALLBACKS */
#define SECRET_MAC  32 /* bytes of SHA-256 */
#define SECRET_PAD  64 /* bytes of its block */

/* What one SECRET_KEY becomes. */
struct secret {
	unsigned char signing[SECRET_MAC]; /* key of the signature under a session's data */
	/* The key of a user's _auth_user_hash as HMAC uses it (RFC 2104 section 2): whoever has
	 * these two and SHA-256 needs no key. */
	unsigned char inner[SECRET_PAD], outer[SECRET_PAD];
};

struct secrets {
	struct secret items[SECRETS_MAX];
	size_t n; /* at least one */
};

/* Reads a file with one secret a line, the current one first. NULL with what is wrong in `error`,
 * which includes a file that everybody may read. The caller frees. */
struct secrets *secrets_load(const char *path, const char *salt, struct buf *error) MUST_CHECK;
/* The same from text. `salt` is that of the session store's signatures. */
struct secrets *secrets_parse(const char *text, size_t len, const char *salt,
			      struct buf *error) MUST_CHECK;
void secrets_free(struct secrets *s);

#endif
