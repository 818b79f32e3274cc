/* SPDX-License-Identifier: PostgreSQL
 * JSON Web Tokens as they come in a request: JWS in compact form (RFC 7515), claims of RFC 7519,
 * and the advice of RFC 8725. Pure; the clock is a parameter. */
#ifndef PGHERALD_AUTH_JWT_H
#define PGHERALD_AUTH_JWT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "auth/jwk.h"
#include "wire/scan.h"

#define JWT_MAX 8192 /* bytes of a token: those in use have 200 to 3,000 */

enum jwt_verdict {
	JWT_OK,
	JWT_MALFORMED, /* no JWS in compact form, or with parts that must be understood and are not
			*/
	JWT_ALGORITHM, /* no key of ours is for what the header says */
	JWT_KEY,       /* the header names a key that is not there: it may be a new one */
	JWT_SIGNATURE,
	JWT_EXPIRED,
	JWT_EARLY, /* before its nbf */
	JWT_ISSUER,
	JWT_AUDIENCE,
};

/* What must hold besides the signature. */
struct jwt_rule {
	const char *issuer;   /* "iss" must be this; NULL: whatever */
	const char *audience; /* must be "aud" or in it; NULL: whatever */
	uint64_t leeway_s;    /* for clocks that differ */
	bool endless;	      /* a token without "exp" is taken */
};

/* A token that was verified. */
struct jwt {
	char *payload;	    /* owned; `claims` points into it */
	struct scan claims; /* the object */
	int64_t exp;	    /* seconds since 1970, without the leeway; 0 = never */
};

/* What one of these keys has signed, whatever that is: with JWT_OK a text of `*ret_len` bytes and a
 * NUL, which the caller frees. */
enum jwt_verdict jws_open(const struct jwks *keys, const char *token, size_t len,
			  char **ret_payload, size_t *ret_len) MUST_CHECK;
/* The same, and it is claims that hold. `out` is set with JWT_OK only; jwt_clear() releases. */
enum jwt_verdict jwt_verify(const struct jwks *keys, const struct jwt_rule *rule, const char *token,
			    size_t len, int64_t now_s, struct jwt *out) MUST_CHECK;
void jwt_clear(struct jwt *t);
/* The value at a path of members: realm_access.roles, or with quotes for names that have dots,
 * "https://hasura.io/jwt/claims".x-hasura-role. */
bool jwt_claim(const struct jwt *t, const char *path, struct scan *ret) MUST_CHECK;
/* A claim as text: what a string says, an integer as it stands. False for anything else. */
bool jwt_claim_text(const struct jwt *t, const char *path, struct buf *out) MUST_CHECK;
/* Whether a text can be a JWT at all: three parts of base64url, at most JWT_MAX bytes. */
bool jwt_plausible(const char *token) MUST_CHECK;
/* What it says its issuer is, before anything is verified: which key to look for, no more. */
bool jwt_says_issuer(const char *token, const char *issuer) MUST_CHECK;
/* In a word, for the log. */
const char *jwt_verdict_name(enum jwt_verdict v);

#endif
