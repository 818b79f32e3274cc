/* SPDX-License-Identifier: PostgreSQL
 * wire/resp, and wire/redis_url and kafka_property: what a server sends that is not the one it
 * should be. However it is cut it says the same, no value is larger than it may be, and what goes
 * on can be fed again and stays. */
#include "config.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "target.h"
#include "wire/kafka_property.h"
#include "wire/redis_url.h"
#include "wire/resp.h"

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc;
	(void)argv;
	return 0;
}

static bool feed(const uint8_t *data, size_t size, size_t step, struct buf *out)
{
	struct resp r;

	buf_init(out, 1 << 24);
	resp_init(&r, 20, 2000);
	for (size_t i = 0; i < size; i += step)
		if (!resp_feed(&r, (const char *)data + i, size - i < step ? size - i : step, out))
			return false;
	return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct buf whole, pieces, again;
	struct redis_url url;
	struct kafka_property property;
	const char *why;
	char *text = xstrndup((const char *)data, size);
	bool good = feed(data, size, size + 1, &whole);

	assert(good == feed(data, size, 1, &pieces));
	assert(whole.len == pieces.len && !memcmp(buf_cstr(&whole), buf_cstr(&pieces), whole.len));
	if (good) {
		assert(feed((const uint8_t *)buf_cstr(&whole), whole.len, 7, &again));
		assert(again.len == whole.len &&
		       !memcmp(buf_cstr(&again), buf_cstr(&whole), whole.len));
		buf_free(&again);
	}
	if (!redis_url_parse(&url, text))
		assert(*url.host && *url.port && strlen(url.host) < sizeof(url.host));
	for (const char *at = text; kafka_property_next(&at, &property, &why);)
		assert(*property.name && *property.value);
	buf_free(&whole);
	buf_free(&pieces);
	free(text);
	return 0;
}
