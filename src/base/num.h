/* SPDX-License-Identifier: PostgreSQL
 * Strict numbers: the whole text or nothing, no sign, no spaces, no overflow. */
#ifndef PGHERALD_BASE_NUM_H
#define PGHERALD_BASE_NUM_H

#include "base/mem.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The text of a number that is a macro, for statements and the like. */
#define NUM_TEXT_OF(x) #x
#define NUM_TEXT(x)    NUM_TEXT_OF(x)

/* Decimal digits to a number; false for anything else. */
bool num_u64(const char *s, size_t len, uint64_t *ret) MUST_CHECK;
/* "250ms", "30s", "5m", "24h", "7d" to milliseconds; a bare number is seconds. */
bool num_duration_ms(const char *s, uint64_t *ret) MUST_CHECK;
/* "100", "32KiB", "1MiB", "1GiB" (also K, M, G) to bytes. */
bool num_size(const char *s, uint64_t *ret) MUST_CHECK;

#endif
