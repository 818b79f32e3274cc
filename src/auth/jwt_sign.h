/* SPDX-License-Identifier: PostgreSQL
 * Makes JSON Web Tokens, for tests: the daemon itself signs nothing. */
#ifndef PGHERALD_AUTH_JWT_SIGN_H
#define PGHERALD_AUTH_JWT_SIGN_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include "base/mem.h"

/* Appends a token with that payload, signed with a private key in PEM, or with a secret, which is
 * the text's first line. `alg` NULL: what fits the key, HS256 for a secret. `kid` may be NULL.
 * False with the reason in `error`. */
bool jwt_sign(struct buf *out, const char *key, size_t key_len, const char *alg, const char *kid,
	      const struct buf *payload, struct buf *error) MUST_CHECK;

#endif
