/* SPDX-License-Identifier: PostgreSQL
 * See handshake.h. */
#include "config.h"
#include "auth/handshake.h"

#include <openssl/evp.h>
#include <string.h>

#define KEY_LEN	   24 /* characters: of 16 bytes */
#define SHA1_BYTES 20

/* The 22 characters of 16 bytes: two more would be padding, which stands behind them as "==". */
static bool is_key(const char *s)
{
	static const char digits[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

	return strlen(s) == KEY_LEN && strspn(s, digits) == KEY_LEN - 2 &&
	       !strcmp(s + KEY_LEN - 2, "==");
}

bool handshake_accept(const char *key, char out[HANDSHAKE_ACCEPT_MAX])
{
	static const char guid[] = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
	unsigned char digest[SHA1_BYTES];
	char text[KEY_LEN + sizeof(guid)];

	if (!is_key(key))
		return false;
	memcpy(text, key, KEY_LEN);
	memcpy(text + KEY_LEN, guid, sizeof(guid));
	if (EVP_Digest(text, strlen(text), digest, NULL, EVP_sha1(), NULL) != 1)
		return false;
	EVP_EncodeBlock((unsigned char *)out, digest, sizeof(digest));
	return true;
}
