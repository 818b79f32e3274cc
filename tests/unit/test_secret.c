/* SPDX-License-Identifier: PostgreSQL
 * auth/secret: which files are taken, and the keys that Django makes of a SECRET_KEY. */
#include "config.h"
#include "unit.h"

#include <openssl/evp.h>
#include <sys/stat.h>
#include <unistd.h>

#include "auth/secret.h"

#define SALT "django.contrib.sessions.SessionStore"

static char path[] = "test_secret.XXXXXX";

static void write_file(const char *text, size_t len, mode_t mode)
{
	FILE *f;

	unlink(path); /* the one before may be 0440, which stops everybody but root */
	f = fopen(path, "w");
	assert_non_null(f);
	assert_int_equal(fwrite(text, 1, len, f), len);
	assert_int_equal(fclose(f), 0);
	assert_int_equal(chmod(path, mode), 0);
}

static void expect_error(const char *want)
{
	autobuf error = {0};

	buf_init(&error, 1000);
	assert_null(secrets_load(path, SALT, &error));
	if (!strstr(buf_cstr(&error), want))
		fail_msg("said: %s\nnot:  %s", buf_cstr(&error), want);
	assert_non_null(strstr(buf_cstr(&error), path));  /* it says which file */
	assert_null(strstr(buf_cstr(&error), "hunter2")); /* and nothing of what is in it */
}

TEST(files)
{
	autobuf error = {0};
	struct secrets *s;
	char text[20000];

	buf_init(&error, 1000);
	write_file("hunter2\n", 8, 0600);
	s = secrets_load(path, SALT, &error);
	assert_non_null(s);
	assert_string_equal(buf_cstr(&error), "");
	assert_int_equal(s->n, 1);
	secrets_free(s);
	write_file("hunter2\n", 8, 0440); /* root's, and the daemon's group may read it */
	s = secrets_load(path, SALT, &error);
	assert_non_null(s);
	secrets_free(s);

	write_file("hunter2\n", 8, 0604);
	expect_error("everybody may read it");
	write_file("hunter2\n", 8, 0620);
	expect_error("others than its owner may write it");
	write_file("", 0, 0600);
	expect_error("no key in it");
	write_file("\n\r\n\n", 4, 0600);
	expect_error("no key in it");
	write_file("1\n2\n3\n4\n5\n6\n7\n8\nhunter2\n", 24, 0600);
	expect_error("more than 8 keys");
	memset(text, 'x', sizeof(text));
	write_file(text, 1025, 0600);
	expect_error("longer than 1024 bytes");
	write_file(text, sizeof(text), 0600);
	expect_error("longer than 16384 bytes");
	assert_int_equal(unlink(path), 0);
	expect_error("No such file");
	assert_int_equal(mkfifo(path, 0600), 0); /* must not wait for a writer */
	expect_error("not a regular file");
	assert_int_equal(unlink(path), 0);
	assert_int_equal(mkdir(path, 0700), 0);
	expect_error("not a regular file");
	assert_int_equal(rmdir(path), 0);
}

static void expect_same(const char *a, const char *b, bool same)
{
	autobuf error = {0};
	struct secrets *x, *y;

	buf_init(&error, 1000);
	x = secrets_parse(a, strlen(a), SALT, &error);
	y = secrets_parse(b, strlen(b), SALT, &error);
	assert_non_null(x);
	assert_non_null(y);
	assert_int_equal(x->n == y->n && !memcmp(x->items, y->items, sizeof(x->items)), same);
	secrets_free(x);
	secrets_free(y);
}

TEST(lines)
{
	expect_same("a\nb", "a\nb\n", true);
	expect_same("a\r\nb\r\n", "\na\n\nb\n", true);
	expect_same("#a", "a", false); /* Django makes keys with # in them */
	expect_same(" a", "a", false);
	expect_same("a ", "a", false);
	expect_same("a\nb", "b\na", false);
}

/* tests/unit/test_session.c has what the signing key is good for. */
TEST(the_pads_are_an_hmac)
{
	static const char password[] = "pbkdf2_sha256$260000$abcdefghijkl$Qk0=",
			  want[] = "a82ad04e0446fb61e8b8cdf4bcc50b48"
				   "89fe8a32751aee4f7d078e89b1c6533c";
	unsigned char text[SECRET_PAD + 64], digest[32];
	autobuf error = {0};
	struct secrets *s;
	char hex[65];

	buf_init(&error, 1000);
	s = secrets_parse("pgherald-test-secret", 20, SALT, &error);
	assert_non_null(s);
	memcpy(text, s->items[0].inner, SECRET_PAD);
	memcpy(text + SECRET_PAD, password, sizeof(password) - 1);
	assert_int_equal(EVP_Digest(text, SECRET_PAD + sizeof(password) - 1, digest, NULL,
				    EVP_sha256(), NULL),
			 1);
	memcpy(text, s->items[0].outer, SECRET_PAD);
	memcpy(text + SECRET_PAD, digest, sizeof(digest));
	assert_int_equal(
		EVP_Digest(text, SECRET_PAD + sizeof(digest), digest, NULL, EVP_sha256(), NULL), 1);
	for (size_t i = 0; i < sizeof(digest); i++)
		snprintf(hex + 2 * i, 3, "%02x", digest[i]);
	assert_string_equal(hex, want);
	secrets_free(s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(files),
		cmocka_unit_test(lines),
		cmocka_unit_test(the_pads_are_an_hmac),
	};
	int fd = mkstemp(path);

	if (fd < 0)
		return 1;
	close(fd);
	return cmocka_run_group_tests_name("secret", tests, NULL, NULL);
}
