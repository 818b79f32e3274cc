/* SPDX-License-Identifier: PostgreSQL
 * What every unit test needs: cmocka with the headers it wants first, and a random generator
 * whose seed is fixed, printed, and can be set: PGHERALD_SEED=N make check. */
#ifndef PGHERALD_TESTS_UNIT_H
#define PGHERALD_TESTS_UNIT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/num.h"

#define TEST(name) static void name(void **state __attribute__((unused)))

struct rng {
	uint64_t state;
};

/* The seed stands in the test's log, so that a failure can be run again. */
static inline struct rng rng_new(void)
{
	const char *text = getenv("PGHERALD_SEED");
	uint64_t seed = 20250101;

	if (text)
		assert_true(num_u64(text, strlen(text), &seed));
	fprintf(stderr, "PGHERALD_SEED=%llu\n", (unsigned long long)seed);
	return (struct rng){seed * 2 + 1};
}

/* splitmix64 */
static inline uint64_t rng_next(struct rng *r)
{
	uint64_t z = r->state += 0x9e3779b97f4a7c15;

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
	z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
	return z ^ (z >> 31);
}

/* 0 ... n-1 */
static inline size_t rng_below(struct rng *r, size_t n)
{
	return (size_t)(rng_next(r) % n);
}

#endif
