/* SPDX-License-Identifier: PostgreSQL
 * See redis_url.h. */
#include "config.h"
#include "wire/redis_url.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "base/num.h"

static int hex(char c)
{
	const char *digits = "0123456789abcdef", *at;

	if (c >= 'A' && c <= 'F')
		c = (char)(c - 'A' + 'a');
	at = c ? strchr(digits, c) : NULL;
	return at ? (int)(at - digits) : -1;
}

/* Copies with the escapes undone. False when there is no room, an escape is none, or it says NUL.
 */
static bool decode(char *to, size_t room, const char *from, size_t len)
{
	size_t n = 0;

	for (size_t i = 0; i < len; i++) {
		char c = from[i];

		if (c == '%') {
			int high = i + 2 < len ? hex(from[i + 1]) : -1;
			int low = i + 2 < len ? hex(from[i + 2]) : -1;

			if (high < 0 || low < 0 || !(high + low))
				return false;
			c = (char)(high << 4 | low);
			i += 2;
		}
		if (n + 1 >= room)
			return false;
		to[n++] = c;
	}
	to[n] = '\0';
	return true;
}

static const char *scheme(struct redis_url *ret, const char **text)
{
	static const char *const names[] = {"redis://", "valkey://", "rediss://", "valkeys://"};

	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++)
		if (!strncmp(*text, names[i], strlen(names[i]))) {
			*text += strlen(names[i]);
			ret->tls = i >= 2;
			return NULL;
		}
	return "must begin with redis://, rediss://, valkey:// or valkeys://";
}

static const char *credentials(struct redis_url *ret, const char *text, size_t len)
{
	const char *colon = memchr(text, ':', len);
	size_t user = colon ? (size_t)(colon - text) : len;

	if (!decode(ret->user, sizeof(ret->user), text, user))
		return "has a user that is too long or badly escaped";
	if (colon && !decode(ret->password, sizeof(ret->password), colon + 1, len - user - 1))
		return "has a password that is too long or badly escaped";
	return NULL;
}

static const char *address(struct redis_url *ret, const char *text, size_t len)
{
	const char *end = NULL, *port;
	uint64_t n = 6379;
	size_t host;

	if (*text == '[' && (end = memchr(text, ']', len))) {
		text++;
		host = (size_t)(end - text);
		port = end + 1;
		len -= 2;
	} else {
		end = memchr(text, ':', len);
		host = end ? (size_t)(end - text) : len;
		port = text + host;
	}
	if (!host || !decode(ret->host, sizeof(ret->host), text, host))
		return "names no host";
	len -= host;
	if (len && (*port != ':' || !num_u64(port + 1, len - 1, &n) || !n || n > UINT16_MAX))
		return "has a port that is none";
	snprintf(ret->port, sizeof(ret->port), "%u", (unsigned)n);
	return NULL;
}

const char *redis_url_parse(struct redis_url *ret, const char *text)
{
	const char *why, *at, *slash;
	uint64_t database = 0;
	size_t len;

	*ret = (struct redis_url){0};
	if ((why = scheme(ret, &text)))
		return why;
	if (strpbrk(text, "?# \t\n"))
		return "has more than a user, a host, a port and a number";
	len = strcspn(text, "/");
	slash = text + len;
	for (at = slash; at > text && at[-1] != '@'; at--)
		;
	if (at > text && (why = credentials(ret, text, (size_t)(at - 1 - text))))
		return why;
	if ((why = address(ret, at, (size_t)(slash - at))))
		return why;
	if (*slash && slash[1] &&
	    (!num_u64(slash + 1, strlen(slash + 1), &database) || database > 65535))
		return "has a database that is no number";
	ret->database = (unsigned)database;
	return NULL;
}
