/* SPDX-License-Identifier: PostgreSQL
 * Finding the token in a request, before anything is asked about it. */
#ifndef PGHERALD_AUTH_CREDENTIAL_H
#define PGHERALD_AUTH_CREDENTIAL_H

#include <stdbool.h>
#include <stddef.h>

#include "base/mem.h"

#define TOKEN_MAX 512 /* bytes; a DRF token has 40, a Knox token 64 to 74 */

/* The token of an Authorization header, "Token …" or "Bearer …" (the scheme in any case, RFC 9110
 * section 11.1); NULL for anything else. Points into `header`. */
const char *credential_from_header(const char *header) MUST_CHECK;
/* Whether it can be a token at all: 1 to TOKEN_MAX visible ASCII bytes. */
bool credential_plausible(const char *token) MUST_CHECK;

#endif
