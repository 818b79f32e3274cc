/* SPDX-License-Identifier: PostgreSQL
 * See secret.h. How Django makes keys: django.utils.crypto.salted_hmac. */
#include "config.h"
#include "auth/secret.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

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

/* What is wrong with the file itself, NULL for nothing. */
static const char *file_trouble(int fd)
{
	struct stat st;

	if (fd < 0 || fstat(fd, &st))
		return strerror(errno);
	if (!S_ISREG(st.st_mode))
		return "not a regular file";
	if (st.st_mode & (S_IRWXO | S_IWGRP))
		return "everybody may read it, or others than its owner may write it: "
		       "chmod it to 0640 or 0600";
	return NULL;
}

struct secrets *secrets_load(const char *path, const char *salt, struct buf *error)
{
	/* O_NONBLOCK: a FIFO must not hold us up before it is refused. */
	autoclose int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	const char *why = file_trouble(fd);
	struct secrets *s = NULL;
	char text[FILE_MAX + 1];
	autobuf unfit = {0};
	size_t len = 0;
	ssize_t n = 0;

	buf_init(&unfit, 100);
	while (!why && len < sizeof(text) && (n = read(fd, text + len, sizeof(text) - len)) > 0)
		len += (size_t)n;
	if (!why && n < 0)
		why = strerror(errno);
	if (!why && len > FILE_MAX)
		why = "longer than 16384 bytes";
	if (!why)
		s = secrets_parse(text, len, salt, &unfit);
	explicit_bzero(text, sizeof(text));
	if (!s)
		buf_printf(error, "%s: %s", path, why ? why : buf_cstr(&unfit));
	return s;
}

void secrets_free(struct secrets *s)
{
	if (!s)
		return;
	explicit_bzero(s, sizeof(*s));
	free(s);
}
