/* SPDX-License-Identifier: PostgreSQL
 * See siphash.h. */
#include "config.h"
#include "base/siphash.h"

#include <string.h>
#include <sys/random.h>
#include <time.h>

struct state {
	uint64_t v[4];
};

static uint64_t rotated(uint64_t x, unsigned bits)
{
	return x << bits | x >> (64 - bits);
}

static void round_once(struct state *s)
{
	s->v[0] += s->v[1];
	s->v[2] += s->v[3];
	s->v[1] = rotated(s->v[1], 13) ^ s->v[0];
	s->v[3] = rotated(s->v[3], 16) ^ s->v[2];
	s->v[0] = rotated(s->v[0], 32) + s->v[3];
	s->v[2] += s->v[1];
	s->v[3] = rotated(s->v[3], 21) ^ s->v[0];
	s->v[1] = rotated(s->v[1], 17) ^ s->v[2];
	s->v[2] = rotated(s->v[2], 32);
}

static void take(struct state *s, uint64_t word)
{
	s->v[3] ^= word;
	round_once(s);
	round_once(s);
	s->v[0] ^= word;
}

/* Little-endian, up to eight bytes. */
static uint64_t word_of(const unsigned char *p, size_t n)
{
	uint64_t word = 0;

	for (size_t i = 0; i < n; i++)
		word |= (uint64_t)p[i] << 8 * i;
	return word;
}

struct siphash_key siphash_key_new(void)
{
	struct siphash_key key = {{0}};
	struct timespec ts;

	if (getrandom(&key, sizeof(key), 0) == sizeof(key))
		return key;
	clock_gettime(CLOCK_REALTIME, &ts); /* a kernel without it: better than nothing */
	key.k[0] = (uint64_t)ts.tv_nsec ^ (uint64_t)(uintptr_t)&key;
	return key;
}

uint64_t siphash(const struct siphash_key *key, const void *data, size_t len)
{
	const unsigned char *p = data;
	struct state s = {{key->k[0] ^ 0x736f6d6570736575, key->k[1] ^ 0x646f72616e646f6d,
			   key->k[0] ^ 0x6c7967656e657261, key->k[1] ^ 0x7465646279746573}};
	size_t left = len;

	for (; left >= 8; p += 8, left -= 8)
		take(&s, word_of(p, 8));
	take(&s, word_of(p, left) | (uint64_t)len << 56);
	s.v[2] ^= 0xff;
	for (int i = 0; i < 4; i++)
		round_once(&s);
	return s.v[0] ^ s.v[1] ^ s.v[2] ^ s.v[3];
}
