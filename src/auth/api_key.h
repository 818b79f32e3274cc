/* SPDX-License-Identifier: PostgreSQL
 * API keys in a file: a line for each, with the hash of a long random key and whose it is. Pure,
 * but for the loading; the clock is a parameter. */
#ifndef PGHERALD_AUTH_API_KEY_H
#define PGHERALD_AUTH_API_KEY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/mem.h"

#define API_KEYS_MAX	   4096		 /* keys of a file */
#define API_KEYS_FILE_MAX  (1024 * 1024) /* bytes */
#define API_KEY_PREFIX_MAX 16		 /* bytes */
#define API_KEY_HASH	   32		 /* bytes of SHA-256 */
/* Visible bytes of a key: with fewer its hash could be found by trying. 22 digits of base64url are
 * 128 bits. */
#define API_KEY_MIN 22
/* Bytes of one of ours: "pgh_", 8 digits that name it, "_" and 32 random bytes in base64url. */
#define API_KEY_SIZE 56

struct api_key {
	char *prefix; /* what it begins with, for the log */
	unsigned char hash[API_KEY_HASH];
	char *user;
	char *role;	   /* NULL: looked up with the user */
	int64_t expires_s; /* since 1970; 0 = never */
	char *channels; /* patterns of those that it may hear, between commas; NULL: as its role */
	unsigned line;
};

struct api_keys {
	struct api_key *items;
	size_t n;
};

/* "PREFIX HASH USER ROLE EXPIRES [channels=LIST] [COMMENT]" in each line, between spaces; "-" for
 * no ROLE or EXPIRES. Lines that are empty or begin with '#' mean nothing. NULL with `error`. */
struct api_keys *api_keys_parse(const char *text, size_t len, struct buf *error) MUST_CHECK;
/* The same from a file, which is refused when everybody may read it. */
struct api_keys *api_keys_load(const char *path, struct buf *error) MUST_CHECK;
void api_keys_free(struct api_keys *k);
/* The line of a key, or NULL. Takes as long for any key with the same prefixes. */
const struct api_key *api_keys_find(const struct api_keys *k, const char *key) MUST_CHECK;
/* Whether a text begins as one of them does. */
bool api_keys_may_have(const struct api_keys *k, const char *text) MUST_CHECK;

/* A new key. False when there is no randomness. */
bool api_key_make(char out[API_KEY_SIZE + 1]) MUST_CHECK;
/* The line of a file for a key, without its end. `role`, `channels` and `comment` may be NULL,
 * `expires_s` 0. */
bool api_key_line(struct buf *out, const char *key, const char *user, const char *role,
		  int64_t expires_s, const char *channels, const char *comment) MUST_CHECK;
/* "2027-01-31" or "2027-01-31T18:30:00Z" to seconds since 1970; and the second form of it. */
bool api_key_time(const char *text, int64_t *ret_s) MUST_CHECK;
void api_key_add_time(struct buf *out, int64_t s);

#endif
