/* SPDX-License-Identifier: PostgreSQL
 * See jwk.h. Nothing in here is ever logged. */
#include "config.h"
#include "auth/jwk.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>

#include "auth/jwk_key.h"
#include "auth/key_file.h"

enum { KID_MAX = 512 };

static void free_key(struct jwk *k)
{
	EVP_PKEY_free(k->pkey);
	if (k->secret)
		OPENSSL_cleanse(k->secret, k->secret_len);
	free(k->secret);
	free(k->kid);
	*k = (struct jwk){0};
}

void jwks_free(struct jwks *s)
{
	if (!s)
		return;
	for (size_t i = 0; i < s->n; i++)
		free_key(&s->keys[i]);
	free(s->keys);
	free(s);
}

/* --- members of a JWK ---------------------------------------------------------------------- */

/* Whether "use" and "key_ops", where they stand, allow to verify (RFC 7517 sections 4.2 and 4.3).
 */
static bool is_for_signatures(struct scan jwk)
{
	struct scan ops, op;
	autobuf text = {0};
	bool verify = false;

	buf_init(&text, JWK_MEMBER_MAX);
	if (scan_member(jwk, "use", &ops) &&
	    !(jwk_text(jwk, "use", &text) && !strcmp(text.data, "sig")))
		return false;
	if (!scan_member(jwk, "key_ops", &ops))
		return true;
	while (scan_next(&ops, &op)) {
		buf_clear(&text);
		verify = verify || (scan_string(op, &text) && !strcmp(buf_cstr(&text), "verify"));
	}
	return verify;
}

/* --- a set --------------------------------------------------------------------------------- */

enum take { TAKE_OK, TAKE_SKIP, TAKE_BROKEN };

/* What "alg" says; SKIP for one that is not known here. NULL in *ret when there is none. */
static enum take alg_of(struct scan jwk, const struct jwa **ret)
{
	struct scan any;
	autobuf text = {0};

	*ret = NULL;
	buf_init(&text, JWK_MEMBER_MAX);
	if (!scan_member(jwk, "alg", &any))
		return TAKE_OK;
	if (!jwk_text(jwk, "alg", &text))
		return TAKE_BROKEN;
	*ret = jwa_find(text.data);
	return *ret ? TAKE_OK : TAKE_SKIP;
}

static enum take take_rsa(struct jwk *k, struct scan jwk, const char *rsa)
{
	if (!k->alg)
		k->alg = jwa_find(rsa ? rsa : "RS256");
	if (!k->alg || (k->alg->family != JWA_RSA && k->alg->family != JWA_PSS))
		return TAKE_BROKEN;
	k->pkey = jwk_rsa(jwk);
	return k->pkey ? TAKE_OK : TAKE_BROKEN;
}

/* EC and OKP: the curve says which algorithm. */
static enum take take_curve(struct jwk *k, struct scan jwk, enum jwa_family family)
{
	autobuf crv = {0};
	const struct jwa *alg;

	buf_init(&crv, JWK_MEMBER_MAX);
	if (!jwk_text(jwk, "crv", &crv))
		return TAKE_BROKEN;
	alg = jwa_of_curve(crv.data);
	if (!alg || alg->family != family)
		return TAKE_SKIP;
	if (k->alg && k->alg != alg)
		return TAKE_BROKEN;
	k->alg = alg;
	k->pkey = family == JWA_EC ? jwk_ec(jwk, alg) : jwk_ed(jwk, alg);
	return k->pkey ? TAKE_OK : TAKE_BROKEN;
}

static enum take take_secret(struct jwk *k, struct scan jwk)
{
	if (!k->alg)
		k->alg = jwa_find("HS256");
	if (k->alg->family != JWA_HMAC)
		return TAKE_BROKEN;
	k->secret = jwk_bytes(jwk, "k", &k->secret_len);
	return k->secret ? TAKE_OK : TAKE_BROKEN;
}

static enum take take_key(struct jwk *k, struct scan jwk, const char *rsa)
{
	autobuf text = {0};
	enum take t = alg_of(jwk, &k->alg);

	buf_init(&text, JWK_MEMBER_MAX);
	if (t != TAKE_OK)
		return t;
	if (!jwk_text(jwk, "kty", &text))
		return TAKE_BROKEN;
	if (!is_for_signatures(jwk))
		return TAKE_SKIP;
	if (!strcmp(text.data, "RSA"))
		return take_rsa(k, jwk, rsa);
	if (!strcmp(text.data, "EC"))
		return take_curve(k, jwk, JWA_EC);
	if (!strcmp(text.data, "OKP"))
		return take_curve(k, jwk, JWA_ED);
	if (!strcmp(text.data, "oct"))
		return take_secret(k, jwk);
	return TAKE_SKIP;
}

static struct jwk *add_key(struct jwks *s)
{
	s->keys = xrealloc(s->keys, s->n + 1, sizeof(*s->keys));
	s->keys[s->n] = (struct jwk){0};
	return &s->keys[s->n++];
}

static bool take_one(struct jwks *s, struct scan jwk, const char *rsa, struct buf *error)
{
	struct jwk *k = add_key(s);
	autobuf kid = {0};
	struct scan any;

	buf_init(&kid, KID_MAX);
	if (scan_member(jwk, "kid", &any) && jwk_text(jwk, "kid", &kid) && buf_ok(&kid))
		k->kid = xstrdup(kid.data);
	switch (take_key(k, jwk, rsa)) {
	case TAKE_OK:
		return jwk_is_strong(k, error);
	case TAKE_SKIP:
		free(k->kid);
		s->n--;
		return true;
	default:
		buf_printf(error, "key %zu of the set is broken", s->n);
		return false;
	}
}

/* Secrets have no place in a set of public keys, and a name is one key's. */
static bool is_unambiguous(const struct jwks *s, struct buf *error)
{
	for (size_t i = 0; i < s->n; i++)
		for (size_t k = 0; k < i; k++) {
			const struct jwk *a = &s->keys[i], *b = &s->keys[k];

			if (!a->secret != !b->secret) {
				buf_str(error, "a set has secrets or public keys, not both");
				return false;
			}
			if (a->kid && b->kid && !strcmp(a->kid, b->kid)) {
				buf_printf(error, "keys %zu and %zu have the same kid", k + 1,
					   i + 1);
				return false;
			}
		}
	return true;
}

static bool take_all(struct jwks *s, struct scan set, const char *rsa, struct buf *error)
{
	struct scan keys, key;
	size_t n = 0;

	if (!scan_member(set, "keys", &keys))
		return take_one(s, set, rsa, error);
	while (scan_next(&keys, &key)) {
		if (++n > JWKS_MAX_KEYS) {
			buf_printf(error, "more than %d keys in a set", JWKS_MAX_KEYS);
			return false;
		}
		if (!take_one(s, key, rsa, error))
			return false;
	}
	return is_unambiguous(s, error);
}

static struct jwks *give(struct jwks *s, bool ok, struct buf *error)
{
	if (ok && s->n)
		return s;
	if (ok)
		buf_str(error, "there is no key in it that could verify a signature");
	jwks_free(s);
	return NULL;
}

struct jwks *jwks_parse(const char *text, size_t len, const char *rsa, struct buf *error)
{
	struct jwks *s = xcalloc(1, sizeof(*s));
	struct scan set;
	bool ok = len <= JWKS_MAX && scan_text(text, len, &set);

	if (!ok)
		buf_printf(error, "no JSON of at most %d bytes", JWKS_MAX);
	return give(s, ok && take_all(s, set, rsa, error), error);
}

/* --- what an issuer publishes ---------------------------------------------------------------- */

/* One that anybody can read is no secret: whoever asks for it could sign with it. False when it is
 * none, or broken, or weak; one for something else than signatures is neither. */
static bool take_public(struct jwks *s, struct scan jwk, const char *rsa)
{
	size_t before = s->n;
	autobuf why = {.max = 200};

	if (take_one(s, jwk, rsa, &why) && (s->n == before || !s->keys[before].secret))
		return true;
	free_key(&s->keys[before]);
	s->n = before;
	return false;
}

struct jwks *jwks_parse_public(const char *text, size_t len, const char *rsa, struct buf *error)
{
	struct jwks *s = xcalloc(1, sizeof(*s));
	struct scan set, keys, key;
	size_t n = 0;
	bool whole = true;

	if (len > JWKS_MAX || !scan_text(text, len, &set) || !scan_member(set, "keys", &keys) ||
	    *keys.at != '[') {
		buf_printf(error, "no JWK set of at most %d bytes", JWKS_MAX);
		return give(s, false, error);
	}
	while (scan_next(&keys, &key)) {
		if (++n > JWKS_MAX_KEYS) {
			buf_printf(error, "more than %d keys in a set", JWKS_MAX_KEYS);
			return give(s, false, error);
		}
		whole &= take_public(s, key, rsa);
	}
	return whole ? s : give(s, true, error);
}

static bool same_key(const struct jwk *a, const struct jwk *b)
{
	if (a->alg != b->alg || !a->kid != !b->kid || (a->kid && strcmp(a->kid, b->kid) != 0))
		return false;
	if (a->secret || b->secret)
		return a->secret && b->secret && a->secret_len == b->secret_len &&
		       !CRYPTO_memcmp(a->secret, b->secret, a->secret_len);
	return EVP_PKEY_eq(a->pkey, b->pkey) == 1;
}

bool jwks_covers(const struct jwks *s, const struct jwks *old)
{
	for (size_t i = 0; i < old->n; i++) {
		size_t k = 0;

		while (k < s->n && !same_key(&s->keys[k], &old->keys[i]))
			k++;
		if (k == s->n)
			return false;
	}
	return true;
}

/* --- PEM and secrets ----------------------------------------------------------------------- */

struct jwks *jwks_from_pem(const char *text, size_t len, const char *alg, struct buf *error)
{
	struct jwks *s = xcalloc(1, sizeof(*s));
	struct jwk *k = add_key(s);
	bool ok = false;

	k->pkey = len <= JWKS_MAX ? jwk_read_pem(text, len) : NULL;
	k->alg = !k->pkey ? NULL : alg ? jwa_find(alg) : jwa_fitting(k->pkey);
	if (!k->pkey)
		buf_str(error, "no public key and no certificate in PEM");
	else if (!jwk_fits(k->pkey, k->alg))
		buf_printf(error, "the key is not one for %s", alg ? alg : "a known algorithm");
	else
		ok = jwk_is_strong(k, error);
	return give(s, ok, error);
}

struct jwks *jwks_from_secret(const char *secret, size_t len, const char *alg, struct buf *error)
{
	struct jwks *s = xcalloc(1, sizeof(*s));
	struct jwk *k = add_key(s);
	bool ok = false;

	k->alg = jwa_find(alg);
	k->secret = xcalloc(1, len + 1);
	memcpy(k->secret, secret, len);
	k->secret_len = len;
	if (!k->alg || k->alg->family != JWA_HMAC)
		buf_printf(error, "%s is not an algorithm for a secret", alg);
	else
		ok = jwk_is_strong(k, error);
	return give(s, ok, error);
}

/* --- files --------------------------------------------------------------------------------- */

static struct jwks *from_text(const char *text, size_t len, const char *alg, struct buf *error)
{
	size_t blank = 0, line = 0;

	while (blank < len && strchr(" \t\r\n", text[blank]) && text[blank])
		blank++;
	if (blank < len && text[blank] == '{')
		return jwks_parse(text, len, alg, error);
	if (len - blank > 10 && !memcmp(text + blank, "-----BEGIN", 10))
		return jwks_from_pem(text, len, alg, error);
	while (line < len && text[line] != '\n' && text[line] != '\r')
		line++;
	return jwks_from_secret(text, line, alg ? alg : "HS256", error);
}

struct jwks *jwks_load(const char *path, const char *alg, struct buf *error)
{
	struct jwks *s = NULL;
	const char *open = NULL;
	char text[JWKS_MAX];
	autobuf unfit = {0};
	size_t len;

	if (!key_file_read(path, text, sizeof(text), &len, &open, error)) {
		explicit_bzero(text, sizeof(text));
		return NULL;
	}
	buf_init(&unfit, 1000);
	s = from_text(text, len, alg, &unfit);
	explicit_bzero(text, sizeof(text));
	if (s && s->keys[0].secret && open) {
		jwks_free(s);
		s = NULL;
		buf_str(&unfit, open);
	}
	if (!s)
		buf_printf(error, "%s: %s", path, buf_cstr(&unfit));
	return s;
}
