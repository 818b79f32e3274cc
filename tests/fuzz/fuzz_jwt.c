/* SPDX-License-Identifier: PostgreSQL
 * auth/jwt and auth/jwk: whatever it is, it is no token of ours and no set that could verify one;
 * and what is signed is read or refused, and its claims found or not, without a byte too far. */
#include "config.h"

#include <assert.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdlib.h>
#include <string.h>

#include "auth/base64url.h"
#include "auth/jwt.h"
#include "target.h"

#define SECRET "the secret of the fuzz target, long enough for SHA-256"

static struct jwks *keys;

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	autobuf error = {0};

	(void)argc;
	(void)argv;
	buf_init(&error, 1000);
	keys = jwks_from_secret(SECRET, strlen(SECRET), "HS256", &error);
	assert(keys);
	return 0;
}

/* Any bytes as the payload under a good signature. */
static char *sign(const uint8_t *data, size_t size, size_t *ret_len)
{
	static const char head[] = "eyJhbGciOiJIUzI1NiJ9.";
	char *token = xcalloc(1, sizeof(head) + BASE64URL_DIGITS(size) + 1 + 43 + 1);
	unsigned char mac[32];
	unsigned n = 0;
	size_t len = sizeof(head) - 1;

	memcpy(token, head, len);
	base64url_encode(token + len, data, size);
	len += strlen(token + len);
	assert(HMAC(EVP_sha256(), SECRET, (int)strlen(SECRET), (unsigned char *)token, len, mac,
		    &n));
	token[len++] = '.';
	base64url_encode(token + len, mac, n);
	*ret_len = len + 43;
	return token;
}

static void read_claims(const struct jwt *t)
{
	static const char *const paths[] = {"sub", "a.b", "\"a.b\".c", "roles", "", "x.", "\"x"};
	autobuf text = {0};

	buf_init(&text, 255);
	for (size_t i = 0; i < sizeof(paths) / sizeof(*paths); i++) {
		struct scan list, one;

		buf_clear(&text);
		if (jwt_claim_text(t, paths[i], &text))
			assert(text.len <= 255);
		if (jwt_claim(t, paths[i], &list))
			while (scan_next(&list, &one))
				assert(one.len);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct jwt_rule rule = {.issuer = "i", .audience = "a"};
	const struct jwt_rule loose = {.endless = true, .leeway_s = 1};
	autofree char *text = xstrndup((const char *)data, size);
	autofree char *token = NULL;
	struct jwt t = {0};
	autobuf error = {0};
	size_t len;

	if (size > JWT_MAX)
		return 0;
	assert(jwt_verify(keys, &loose, (const char *)data, size, 1, &t) != JWT_OK);
	(void)!jwt_plausible(text);
	(void)!jwt_says_issuer(text, "i");
	buf_init(&error, 1000);
	jwks_free(jwks_parse((const char *)data, size, NULL, &error));
	token = sign(data, size, &len);
	(void)!jwt_verify(keys, &rule, token, len, 1, &t);
	jwt_clear(&t);
	if (jwt_verify(keys, &loose, token, len, 1, &t) == JWT_OK)
		read_claims(&t);
	jwt_clear(&t);
	return 0;
}
