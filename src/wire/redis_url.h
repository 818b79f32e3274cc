/* SPDX-License-Identifier: PostgreSQL
 * redis://[user[:password]@]host[:port][/number], rediss:// with TLS; valkey:// and valkeys:// are
 * the same. */
#ifndef PGHERALD_WIRE_REDIS_URL_H
#define PGHERALD_WIRE_REDIS_URL_H

#include <stdbool.h>

#include "base/mem.h"

struct redis_url {
	bool tls;
	char host[256];
	char port[8];
	char user[256], password[512]; /* "" without */
	unsigned database;
};

/* What is wrong with it, in words that quote nothing of it, or NULL. */
const char *redis_url_parse(struct redis_url *ret, const char *text) MUST_CHECK;

#endif
