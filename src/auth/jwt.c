/* SPDX-License-Identifier: PostgreSQL
 * See jwt.h. */
#include "config.h"
#include "auth/jwt.h"

#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/rsa.h>
#include <stdlib.h>
#include <string.h>

#include "auth/base64url.h"
#include "base/num.h"

enum { TEXT_MAX = 1024, SIGNATURE_MAX = 2048 };

const char *jwt_verdict_name(enum jwt_verdict v)
{
	static const char *const names[] = {
		[JWT_OK] = "valid",
		[JWT_MALFORMED] = "no JWT",
		[JWT_ALGORITHM] = "of another algorithm",
		[JWT_KEY] = "of an unknown key",
		[JWT_SIGNATURE] = "wrongly signed",
		[JWT_EXPIRED] = "expired",
		[JWT_EARLY] = "not valid yet",
		[JWT_ISSUER] = "of another issuer",
		[JWT_AUDIENCE] = "for another audience",
	};

	return names[v];
}

/* The three parts of a token. */
struct parts {
	const char *head, *payload, *signature;
	size_t head_len, payload_len, signature_len;
	size_t signed_len; /* of what is signed: from the start to the second dot */
};

static bool split(const char *token, size_t len, struct parts *p)
{
	const char *first = memchr(token, '.', len);
	const char *second =
		first ? memchr(first + 1, '.', len - (size_t)(first + 1 - token)) : NULL;

	if (!second || memchr(second + 1, '.', len - (size_t)(second + 1 - token)))
		return false;
	*p = (struct parts){
		.head = token,
		.head_len = (size_t)(first - token),
		.payload = first + 1,
		.payload_len = (size_t)(second - first) - 1,
		.signature = second + 1,
		.signature_len = len - (size_t)(second + 1 - token),
		.signed_len = (size_t)(second - token),
	};
	return p->head_len > 0;
}

bool jwt_plausible(const char *token)
{
	static const char digits[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.";
	size_t len = strnlen(token, JWT_MAX + 1);
	struct parts p;

	return len <= JWT_MAX && strspn(token, digits) == len && split(token, len, &p);
}

/* What a part stands for, with a NUL behind it; the caller frees. NULL when it is no base64url. */
static char *decode(const char *text, size_t len, size_t *ret_len)
{
	char *bytes = xcalloc(1, BASE64URL_BYTES(len) + 1);

	if (base64url_decode((unsigned char *)bytes, ret_len, text, len))
		return bytes;
	free(bytes);
	return NULL;
}

static bool is_object(const char *json, size_t len, struct scan *ret)
{
	return scan_text(json, len, ret) && ret->len && *ret->at == '{';
}

static bool text_of(struct scan object, const char *name, struct buf *out)
{
	struct scan value;

	buf_clear(out);
	return scan_member(object, name, &value) && scan_string(value, out) && buf_ok(out);
}

/* --- signatures ---------------------------------------------------------------------------- */

static bool verify_hmac(const struct jwk *k, const unsigned char *text, size_t len,
			const unsigned char *sig, size_t sig_len)
{
	const EVP_MD *md = EVP_get_digestbyname(k->alg->digest);
	unsigned char mac[EVP_MAX_MD_SIZE];
	unsigned mac_len = 0;

	return md && HMAC(md, k->secret, (int)k->secret_len, text, len, mac, &mac_len) &&
	       mac_len == k->alg->size && sig_len == mac_len && !CRYPTO_memcmp(mac, sig, sig_len);
}

/* A JWS has the two numbers one after the other (RFC 7518 section 3.4), OpenSSL wants DER. */
static unsigned char *ecdsa_der(const struct jwk *k, const unsigned char *sig, size_t sig_len,
				size_t *ret_len)
{
	ECDSA_SIG *s = ECDSA_SIG_new();
	BIGNUM *r = NULL, *t = NULL;
	unsigned char *der = NULL;
	int len = 0;

	if (s && sig_len == 2 * k->alg->size) {
		r = BN_bin2bn(sig, (int)k->alg->size, NULL);
		t = BN_bin2bn(sig + k->alg->size, (int)k->alg->size, NULL);
	}
	if (r && t && ECDSA_SIG_set0(s, r, t)) {
		r = t = NULL; /* are s's now */
		len = i2d_ECDSA_SIG(s, &der);
	}
	BN_free(r);
	BN_free(t);
	ECDSA_SIG_free(s);
	if (len <= 0)
		return NULL;
	*ret_len = (size_t)len;
	return der;
}

static bool set_padding(EVP_PKEY_CTX *ctx, const struct jwk *k)
{
	if (k->alg->family == JWA_RSA)
		return EVP_PKEY_CTX_set_rsa_padding(ctx, RSA_PKCS1_PADDING) > 0;
	if (k->alg->family == JWA_PSS) /* salt as long as the digest: RFC 7518 section 3.5 */
		return EVP_PKEY_CTX_set_rsa_padding(ctx, RSA_PKCS1_PSS_PADDING) > 0 &&
		       EVP_PKEY_CTX_set_rsa_pss_saltlen(ctx, RSA_PSS_SALTLEN_DIGEST) > 0;
	return true;
}

static bool verify_pkey(const struct jwk *k, const unsigned char *text, size_t len,
			const unsigned char *sig, size_t sig_len)
{
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	EVP_PKEY_CTX *pctx = NULL;
	unsigned char *der = NULL;
	bool ok;

	if (k->alg->family == JWA_EC)
		sig = der = ecdsa_der(k, sig, sig_len, &sig_len);
	ok = sig && ctx &&
	     EVP_DigestVerifyInit_ex(ctx, &pctx, k->alg->digest, NULL, NULL, k->pkey, NULL) == 1 &&
	     set_padding(pctx, k) && EVP_DigestVerify(ctx, sig, sig_len, text, len) == 1;
	OPENSSL_free(der);
	EVP_MD_CTX_free(ctx);
	ERR_clear_error();
	return ok;
}

static bool verify(const struct jwk *k, const char *token, const struct parts *p)
{
	unsigned char sig[BASE64URL_BYTES(SIGNATURE_MAX)];
	const unsigned char *text = (const unsigned char *)token;
	size_t n;

	if (p->signature_len > SIGNATURE_MAX ||
	    !base64url_decode(sig, &n, p->signature, p->signature_len))
		return false;
	return k->alg->family == JWA_HMAC ? verify_hmac(k, text, p->signed_len, sig, n)
					  : verify_pkey(k, text, p->signed_len, sig, n);
}

/* Which of our keys it is, by name and algorithm, and whether one of them has signed it. */
static enum jwt_verdict find_key(const struct jwks *keys, struct scan head, const char *token,
				 const struct parts *p)
{
	autobuf alg = {0}, kid = {0};
	struct scan any;
	const struct jwa *wanted;
	bool named, known = false, fitting = false;

	buf_init(&alg, TEXT_MAX);
	buf_init(&kid, TEXT_MAX);
	/* What must be understood is not understood here (RFC 7515 section 4.1.11). */
	if (!text_of(head, "alg", &alg) || scan_member(head, "crit", &any))
		return JWT_MALFORMED;
	named = scan_member(head, "kid", &any);
	if (named && !text_of(head, "kid", &kid))
		return JWT_MALFORMED;
	wanted = jwa_find(buf_cstr(&alg));
	for (size_t i = 0; i < keys->n; i++) {
		const struct jwk *k = &keys->keys[i];

		if (named && k->kid && strcmp(k->kid, buf_cstr(&kid)) != 0)
			continue;
		known = true;
		if (k->alg != wanted)
			continue;
		fitting = true;
		if (verify(k, token, p))
			return JWT_OK;
	}
	return !known ? JWT_KEY : !fitting ? JWT_ALGORITHM : JWT_SIGNATURE;
}

/* --- claims -------------------------------------------------------------------------------- */

/* A NumericDate (RFC 7519 section 2): seconds since 1970; a fraction is cut off. False for what is
 * none, or of before 1970, or after the year 9999. */
static bool date_of(struct scan value, int64_t *ret)
{
	size_t len = 0;
	uint64_t n;

	while (len < value.len && value.at[len] >= '0' && value.at[len] <= '9')
		len++;
	if (!len || !num_u64(value.at, len, &n) || n > 253402300799)
		return false;
	if (len < value.len && value.at[len] == '.')
		for (len++; len < value.len && value.at[len] >= '0' && value.at[len] <= '9';)
			len++;
	if (len < value.len) /* 1e9, or 1.5e9, and the like: nobody writes it */
		return false;
	*ret = (int64_t)n;
	return true;
}

static bool same_text(struct scan value, const char *want)
{
	autobuf text = {0};

	buf_init(&text, TEXT_MAX);
	return scan_string(value, &text) && buf_ok(&text) && !strcmp(buf_cstr(&text), want);
}

static bool is_for(struct scan claims, const char *audience)
{
	struct scan aud, one;

	if (!scan_member(claims, "aud", &aud))
		return false;
	if (same_text(aud, audience))
		return true;
	while (scan_next(&aud, &one))
		if (same_text(one, audience))
			return true;
	return false;
}

static enum jwt_verdict check_claims(struct scan claims, const struct jwt_rule *rule, int64_t now,
				     int64_t *ret_exp)
{
	int64_t leeway = (int64_t)rule->leeway_s, date;
	struct scan value;

	*ret_exp = 0;
	if (scan_member(claims, "exp", &value)) {
		if (!date_of(value, ret_exp))
			return JWT_MALFORMED;
		if (*ret_exp <= now - leeway)
			return JWT_EXPIRED;
	} else if (!rule->endless) {
		return JWT_EXPIRED;
	}
	if (scan_member(claims, "nbf", &value)) {
		if (!date_of(value, &date))
			return JWT_MALFORMED;
		if (date > now + leeway)
			return JWT_EARLY;
	}
	if (rule->issuer && !(scan_member(claims, "iss", &value) && same_text(value, rule->issuer)))
		return JWT_ISSUER;
	if (rule->audience && !is_for(claims, rule->audience))
		return JWT_AUDIENCE;
	return JWT_OK;
}

enum jwt_verdict jws_open(const struct jwks *keys, const char *token, size_t len,
			  char **ret_payload, size_t *ret_len)
{
	struct parts p;
	struct scan head;
	size_t n;
	autofree char *text = NULL;
	enum jwt_verdict v = JWT_MALFORMED;

	if (len <= JWT_MAX && split(token, len, &p))
		text = decode(p.head, p.head_len, &n);
	if (text && is_object(text, n, &head))
		v = find_key(keys, head, token, &p);
	if (v != JWT_OK)
		return v;
	*ret_payload = decode(p.payload, p.payload_len, ret_len);
	return *ret_payload ? JWT_OK : JWT_MALFORMED;
}

enum jwt_verdict jwt_verify(const struct jwks *keys, const struct jwt_rule *rule, const char *token,
			    size_t len, int64_t now_s, struct jwt *out)
{
	struct jwt t = {0};
	size_t n;
	enum jwt_verdict v = jws_open(keys, token, len, &t.payload, &n);

	if (v != JWT_OK)
		return v;
	v = is_object(t.payload, n, &t.claims) ? check_claims(t.claims, rule, now_s, &t.exp)
					       : JWT_MALFORMED;
	if (v == JWT_OK)
		*out = t;
	else
		jwt_clear(&t);
	return v;
}

bool jwt_says_issuer(const char *token, const char *issuer)
{
	struct parts p;
	struct scan claims, value;
	size_t n;
	autofree char *text = NULL;

	if (split(token, strnlen(token, JWT_MAX), &p))
		text = decode(p.payload, p.payload_len, &n);
	return text && is_object(text, n, &claims) && scan_member(claims, "iss", &value) &&
	       same_text(value, issuer);
}

void jwt_clear(struct jwt *t)
{
	free(t->payload);
	*t = (struct jwt){0};
}

/* One name of a path; steps over it and the dot behind it. */
static bool next_name(const char **path, struct buf *out)
{
	const char *p = *path, *end;

	buf_clear(out);
	if (*p == '"') {
		end = strchr(++p, '"');
		if (!end)
			return false;
		buf_add(out, p, (size_t)(end - p));
		p = end + 1;
	} else {
		size_t len = strcspn(p, ".\"");

		buf_add(out, p, len);
		p += len;
	}
	if (!out->len || (*p && *p != '.') || (*p == '.' && !p[1]))
		return false;
	*path = p + (*p == '.');
	return buf_ok(out);
}

bool jwt_claim(const struct jwt *t, const char *path, struct scan *ret)
{
	struct scan at = t->claims;
	autobuf name = {0};

	buf_init(&name, TEXT_MAX);
	if (!*path)
		return false;
	while (*path)
		if (!next_name(&path, &name) || !scan_member(at, name.data, &at))
			return false;
	*ret = at;
	return true;
}

bool jwt_claim_text(const struct jwt *t, const char *path, struct buf *out)
{
	struct scan value;

	if (!jwt_claim(t, path, &value))
		return false;
	if (scan_is_integer(value)) {
		buf_add(out, value.at, value.len);
		return buf_ok(out);
	}
	return scan_string(value, out) && buf_ok(out);
}
