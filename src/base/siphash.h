/* SPDX-License-Identifier: PostgreSQL
 * SipHash-2-4 (Aumasson and Bernstein, 2012): a short hash under a key, so that whoever chooses
 * what is hashed cannot choose where it lands. Not for signatures. */
#ifndef PGHERALD_BASE_SIPHASH_H
#define PGHERALD_BASE_SIPHASH_H

#include "base/mem.h"
#include <stddef.h>
#include <stdint.h>

struct siphash_key {
	uint64_t k[2];
};

/* A random key. */
struct siphash_key siphash_key_new(void);
uint64_t siphash(const struct siphash_key *key, const void *data, size_t len) MUST_CHECK;

#endif
