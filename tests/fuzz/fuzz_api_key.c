/* SPDX-License-Identifier: PostgreSQL
 * auth/api_key and auth/place: what a file of keys has been read to is whole, in its limits, and
 * finds no key that was never hashed; a time is one, or none. */
#include "config.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "auth/api_key.h"
#include "auth/place.h"
#include "target.h"

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc;
	(void)argv;
	return 0;
}

static void read_time(const char *text)
{
	autobuf again = {.max = 100};
	int64_t s, same;

	if (!api_key_time(text, &s))
		return;
	assert(s >= 0 && s <= 253402300799);
	api_key_add_time(&again, s);
	assert(api_key_time(buf_cstr(&again), &same) && same == s);
	assert(!strncmp(buf_cstr(&again), text, 10));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	autofree char *text = xstrndup((const char *)data, size);
	autobuf error = {.max = 4096};
	struct api_keys *k;
	struct place place;

	read_time(text);
	if (place_parse(text, &place))
		assert(!place.name || *place.name);
	k = api_keys_parse((const char *)data, size, &error);
	assert((k != NULL) == (error.len == 0));
	for (size_t i = 0; k && i < k->n; i++) {
		const struct api_key *one = &k->items[i];

		assert(*one->prefix && strlen(one->prefix) <= API_KEY_PREFIX_MAX);
		assert(*one->user && strlen(one->user) <= 255 && (!one->role || *one->role));
		assert(one->expires_s >= 0 && one->line && one->line <= size);
		assert(api_keys_may_have(k, one->prefix));
		assert(!api_keys_find(k, one->prefix));
	}
	assert(!k || !api_keys_find(k, text));
	api_keys_free(k);
	return 0;
}
