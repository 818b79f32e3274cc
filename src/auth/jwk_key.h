/* SPDX-License-Identifier: PostgreSQL
 * Between the files of jwk: what a member of a JWK holds, and the keys that are made of them. */
#ifndef PGHERALD_AUTH_JWK_KEY_H
#define PGHERALD_AUTH_JWK_KEY_H

#include <stdbool.h>
#include <stddef.h>

#include "auth/jwk.h"
#include "wire/scan.h"

#define JWK_MEMBER_MAX 4096 /* bytes of a member's text: a modulus of 16,384 bits fits */

/* The algorithm of a curve by its JWK name, and the one that fits a key: RS256 of RSA. NULL for
 * others. */
const struct jwa *jwa_of_curve(const char *crv) MUST_CHECK;
const struct jwa *jwa_fitting(struct evp_pkey_st *key) MUST_CHECK;
/* Whether a key can be used with an algorithm at all. */
bool jwk_fits(struct evp_pkey_st *key, const struct jwa *alg) MUST_CHECK;

/* A string member's text; false when it is not there, is none, or is empty. */
bool jwk_text(struct scan jwk, const char *name, struct buf *out) MUST_CHECK;
/* The bytes of a base64url member, which the caller frees; NULL when it is none. */
unsigned char *jwk_bytes(struct scan jwk, const char *name, size_t *ret_n) MUST_CHECK;

/* The public key of a JWK of that kind; NULL when its members are not those of one. */
struct evp_pkey_st *jwk_rsa(struct scan jwk) MUST_CHECK;
struct evp_pkey_st *jwk_ec(struct scan jwk, const struct jwa *alg) MUST_CHECK;
struct evp_pkey_st *jwk_ed(struct scan jwk, const struct jwa *alg) MUST_CHECK;
/* That of a PEM text with a public key or a certificate. */
struct evp_pkey_st *jwk_read_pem(const char *text, size_t len) MUST_CHECK;
/* Whether it is long enough, and of no kind that is known to be weak. */
bool jwk_is_strong(const struct jwk *k, struct buf *error) MUST_CHECK;

#endif
