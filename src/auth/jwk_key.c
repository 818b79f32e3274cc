/* SPDX-License-Identifier: PostgreSQL
 * See jwk_key.h. Nothing in here is ever logged. */
#include "config.h"
#include "auth/jwk_key.h"

#include <openssl/bio.h>
#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/param_build.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <stdlib.h>
#include <string.h>

#include "auth/base64url.h"

enum {
	RSA_MIN_BITS = 2048, /* RFC 7518 section 3.3 */
	RSA_MAX_BITS = 16384,
};

static const struct jwa algorithms[] = {
	{"HS256", JWA_HMAC, "SHA256", NULL, NULL, 32},
	{"HS384", JWA_HMAC, "SHA384", NULL, NULL, 48},
	{"HS512", JWA_HMAC, "SHA512", NULL, NULL, 64},
	{"RS256", JWA_RSA, "SHA256", NULL, NULL, 32},
	{"RS384", JWA_RSA, "SHA384", NULL, NULL, 48},
	{"RS512", JWA_RSA, "SHA512", NULL, NULL, 64},
	{"PS256", JWA_PSS, "SHA256", NULL, NULL, 32},
	{"PS384", JWA_PSS, "SHA384", NULL, NULL, 48},
	{"PS512", JWA_PSS, "SHA512", NULL, NULL, 64},
	{"ES256", JWA_EC, "SHA256", "P-256", "prime256v1", 32},
	{"ES384", JWA_EC, "SHA384", "P-384", "secp384r1", 48},
	{"ES512", JWA_EC, "SHA512", "P-521", "secp521r1", 66},
	{"EdDSA", JWA_ED, NULL, "Ed25519", "ED25519", 32},
};
enum { N_ALGORITHMS = sizeof(algorithms) / sizeof(*algorithms) };

const struct jwa *jwa_find(const char *name)
{
	for (size_t i = 0; i < N_ALGORITHMS; i++)
		if (!strcmp(algorithms[i].name, name))
			return &algorithms[i];
	return NULL;
}

const struct jwa *jwa_of_curve(const char *crv)
{
	for (size_t i = 0; i < N_ALGORITHMS; i++)
		if (algorithms[i].crv && !strcmp(algorithms[i].crv, crv))
			return &algorithms[i];
	return NULL;
}

static const struct jwa *jwa_of_group(const char *group)
{
	for (size_t i = 0; i < N_ALGORITHMS; i++)
		if (algorithms[i].group && !strcmp(algorithms[i].group, group))
			return &algorithms[i];
	return NULL;
}

/* A string member's text; false when it is not there or is none. */
bool jwk_text(struct scan jwk, const char *name, struct buf *out)
{
	struct scan value;

	buf_clear(out);
	return scan_member(jwk, name, &value) && scan_string(value, out) && out->len;
}

/* The bytes of a base64url member, which the caller frees; NULL when it is none. */
unsigned char *jwk_bytes(struct scan jwk, const char *name, size_t *ret_n)
{
	autobuf text = {0};
	unsigned char *bytes;

	buf_init(&text, JWK_MEMBER_MAX);
	if (!jwk_text(jwk, name, &text))
		return NULL;
	bytes = xcalloc(1, BASE64URL_BYTES(text.len));
	if (base64url_decode(bytes, ret_n, text.data, text.len) && *ret_n)
		return bytes;
	free(bytes);
	return NULL;
}

/* --- keys ---------------------------------------------------------------------------------- */

static EVP_PKEY *from_params(const char *type, OSSL_PARAM_BLD *build)
{
	OSSL_PARAM *params = build ? OSSL_PARAM_BLD_to_param(build) : NULL;
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, type, NULL), *check = NULL;
	EVP_PKEY *key = NULL;

	if (!params || !ctx || EVP_PKEY_fromdata_init(ctx) <= 0 ||
	    EVP_PKEY_fromdata(ctx, &key, EVP_PKEY_PUBLIC_KEY, params) <= 0)
		key = NULL;
	check = key ? EVP_PKEY_CTX_new_from_pkey(NULL, key, NULL) : NULL;
	if (key && (!check || EVP_PKEY_public_check(check) <= 0)) { /* a point off its curve */
		EVP_PKEY_free(key);
		key = NULL;
	}
	EVP_PKEY_CTX_free(check);
	EVP_PKEY_CTX_free(ctx);
	OSSL_PARAM_free(params);
	ERR_clear_error();
	return key;
}

EVP_PKEY *jwk_rsa(struct scan jwk)
{
	size_t n_len = 0, e_len = 0;
	autofree unsigned char *n = jwk_bytes(jwk, "n", &n_len);
	autofree unsigned char *e = jwk_bytes(jwk, "e", &e_len);
	OSSL_PARAM_BLD *build = OSSL_PARAM_BLD_new();
	BIGNUM *bn_n = n ? BN_bin2bn(n, (int)n_len, NULL) : NULL;
	BIGNUM *bn_e = e && e_len <= 8 ? BN_bin2bn(e, (int)e_len, NULL) : NULL;
	EVP_PKEY *key = NULL;

	if (build && bn_n && bn_e && BN_is_odd(bn_e) && !BN_is_one(bn_e) &&
	    OSSL_PARAM_BLD_push_BN(build, OSSL_PKEY_PARAM_RSA_N, bn_n) &&
	    OSSL_PARAM_BLD_push_BN(build, OSSL_PKEY_PARAM_RSA_E, bn_e))
		key = from_params("RSA", build);
	BN_free(bn_n);
	BN_free(bn_e);
	OSSL_PARAM_BLD_free(build);
	return key;
}

EVP_PKEY *jwk_ec(struct scan jwk, const struct jwa *alg)
{
	size_t x_len = 0, y_len = 0;
	autofree unsigned char *x = jwk_bytes(jwk, "x", &x_len);
	autofree unsigned char *y = jwk_bytes(jwk, "y", &y_len);
	unsigned char point[1 + 2 * 66];
	OSSL_PARAM_BLD *build;
	EVP_PKEY *key = NULL;

	if (!x || !y || x_len != alg->size || y_len != alg->size)
		return NULL;
	point[0] = 4; /* uncompressed: SEC 1, section 2.3.3 */
	memcpy(point + 1, x, alg->size);
	memcpy(point + 1 + alg->size, y, alg->size);
	build = OSSL_PARAM_BLD_new();
	if (build &&
	    OSSL_PARAM_BLD_push_utf8_string(build, OSSL_PKEY_PARAM_GROUP_NAME, alg->group, 0) &&
	    OSSL_PARAM_BLD_push_octet_string(build, OSSL_PKEY_PARAM_PUB_KEY, point,
					     1 + 2 * alg->size))
		key = from_params("EC", build);
	OSSL_PARAM_BLD_free(build);
	return key;
}

EVP_PKEY *jwk_ed(struct scan jwk, const struct jwa *alg)
{
	size_t len = 0;
	autofree unsigned char *x = jwk_bytes(jwk, "x", &len);

	return x && len == alg->size ? EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, NULL, x, len)
				     : NULL;
}

/* Whether a modulus has the form of those that one maker of chips made, whose factors can be found
 * (CVE-2017-15361): its remainder by each small prime is then a power of 65537. */
static bool is_roca(const EVP_PKEY *key)
{
	static const unsigned char primes[] = {11, 13, 17,  19,	 37,  53,  61,	71, 73,
					       79, 97, 103, 107, 109, 127, 151, 157};
	BIGNUM *n = NULL;
	bool all = EVP_PKEY_get_bn_param(key, OSSL_PKEY_PARAM_RSA_N, &n) == 1;

	for (size_t i = 0; all && i < sizeof(primes); i++) {
		BN_ULONG p = primes[i], rest = BN_mod_word(n, p), power = 1;
		unsigned steps = 0;

		while (power != rest && ++steps < p)
			power = power * 65537 % p;
		all = power == rest;
	}
	BN_free(n);
	return all;
}

/* What stands in documentation, long enough, and is copied from there. */
static bool is_sample(const struct jwk *k)
{
	static const char *const samples[] = {
		"your-super-secret-jwt-token-with-at-least-32-characters-long",
		"a-string-secret-at-least-256-bits-long",
		"a-string-secret-at-least-512-bits-long-which-is-safe-and-secure-and-good",
		"your-websocket-secret-key-change-in-production",
		"your-secret-key-change-this-in-production",
	};

	for (size_t i = 0; i < sizeof(samples) / sizeof(*samples); i++)
		if (k->secret_len == strlen(samples[i]) &&
		    !memcmp(k->secret, samples[i], k->secret_len))
			return true;
	return false;
}

bool jwk_is_strong(const struct jwk *k, struct buf *error)
{
	int bits = k->pkey ? EVP_PKEY_get_bits(k->pkey) : 0;

	if (k->alg->family == JWA_HMAC && k->secret_len < k->alg->size) {
		buf_printf(error, "a secret for %s must have %zu bytes at least", k->alg->name,
			   k->alg->size);
		return false;
	}
	if (k->alg->family == JWA_HMAC && is_sample(k)) {
		buf_str(error, "this secret stands in somebody's documentation: make one of your "
			       "own (openssl rand -base64 48)");
		return false;
	}
	if ((k->alg->family == JWA_RSA || k->alg->family == JWA_PSS) &&
	    (bits < RSA_MIN_BITS || bits > RSA_MAX_BITS)) {
		buf_printf(error, "an RSA key must have %d to %d bits, not %d", RSA_MIN_BITS,
			   RSA_MAX_BITS, bits);
		return false;
	}
	if (k->pkey && EVP_PKEY_is_a(k->pkey, "RSA") && is_roca(k->pkey)) {
		buf_str(error, "an RSA key can be factored (CVE-2017-15361)");
		return false;
	}
	return true;
}

/* --- PEM ------ */

EVP_PKEY *jwk_read_pem(const char *text, size_t len)
{
	BIO *bio = BIO_new_mem_buf(text, (int)len);
	EVP_PKEY *key = bio ? PEM_read_bio_PUBKEY(bio, NULL, NULL, NULL) : NULL;
	X509 *cert = NULL;

	if (bio && !key && BIO_reset(bio) == 1)
		cert = PEM_read_bio_X509(bio, NULL, NULL, NULL);
	if (cert)
		key = X509_get_pubkey(cert);
	X509_free(cert);
	BIO_free(bio);
	ERR_clear_error();
	return key;
}

/* The algorithm that fits a key, where only one does or one is usual. */
const struct jwa *jwa_fitting(EVP_PKEY *key)
{
	char group[64] = "";
	size_t len = 0;

	if (EVP_PKEY_is_a(key, "RSA"))
		return jwa_find("RS256");
	if (EVP_PKEY_is_a(key, "ED25519"))
		return jwa_find("EdDSA");
	if (EVP_PKEY_is_a(key, "EC") && EVP_PKEY_get_group_name(key, group, sizeof(group), &len))
		return jwa_of_group(group);
	return NULL;
}

bool jwk_fits(EVP_PKEY *key, const struct jwa *alg)
{
	const struct jwa *own = jwa_fitting(key);

	if (!own || !alg)
		return false;
	return own == alg ||
	       (EVP_PKEY_is_a(key, "RSA") && (alg->family == JWA_RSA || alg->family == JWA_PSS));
}
