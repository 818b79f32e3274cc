/* SPDX-License-Identifier: PostgreSQL
 * Django's part in the tests of sessions: signs any payload with a key that the program derived. */
#ifndef PGHERALD_TESTS_SIGN_H
#define PGHERALD_TESTS_SIGN_H

#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdlib.h>
#include <string.h>

#include "auth/secret.h"
#include "base/buf.h"

/* base64url without padding, appended. */
static inline void sign_base64(struct buf *out, const void *data, size_t len)
{
	unsigned char *text = xcalloc(1, len / 3 * 4 + 8);
	int n = EVP_EncodeBlock(text, data, (int)len);

	for (int i = 0; i < n && text[i] != '='; i++)
		buf_char(out, text[i] == '+' ? '-' : text[i] == '/' ? '_' : (char)text[i]);
	free(text);
}

/* `text` is "[.]PAYLOAD:TIME" or anything; the caller frees what comes back, the signature
 * appended. */
static inline char *sign_text(const struct secrets *s, const char *text, size_t len)
{
	unsigned char mac[EVP_MAX_MD_SIZE];
	unsigned n = 0;
	struct buf out;

	buf_init(&out, (size_t)1 << 24);
	buf_add(&out, text, len);
	if (!HMAC(EVP_sha256(), s->items[0].signing, SECRET_MAC, (const unsigned char *)text, len,
		  mac, &n))
		abort();
	buf_char(&out, ':');
	sign_base64(&out, mac, n);
	return buf_steal(&out);
}

#endif
