/* SPDX-License-Identifier: PostgreSQL
 * See token.h. Reads no configuration and asks no database. */
#include "config.h"
#include "cli/token.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "auth/api_key.h"
#include "auth/credential.h"
#include "auth/jwt_sign.h"
#include "auth/key_file.h"
#include "base/num.h"
#include "cli/options.h"
#include "hub/subscription.h"
#include "wire/json.h"

enum { TEXT_MAX = 65536, HOUR_MS = 3600000 };

struct options {
	const char *command;
	const char *user, *role, *expires, *comment; /* of a key */
	const char *key_file, *algorithm, *kid;	     /* of a JWT */
	const char *issuer, *audience, *user_claim, *role_claim, *channels;
	bool help;
};

static const char usage_text[] =
	"usage: pgherald token key  --user USER [--role ROLE] [--expires WHEN] [--channels LIST]\n"
	"                           [--comment TEXT]\n"
	"       pgherald token hash --user USER [--role ROLE] [--expires WHEN] [--channels LIST]\n"
	"                           [--comment TEXT]\n"
	"       pgherald token jwt  --key-file FILE --user USER [OPTION]...\n"
	"Makes credentials: an API key and its line for a key_file, such a line for a key that is\n"
	"read from standard input, a JSON Web Token for tests.\n"
	"      --user USER        whose it is\n"
	"      --role ROLE        what he may, where the line or the token says so\n"
	"      --expires WHEN     2027-01-31, 2027-01-31T18:30:00Z, or a time from now such as "
	"90d;\n"
	"                         a key does not end without it, a token after an hour\n"
	"      --comment TEXT     what the key is for, behind its line\n"
	"      --key-file FILE    what signs the token: a private key in PEM, or a secret\n"
	"      --algorithm ALG    its algorithm, if another than fits the key\n"
	"      --kid KID          its name\n"
	"      --issuer ISS       the claim iss\n"
	"      --audience AUD     the claim aud\n"
	"      --user-claim NAME  the claim that has the user, instead of sub\n"
	"      --channels LIST    the channels that a key may hear, a* for those that begin so\n"
	"      --role-claim NAME  the claim that has the role, instead of role\n"
	"Manual page: pgherald-token(8).\n";

static bool read_options(int argc, char **argv, struct options *o)
{
	const struct cli_option names[] = {
		{"user", .text = &o->user},
		{"role", .text = &o->role},
		{"expires", .text = &o->expires},
		{"comment", .text = &o->comment},
		{"key-file", .text = &o->key_file},
		{"algorithm", .text = &o->algorithm},
		{"kid", .text = &o->kid},
		{"issuer", .text = &o->issuer},
		{"audience", .text = &o->audience},
		{"channels", .text = &o->channels},
		{"user-claim", .text = &o->user_claim},
		{"role-claim", .text = &o->role_claim},
		{"help", .flag = &o->help},
		{0},
	};
	int rest;

	if (!cli_options(argc, argv, names, &rest))
		return false;
	if (o->help)
		return true;
	if (rest + 1 != argc)
		return false;
	o->command = argv[rest];
	return true;
}

static int failed(const char *what)
{
	fprintf(stderr, "pgherald: %s\n", what);
	return EXIT_FAILURE;
}

/* When it ends, in seconds since 1970; 0 for never. */
static bool read_end(const char *text, int64_t *ret_s)
{
	uint64_t ms;

	*ret_s = 0;
	if (!text || api_key_time(text, ret_s))
		return true;
	if (!num_duration_ms(text, &ms) || ms < 1000)
		return false;
	*ret_s = (int64_t)time(NULL) + (int64_t)(ms / 1000);
	return true;
}

/* A word of a line: nothing that would be taken for two, or for none. */
static bool is_word(const char *text)
{
	return *text && strlen(text) <= 255 && !text[strcspn(text, " \t\r\n")] &&
	       strcmp(text, "-") != 0;
}

static int print_line(const struct options *o, const char *key)
{
	autobuf line = {.max = TEXT_MAX};
	autofree struct keys *granted = NULL;
	int64_t end;

	if (!o->user || !is_word(o->user) || (o->role && !is_word(o->role)))
		return failed("--user and --role are words without spaces, of 1 to 255 bytes");
	if (o->comment && o->comment[strcspn(o->comment, "\r\n")])
		return failed("--comment is one line");
	if (o->channels && (!is_word(o->channels) || !(granted = subscription_grants(o->channels))))
		return failed("--channels is at most 32 names of channels, or beginnings of names "
			      "with a *, between commas");
	if (!read_end(o->expires, &end))
		return failed("--expires is a time such as 2027-01-31 or 90d");
	if (!api_key_line(&line, key, o->user, o->role, end, o->channels, o->comment) ||
	    !buf_ok(&line))
		return failed("libcrypto has no SHA-256, or the line becomes too long");
	printf("%s\n", buf_cstr(&line));
	return EXIT_SUCCESS;
}

/* The key is shown here, and nowhere again. */
static int make_key(const struct options *o)
{
	char key[API_KEY_SIZE + 1] = "";
	int status;

	if (!api_key_make(key))
		return failed("no randomness to be had");
	status = print_line(o, key);
	if (status == EXIT_SUCCESS)
		printf("%s\n", key);
	explicit_bzero(key, sizeof(key));
	return status;
}

static int hash_key(const struct options *o)
{
	char key[TOKEN_MAX + 2];
	size_t len;
	int status;

	if (!fgets(key, sizeof(key), stdin))
		return failed("standard input has no key");
	len = strcspn(key, "\r\n");
	key[len] = '\0';
	if (!credential_plausible(key, TOKEN_MAX))
		status = failed("a key is a line of at most 512 bytes of visible ASCII");
	else if (len < API_KEY_MIN)
		status = failed("a key of less than 22 bytes can be found from its hash: make "
				"another with pgherald token key");
	else
		status = print_line(o, key);
	explicit_bzero(key, sizeof(key));
	return status;
}

static void add_claim(struct buf *b, const char *name, const char *value)
{
	if (!value)
		return;
	buf_char(b, b->len ? ',' : '{');
	json_string(b, name, strlen(name));
	buf_char(b, ':');
	json_string(b, value, strlen(value));
}

static int make_jwt(const struct options *o)
{
	autobuf payload = {.max = TEXT_MAX}, error = {.max = TEXT_MAX}, token = {.max = TEXT_MAX};
	char key[KEY_FILE_MAX];
	const char *open = NULL;
	int64_t end, now = (int64_t)time(NULL);
	size_t len;
	bool ok;

	if (!o->user || !*o->user || !o->key_file)
		return failed("a token needs --key-file and --user");
	if (!read_end(o->expires, &end))
		return failed("--expires is a time such as 2027-01-31 or 90d");
	add_claim(&payload, o->user_claim ? o->user_claim : "sub", o->user);
	add_claim(&payload, o->role_claim ? o->role_claim : "role", o->role);
	add_claim(&payload, "iss", o->issuer);
	add_claim(&payload, "aud", o->audience);
	buf_printf(&payload, ",\"iat\":%" PRId64 ",\"exp\":%" PRId64 "}", now,
		   end ? end : now + HOUR_MS / 1000);
	ok = key_file_read(o->key_file, key, sizeof(key), &len, &open, &error) &&
	     jwt_sign(&token, key, len, o->algorithm, o->kid, &payload, &error);
	explicit_bzero(key, sizeof(key));
	if (!ok)
		return failed(buf_cstr(&error));
	printf("%s\n", buf_cstr(&token));
	return EXIT_SUCCESS;
}

int cli_token(int argc, char **argv)
{
	static const struct {
		const char *name;
		int (*run)(const struct options *o);
	} commands[] = {{"key", make_key}, {"hash", hash_key}, {"jwt", make_jwt}};
	struct options o = {0};

	if (!read_options(argc, argv, &o)) {
		fputs(usage_text, stderr);
		return 2;
	}
	if (o.help) {
		fputs(usage_text, stdout);
		return EXIT_SUCCESS;
	}
	for (size_t i = 0; i < sizeof(commands) / sizeof(*commands); i++)
		if (!strcmp(commands[i].name, o.command))
			return commands[i].run(&o);
	fputs(usage_text, stderr);
	return 2;
}
