/* SPDX-License-Identifier: PostgreSQL
 * Finding the token, or the cookie, in a request, before anything is asked about it. */
#ifndef PGHERALD_AUTH_CREDENTIAL_H
#define PGHERALD_AUTH_CREDENTIAL_H

#include <stdbool.h>
#include <stddef.h>

#include "base/mem.h"

#define TOKEN_MAX 512 /* bytes; a DRF token has 40, a Knox token 64 to 74 */

enum credential_scheme { SCHEME_TOKEN, SCHEME_BEARER, SCHEME_API_KEY };

/* The token of an Authorization header, "Token …", "Bearer …" or "Api-Key …" (the scheme in any
 * case, RFC 9110 section 11.1), which may be empty; NULL for anything else. Points into `header`.
 */
const char *credential_from_header(const char *header,
				   enum credential_scheme *ret_scheme) MUST_CHECK;
/* The token of a Sec-WebSocket-Protocol header, in which a page offers "bearer.TOKEN" beside the
 * protocol it means, as it can set no other header; and its length, which may be 0. NULL when it
 * is not there. Points into `header`. */
const char *credential_from_protocol(const char *header, size_t *ret_len) MUST_CHECK;
/* The value of that cookie in a Cookie header (RFC 6265 section 4.2.1) and its length in bytes,
 * double quotes around it taken off; NULL when it is not there. Of several the last one, as Django
 * does. Points into `header`. */
const char *credential_from_cookie(const char *header, const char *name,
				   size_t *ret_len) MUST_CHECK;
/* Whether it can be a token at all: 1 to `max` visible ASCII bytes. */
bool credential_plausible(const char *token, size_t max) MUST_CHECK;

#endif
