/* SPDX-License-Identifier: PostgreSQL
 * See api_key.h. A plain hash is enough, as nobody can try 128 bits. */
#include "config.h"
#include "auth/api_key.h"

#include <inttypes.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/rand.h>
#include <stdlib.h>
#include <string.h>

#include "auth/base64url.h"
#include "auth/key_file.h"
#include "base/num.h"

enum { NAME_MAX_BYTES = 255, OWN_PREFIX = 12, FOREIGN_PREFIX = 6, RANDOM = 32, DAY_S = 86400 };

/* --- time ---------------------------------------------------------------------------------- */

/* Days from 1970-01-01 to a day of the Gregorian calendar, by years that begin in March: then a
 * leap day is the last one of its year. */
static int64_t days_of(int64_t year, int64_t month, int64_t day)
{
	int64_t y = year - (month <= 2), m = (month + 9) % 12;

	return 365 * y + y / 4 - y / 100 + y / 400 + (153 * m + 2) / 5 + day - 1 - 719468;
}

static bool digits(const char *text, size_t at, size_t n, uint64_t max, int64_t *ret)
{
	uint64_t value;

	if (!num_u64(text + at, n, &value) || value > max)
		return false;
	*ret = (int64_t)value;
	return true;
}

bool api_key_time(const char *text, int64_t *ret_s)
{
	static const char form[] = "0000-00-00T00:00:00Z";
	static const unsigned char lengths[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
	int64_t year, month, day, hour = 0, minute = 0, second = 0;
	size_t len = strlen(text);
	bool leap;

	if (len != 10 && len != sizeof(form) - 1)
		return false;
	for (size_t i = 0; i < len; i++)
		if (form[i] != '0' && form[i] != text[i])
			return false;
	if (!digits(text, 0, 4, 9999, &year) || !digits(text, 5, 2, 12, &month) ||
	    !digits(text, 8, 2, 31, &day) || year < 1970 || !month || !day)
		return false;
	leap = (!(year % 4) && year % 100) || !(year % 400);
	if (day > lengths[month - 1] + (month == 2 && leap))
		return false;
	if (len > 10 && (!digits(text, 11, 2, 23, &hour) || !digits(text, 14, 2, 59, &minute) ||
			 !digits(text, 17, 2, 59, &second)))
		return false;
	*ret_s = days_of(year, month, day) * DAY_S + hour * 3600 + minute * 60 + second;
	return true;
}

void api_key_add_time(struct buf *out, int64_t s)
{
	int64_t days = s / DAY_S, year = 1970 + days / 366, month = 1;

	while (days_of(year + 1, 1, 1) <= days)
		year++;
	while (month < 12 && days_of(year, month + 1, 1) <= days)
		month++;
	s %= DAY_S;
	buf_printf(out,
		   "%04" PRId64 "-%02" PRId64 "-%02" PRId64 "T%02" PRId64 ":%02" PRId64
		   ":%02" PRId64 "Z",
		   year, month, days - days_of(year, month, 1) + 1, s / 3600, s / 60 % 60, s % 60);
}

/* --- hashes -------------------------------------------------------------------------------- */

static bool hash_of(const char *key, unsigned char out[API_KEY_HASH])
{
	unsigned n = 0;

	return EVP_Digest(key, strlen(key), out, &n, EVP_sha256(), NULL) == 1 && n == API_KEY_HASH;
}

static void add_hex(struct buf *out, const unsigned char *bytes, size_t n)
{
	for (size_t i = 0; i < n; i++)
		buf_printf(out, "%02x", bytes[i]);
}

static bool read_hash(const char *text, unsigned char out[API_KEY_HASH])
{
	static const char hex[] = "0123456789abcdef";

	if (strlen(text) != (size_t)2 * API_KEY_HASH || strspn(text, hex) != strlen(text))
		return false;
	for (size_t i = 0; i < API_KEY_HASH; i++)
		out[i] = (unsigned char)((strchr(hex, text[2 * i]) - hex) * 16 +
					 (strchr(hex, text[2 * i + 1]) - hex));
	return true;
}

/* --- a file -------------------------------------------------------------------------------- */

enum { WORD_PREFIX, WORD_HASH, WORD_USER, WORD_ROLE, WORD_EXPIRES, N_WORDS };

/* Splits the first words off; what follows, `*ret_rest`, is a comment, or begins with the channels.
 * False when there are too few. */
static bool split(char *line, char *words[N_WORDS], char **ret_rest)
{
	for (size_t i = 0; i < N_WORDS; i++) {
		line += strspn(line, " \t");
		if (!*line)
			return false;
		words[i] = line;
		line += strcspn(line, " \t");
		if (*line)
			*line++ = '\0';
	}
	*ret_rest = line + strspn(line, " \t");
	return true;
}

static bool none(const char *word)
{
	return !strcmp(word, "-");
}

/* What is wrong with a line, NULL for nothing. */
static const char *read_line(struct api_key *k, char *line)
{
	static const char channels[] = "channels=";
	char *words[N_WORDS], *rest;

	if (!split(line, words, &rest))
		return "is not PREFIX HASH USER ROLE EXPIRES [channels=LIST] [COMMENT]";
	if (strlen(words[WORD_PREFIX]) > API_KEY_PREFIX_MAX)
		return "has a prefix of more than 16 bytes";
	for (const char *p = words[WORD_PREFIX]; *p; p++)
		if (*p <= ' ' || *p > '~')
			return "has a prefix that is not of visible ASCII";
	if (!read_hash(words[WORD_HASH], k->hash))
		return "has no SHA-256 in 64 digits of lower case: pgherald token hash makes it";
	if (strlen(words[WORD_USER]) > NAME_MAX_BYTES || strlen(words[WORD_ROLE]) > NAME_MAX_BYTES)
		return "has a name of more than 255 bytes";
	if (none(words[WORD_USER]))
		return "has no user";
	if (!none(words[WORD_EXPIRES]) && !api_key_time(words[WORD_EXPIRES], &k->expires_s))
		return "has no time such as 2027-01-31 or 2027-01-31T18:30:00Z for its end, nor -";
	k->prefix = xstrdup(words[WORD_PREFIX]);
	k->user = xstrdup(words[WORD_USER]);
	k->role = none(words[WORD_ROLE]) ? NULL : xstrdup(words[WORD_ROLE]);
	if (!strncmp(rest, channels, strlen(channels))) {
		rest += strlen(channels);
		k->channels = xstrndup(rest, strcspn(rest, " \t"));
	}
	return NULL;
}

static bool has_hash(const struct api_keys *k, const unsigned char *hash)
{
	for (size_t i = 0; i < k->n; i++)
		if (!memcmp(k->items[i].hash, hash, API_KEY_HASH))
			return true;
	return false;
}

static const char *add_line(struct api_keys *k, const char *text, size_t len, unsigned number)
{
	autofree char *line = NULL;
	struct api_key one = {.line = number};
	const char *why;

	if (len && text[len - 1] == '\r')
		len--;
	if (!len || *text == '#')
		return NULL;
	if (memchr(text, '\0', len))
		return "has a NUL";
	line = xstrndup(text, len);
	if (!line[strspn(line, " \t")])
		return NULL;
	if (k->n == API_KEYS_MAX)
		return "is one more than the 4096 that a file may have";
	why = read_line(&one, line);
	if (why)
		return why;
	k->items = xrealloc(k->items, k->n + 1, sizeof(*k->items));
	why = has_hash(k, one.hash) ? "has the hash of another line" : NULL;
	k->items[k->n++] = one;
	return why;
}

struct api_keys *api_keys_parse(const char *text, size_t len, struct buf *error)
{
	struct api_keys *k = xcalloc(1, sizeof(*k));
	unsigned line = 0;

	while (len) {
		const char *end = memchr(text, '\n', len), *why;
		size_t n = end ? (size_t)(end - text) : len, whole = n + (end != NULL);

		why = add_line(k, text, n, ++line);
		if (why) {
			buf_printf(error, "line %u %s", line, why);
			api_keys_free(k);
			return NULL;
		}
		text += whole;
		len -= whole;
	}
	return k;
}

struct api_keys *api_keys_load(const char *path, struct buf *error)
{
	autofree char *text = xcalloc(1, API_KEYS_FILE_MAX);
	struct api_keys *k = NULL;
	const char *open = NULL;
	autobuf unfit = {0};
	size_t len;

	if (!key_file_read(path, text, API_KEYS_FILE_MAX, &len, &open, error))
		return NULL;
	buf_init(&unfit, 200);
	if (!open)
		k = api_keys_parse(text, len, &unfit);
	if (!k)
		buf_printf(error, "%s: %s", path, open ? open : buf_cstr(&unfit));
	return k;
}

void api_keys_free(struct api_keys *k)
{
	if (!k)
		return;
	for (size_t i = 0; i < k->n; i++) {
		free(k->items[i].prefix);
		free(k->items[i].user);
		free(k->items[i].role);
		free(k->items[i].channels);
	}
	free(k->items);
	free(k);
}

static bool begins(const struct api_key *k, const char *text)
{
	return !strncmp(text, k->prefix, strlen(k->prefix));
}

const struct api_key *api_keys_find(const struct api_keys *k, const char *key)
{
	const struct api_key *found = NULL;
	unsigned char hash[API_KEY_HASH];

	if (!hash_of(key, hash))
		return NULL;
	for (size_t i = 0; i < k->n; i++)
		if (begins(&k->items[i], key) &&
		    !CRYPTO_memcmp(k->items[i].hash, hash, sizeof(hash)))
			found = &k->items[i];
	return found;
}

bool api_keys_may_have(const struct api_keys *k, const char *text)
{
	for (size_t i = 0; i < k->n; i++)
		if (begins(&k->items[i], text))
			return true;
	return false;
}

/* --- one key ------------------------------------------------------------------------------- */

bool api_key_make(char out[API_KEY_SIZE + 1])
{
	unsigned char name[4], bytes[RANDOM];
	bool ok = RAND_bytes(name, sizeof(name)) == 1 && RAND_bytes(bytes, sizeof(bytes)) == 1;
	autobuf text = {0};
	char secret[BASE64URL_DIGITS(RANDOM) + 1];

	buf_init(&text, API_KEY_SIZE);
	buf_str(&text, "pgh_");
	add_hex(&text, name, sizeof(name));
	base64url_encode(secret, bytes, sizeof(bytes));
	buf_printf(&text, "_%s", secret);
	ok = ok && text.len <= API_KEY_SIZE;
	if (ok)
		memcpy(out, buf_cstr(&text), text.len + 1);
	OPENSSL_cleanse(bytes, sizeof(bytes));
	OPENSSL_cleanse(secret, sizeof(secret));
	OPENSSL_cleanse(text.data, text.len);
	return ok;
}

bool api_key_line(struct buf *out, const char *key, const char *user, const char *role,
		  int64_t expires_s, const char *channels, const char *comment)
{
	unsigned char hash[API_KEY_HASH];
	int prefix = strncmp(key, "pgh_", 4) == 0 ? OWN_PREFIX : FOREIGN_PREFIX;

	if (!hash_of(key, hash))
		return false;
	buf_printf(out, "%.*s ", prefix, key);
	add_hex(out, hash, sizeof(hash));
	buf_printf(out, " %s %s ", user, role ? role : "-");
	if (expires_s)
		api_key_add_time(out, expires_s);
	else
		buf_char(out, '-');
	if (channels)
		buf_printf(out, " channels=%s", channels);
	if (comment && *comment)
		buf_printf(out, " %s", comment);
	return true;
}
