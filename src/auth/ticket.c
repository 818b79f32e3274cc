/* SPDX-License-Identifier: PostgreSQL
 * See ticket.h. The SHA-512 of a ticket has its name in the first half, and in the second the key
 * of AES-256-GCM, which seals one message: a constant nonce is not used twice. */
#include "config.h"
#include "auth/ticket.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/rand.h>
#include <stdlib.h>
#include <string.h>

#include "auth/base64url.h"

enum { RANDOM = 32, HALF = 32, TAG = 16, SEALED_MAX = 16384 };

static const char mark[] = "pgt_";
static const unsigned char nonce[12];

bool ticket_make(char out[TICKET_SIZE + 1])
{
	unsigned char bytes[RANDOM];
	bool ok = RAND_bytes(bytes, sizeof(bytes)) == 1;

	memcpy(out, mark, sizeof(mark));
	base64url_encode(out + sizeof(mark) - 1, bytes, sizeof(bytes));
	OPENSSL_cleanse(bytes, sizeof(bytes));
	return ok;
}

bool ticket_plausible(const char *text)
{
	return strlen(text) == TICKET_SIZE && !strncmp(text, mark, sizeof(mark) - 1);
}

static bool halves(const char *ticket, unsigned char out[2 * HALF])
{
	unsigned n = 0;

	return EVP_Digest(ticket, strlen(ticket), out, &n, EVP_sha512(), NULL) == 1 &&
	       n == 2 * HALF;
}

bool ticket_name(const char *ticket, char out[TICKET_NAME + 1])
{
	static const char hex[] = "0123456789abcdef";
	unsigned char bytes[2 * HALF];

	if (!halves(ticket, bytes))
		return false;
	for (size_t i = 0; i < HALF; i++) {
		out[2 * i] = hex[bytes[i] >> 4];
		out[2 * i + 1] = hex[bytes[i] & 15];
	}
	out[TICKET_NAME] = '\0';
	OPENSSL_cleanse(bytes, sizeof(bytes));
	return true;
}

/* `out` has room for `len` bytes and the tag. */
static bool encrypt(const unsigned char *key, const unsigned char *in, int len, unsigned char *out)
{
	EVP_CIPHER_CTX *c = EVP_CIPHER_CTX_new();
	int n = 0, rest = 0;
	bool ok = c && EVP_EncryptInit_ex(c, EVP_aes_256_gcm(), NULL, key, nonce) == 1 &&
		  EVP_EncryptUpdate(c, out, &n, in, len) == 1 &&
		  EVP_EncryptFinal_ex(c, out + n, &rest) == 1 && n + rest == len &&
		  EVP_CIPHER_CTX_ctrl(c, EVP_CTRL_GCM_GET_TAG, TAG, out + len) == 1;

	EVP_CIPHER_CTX_free(c);
	return ok;
}

static bool decrypt(const unsigned char *key, unsigned char *in, int len, unsigned char *out)
{
	EVP_CIPHER_CTX *c = EVP_CIPHER_CTX_new();
	int n = 0, rest = 0;
	bool ok = c && EVP_DecryptInit_ex(c, EVP_aes_256_gcm(), NULL, key, nonce) == 1 &&
		  EVP_DecryptUpdate(c, out, &n, in, len) == 1 &&
		  EVP_CIPHER_CTX_ctrl(c, EVP_CTRL_GCM_SET_TAG, TAG, in + len) == 1 &&
		  EVP_DecryptFinal_ex(c, out + n, &rest) == 1 && n + rest == len;

	EVP_CIPHER_CTX_free(c);
	return ok;
}

bool ticket_seal(const char *ticket, const char *door, const char *token, struct buf *out)
{
	size_t door_len = strlen(door), len = door_len + 1 + strlen(token);
	autofree unsigned char *plain = NULL, *sealed = NULL;
	autofree char *text = NULL;
	unsigned char key[2 * HALF];
	bool ok;

	if (len > SEALED_MAX || !halves(ticket, key))
		return false;
	plain = xcalloc(1, len + 1);
	memcpy(plain, door, door_len);
	memcpy(plain + door_len + 1, token, len - door_len - 1);
	sealed = xcalloc(1, len + TAG);
	ok = encrypt(key + HALF, plain, (int)len, sealed);
	OPENSSL_cleanse(plain, len);
	OPENSSL_cleanse(key, sizeof(key));
	if (!ok)
		return false;
	text = xcalloc(1, BASE64URL_DIGITS(len + TAG) + 1);
	base64url_encode(text, sealed, len + TAG);
	buf_str(out, text);
	return buf_ok(out);
}

bool ticket_open(const char *ticket, const char *sealed, char **ret_door, char **ret_token)
{
	size_t len = strlen(sealed), n = 0;
	autofree unsigned char *bytes = NULL, *plain = NULL;
	unsigned char key[2 * HALF];
	const char *door, *token;
	bool ok;

	if (len > BASE64URL_DIGITS(SEALED_MAX + TAG) || !halves(ticket, key))
		return false;
	bytes = xcalloc(1, BASE64URL_BYTES(len));
	ok = base64url_decode(bytes, &n, sealed, len) && n > TAG;
	if (ok) {
		n -= TAG;
		plain = xcalloc(1, n + 1);
		ok = decrypt(key + HALF, bytes, (int)n, plain);
		door = (const char *)plain;
		token = ok ? memchr(door, '\0', n) : NULL;
		ok = token != NULL;
		if (ok) {
			*ret_door = xstrdup(door);
			*ret_token = xstrdup(token + 1);
		}
		OPENSSL_cleanse(plain, n);
	}
	OPENSSL_cleanse(key, sizeof(key));
	return ok;
}
