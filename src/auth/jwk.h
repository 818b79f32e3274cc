/* SPDX-License-Identifier: PostgreSQL
 * Keys that verify a JWT: a JWK set (RFC 7517), a PEM file, a shared secret. Which algorithm a key
 * is for belongs to the key, and no token can say otherwise. */
#ifndef PGHERALD_AUTH_JWK_H
#define PGHERALD_AUTH_JWK_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include "base/mem.h"

#define JWKS_MAX      65536 /* bytes of a set's text */
#define JWKS_MAX_KEYS 32

enum jwa_family { JWA_HMAC, JWA_RSA, JWA_PSS, JWA_EC, JWA_ED };

/* One row of RFC 7518 section 3.1, or of RFC 8037. */
struct jwa {
	const char *name;
	enum jwa_family family;
	const char *digest; /* OpenSSL's name; NULL for EdDSA */
	const char *crv;    /* the curve as a JWK names it, and as OpenSSL does */
	const char *group;
	size_t size; /* bytes: of the digest, of a coordinate, of an Ed25519 key */
};

/* The algorithm of that name, or NULL: "none" is no algorithm here. */
const struct jwa *jwa_find(const char *name) MUST_CHECK;

struct evp_pkey_st;

struct jwk {
	char *kid; /* NULL without */
	const struct jwa *alg;
	struct evp_pkey_st *pkey;
	unsigned char *secret; /* of JWA_HMAC */
	size_t secret_len;
};

struct jwks {
	struct jwk *keys;
	size_t n; /* at least one, but in what an issuer says of itself */
};

/* {"keys": [...]} or a single key. Keys that are not for signatures, or of a kind that is not
 * known, are passed over (RFC 7517 section 5); one that is broken, or too weak, refuses the set. An
 * RSA key without "alg" is for `rsa` ("RS256" if NULL). NULL with `error`; jwks_free() releases. */
struct jwks *jwks_parse(const char *text, size_t len, const char *rsa,
			struct buf *error) MUST_CHECK;
/* A set as an issuer publishes it, which nobody here has looked through: what is broken, weak or a
 * secret is passed over, key by key (RFC 7517 section 5). NULL when nothing is left of it; of a
 * set that has no key for signatures, as nothing is good any more, there are 0 keys. */
struct jwks *jwks_parse_public(const char *text, size_t len, const char *rsa,
			       struct buf *error) MUST_CHECK;
/* Whether whatever `old` verifies `s` verifies too. */
bool jwks_covers(const struct jwks *s, const struct jwks *old) MUST_CHECK;
/* A public key, or the one of a certificate, as PEM; `alg` as in a token, or NULL for the one that
 * fits the key. */
struct jwks *jwks_from_pem(const char *text, size_t len, const char *alg,
			   struct buf *error) MUST_CHECK;
/* A secret that issuer and daemon share, of at least the digest's length (RFC 7518 section 3.2). */
struct jwks *jwks_from_secret(const char *secret, size_t len, const char *alg,
			      struct buf *error) MUST_CHECK;
/* Any of these from a file: PEM, JSON, or else a secret, which ends with the first line; `alg` may
 * be NULL, which is HS256 for a secret. A file with a secret is refused when others may read it. */
struct jwks *jwks_load(const char *path, const char *alg, struct buf *error) MUST_CHECK;
void jwks_free(struct jwks *s);

#endif
