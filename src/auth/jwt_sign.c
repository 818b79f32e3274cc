/* SPDX-License-Identifier: PostgreSQL
 * See jwt_sign.h. */
#include "config.h"
#include "auth/jwt_sign.h"

#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <stdlib.h>
#include <string.h>

#include "auth/base64url.h"
#include "auth/jwk_key.h"
#include "wire/json.h"

enum { SIGNATURE_MAX = 2048 };

static void add_base64url(struct buf *out, const void *bytes, size_t len)
{
	autofree char *text = xcalloc(1, BASE64URL_DIGITS(len) + 1);

	base64url_encode(text, bytes, len);
	buf_str(out, text);
}

/* A key that asks for a password is refused instead. */
static int no_password(char *buf, int size, int writing, void *arg)
{
	(void)buf;
	(void)size;
	(void)writing;
	(void)arg;
	return -1;
}

static EVP_PKEY *read_private(const char *text, size_t len)
{
	BIO *bio = BIO_new_mem_buf(text, (int)len);
	EVP_PKEY *key = bio ? PEM_read_bio_PrivateKey(bio, NULL, no_password, NULL) : NULL;

	BIO_free(bio);
	ERR_clear_error();
	return key;
}

/* R and S side by side (RFC 7518 section 3.4). */
static bool flatten(unsigned char *sig, size_t *len, size_t size)
{
	const unsigned char *der = sig;
	ECDSA_SIG *s = d2i_ECDSA_SIG(NULL, &der, (long)*len);
	bool ok = s && BN_bn2binpad(ECDSA_SIG_get0_r(s), sig, (int)size) >= 0 &&
		  BN_bn2binpad(ECDSA_SIG_get0_s(s), sig + size, (int)size) >= 0;

	ECDSA_SIG_free(s);
	*len = 2 * size;
	return ok;
}

static bool set_padding(EVP_PKEY_CTX *ctx, const struct jwa *alg)
{
	return alg->family != JWA_PSS ||
	       (EVP_PKEY_CTX_set_rsa_padding(ctx, RSA_PKCS1_PSS_PADDING) > 0 &&
		EVP_PKEY_CTX_set_rsa_pss_saltlen(ctx, RSA_PSS_SALTLEN_DIGEST) > 0);
}

static bool sign_private(EVP_PKEY *key, const struct jwa *alg, const struct buf *text,
			 unsigned char *sig, size_t *len)
{
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	EVP_PKEY_CTX *pctx = NULL;
	bool ok = ctx &&
		  EVP_DigestSignInit_ex(ctx, &pctx, alg->digest, NULL, NULL, key, NULL) == 1 &&
		  set_padding(pctx, alg) &&
		  EVP_DigestSign(ctx, sig, len, (const unsigned char *)buf_cstr(text), text->len) ==
			  1 &&
		  (alg->family != JWA_EC || flatten(sig, len, alg->size));

	EVP_MD_CTX_free(ctx);
	ERR_clear_error();
	return ok;
}

static bool sign_secret(const char *secret, size_t secret_len, const struct jwa *alg,
			const struct buf *text, unsigned char *sig, size_t *len)
{
	unsigned n = 0;
	bool ok = HMAC(EVP_get_digestbyname(alg->digest), secret, (int)secret_len,
		       (const unsigned char *)buf_cstr(text), text->len, sig, &n) != NULL;

	*len = n;
	return ok;
}

/* Which algorithm; NULL with the reason. `key` NULL for a secret of so many bytes. */
static const struct jwa *choose(EVP_PKEY *key, size_t secret_len, const char *alg,
				struct buf *error)
{
	const struct jwa *a = alg ? jwa_find(alg) : key ? jwa_fitting(key) : jwa_find("HS256");

	if (!a)
		buf_str(error, "there is no such algorithm, or none for this key");
	else if ((a->family == JWA_HMAC) == (key != NULL) || (key && !jwk_fits(key, a)))
		buf_printf(error, "the key is not one for %s", a->name);
	else if (!key && secret_len < a->size)
		buf_printf(error, "a secret for %s must have %zu bytes at least", a->name, a->size);
	else
		return a;
	return NULL;
}

static void add_head(struct buf *out, const struct jwa *alg, const char *kid)
{
	autobuf head = {.max = 4096};

	buf_printf(&head, "{\"alg\":\"%s\",\"typ\":\"JWT\"", alg->name);
	if (kid) {
		buf_str(&head, ",\"kid\":");
		json_string(&head, kid, strlen(kid));
	}
	buf_char(&head, '}');
	add_base64url(out, buf_cstr(&head), head.len);
}

bool jwt_sign(struct buf *out, const char *key, size_t key_len, const char *alg, const char *kid,
	      const struct buf *payload, struct buf *error)
{
	bool pem = key_len > 10 && !memcmp(key, "-----BEGIN", 10);
	const char *end = memchr(key, '\n', key_len);
	size_t len = SIGNATURE_MAX, secret_len = end ? (size_t)(end - key) : key_len;
	EVP_PKEY *private = pem ? read_private(key, key_len) : NULL;
	unsigned char sig[SIGNATURE_MAX];
	const struct jwa *a = NULL;
	autobuf text = {.max = 65536};
	bool ok = false;

	if (secret_len && key[secret_len - 1] == '\r')
		secret_len--;
	if (pem && !private)
		buf_str(error, "no private key in PEM without a password");
	else
		a = choose(private, secret_len, alg, error);
	if (a) {
		add_head(&text, a, kid);
		buf_char(&text, '.');
		add_base64url(&text, buf_cstr(payload), payload->len);
		ok = private ? sign_private(private, a, &text, sig, &len)
			     : sign_secret(key, secret_len, a, &text, sig, &len);
		if (!ok)
			buf_str(error, "libcrypto does not sign with it");
	}
	EVP_PKEY_free(private);
	if (!ok)
		return false;
	buf_printf(out, "%s.", buf_cstr(&text));
	add_base64url(out, sig, len);
	return true;
}
