/* SPDX-License-Identifier: PostgreSQL
 * See secret.h. How Django makes keys: django.utils.crypto.salted_hmac. */
#include "config.h"
#include "auth/secret.h"

#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>

#include "auth/key_file.h"

#define FILE_MAX   16384 /* bytes */
#define SECRET_LEN 1024	 /* bytes of one */

/* Of AbstractBaseUser.get_session_auth_hash(). */
static const char hash_salt[] = "django.contrib.auth.models.AbstractBaseUser.get_session_auth_hash";

/* SHA-256 of salt and secret, the key of a salted_hmac. */
static bool derive(unsigned char out[SECRET_MAC], const char *salt, const char *secret, size_t len)
{
	EVP_MD_CTX *c = EVP_MD_CTX_new();
	bool ok = c && EVP_DigestInit_ex(c, EVP_sha256(), NULL) == 1 &&
		  EVP_DigestUpdate(c, salt, strlen(salt)) == 1 &&
		  EVP_DigestUpdate(c, secret, len) == 1 && EVP_DigestFinal_ex(c, out, NULL) == 1;

	EVP_MD_CTX_free(c);
	return ok;
}

static bool add(struct secrets *s, const char *salt, const char *secret, size_t len)
{
	struct secret *k = &s->items[s->n];
	autofree char *signer = xasprintf("%ssigner", salt);
	unsigned char key[SECRET_MAC];
	bool ok = derive(k->signing, signer, secret, len) && derive(key, hash_salt, secret, len);

	for (size_t i = 0; ok && i < SECRET_PAD; i++) {
		unsigned char byte = i < sizeof(key) ? key[i] : 0;

		k->inner[i] = byte ^ 0x36;
		k->outer[i] = byte ^ 0x5c;
	}
	explicit_bzero(key, sizeof(key));
	s->n += ok;
	return ok;
}

/* A secret may hold any byte but the end of a line, a # and spaces included: no comments here. */
struct secrets *secrets_parse(const char *text, size_t len, const char *salt, struct buf *error)
{
	struct secrets *s = xcalloc(1, sizeof(*s));
	const char *why = NULL;

	while (len && !why) {
		const char *end = memchr(text, '\n', len);
		size_t n = end ? (size_t)(end - text) : len, whole = n + (end != NULL);

		if (n && text[n - 1] == '\r')
			n--;
		if (n > SECRET_LEN)
			why = "a line is longer than 1024 bytes";
		else if (n && s->n == SECRETS_MAX)
			why = "more than 8 keys";
		else if (n && !add(s, salt, text, n))
			why = "libcrypto has no SHA-256";
		text += whole;
		len -= whole;
	}
	if (!why && !s->n)
		why = "no key in it";
	if (!why)
		return s;
	buf_str(error, why);
	secrets_free(s);
	return NULL;
}

struct secrets *secrets_load(const char *path, const char *salt, struct buf *error)
{
	struct secrets *s = NULL;
	const char *open = NULL;
	char text[FILE_MAX];
	autobuf unfit = {0};
	size_t len;

	if (!key_file_read(path, text, sizeof(text), &len, &open, error)) {
		explicit_bzero(text, sizeof(text));
		return NULL;
	}
	buf_init(&unfit, 100);
	if (!open)
		s = secrets_parse(text, len, salt, &unfit);
	explicit_bzero(text, sizeof(text));
	if (!s)
		buf_printf(error, "%s: %s", path, open ? open : buf_cstr(&unfit));
	return s;
}

void secrets_free(struct secrets *s)
{
	if (!s)
		return;
	explicit_bzero(s, sizeof(*s));
	free(s);
}
