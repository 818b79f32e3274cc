/* SPDX-License-Identifier: PostgreSQL
 * Base64url without padding (RFC 4648 section 5, RFC 7515 section 2). */
#ifndef PGHERALD_AUTH_BASE64URL_H
#define PGHERALD_AUTH_BASE64URL_H

#include <stdbool.h>
#include <stddef.h>

#include "base/mem.h"

/* Bytes that so many digits stand for, at most; and digits of so many bytes. */
#define BASE64URL_BYTES(len)  ((len) / 4 * 3 + 2)
#define BASE64URL_DIGITS(len) (((len)*4 + 2) / 3)

/* Into `out`, which has room for BASE64URL_BYTES(len). False for other characters, for a length
 * that cannot be, and for bits behind the last byte that are not 0: each text has one spelling. */
bool base64url_decode(unsigned char *out, size_t *ret_n, const char *text, size_t len) MUST_CHECK;
/* Into `out`, which has room for BASE64URL_DIGITS(len) and a NUL. */
void base64url_encode(char *out, const unsigned char *bytes, size_t len);

#endif
