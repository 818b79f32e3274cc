/* SPDX-License-Identifier: PostgreSQL
 * auth/forwarded: whatever a header says, whoever is not listed is himself, and nobody becomes a
 * listed proxy. The first byte chooses the header and the peer; each line is a header of its own.
 */
#include "config.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "auth/forwarded.h"
#include "target.h"

static struct forwarded_trust trust;

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	static char lan[] = "10.0.0.0/8", six[] = "2001:db8::/33", *items[] = {lan, six};
	const char *bad;
	bool ok = forwarded_trust_parse(&trust, items, 2, &bad);

	(void)argc;
	(void)argv;
	assert(ok);
	return 0;
}

/* A proxy adds its element to what it was sent: that is the last word, whatever stands before it.
 */
static void add_to(const char *text)
{
	static const char *const elements[] = {"for=198.51.100.1", "for=\"198.51.100.1:80\"",
					       "for=198.51.100.1;by=\"[::1]\";proto=http"};
	struct address peer, want, client;
	bool ok = address_parse(&peer, "10.0.0.1", 8) && address_parse(&want, "198.51.100.1", 12);

	assert(ok);
	for (size_t i = 0; i < sizeof(elements) / sizeof(*elements); i++) {
		autofree char *line = xasprintf("%s, %s", text, elements[i]);
		struct forwarded f = {0};

		forwarded_add(&f, FORWARDED_RFC, line);
		client = forwarded_client(&f, &trust, &peer);
		assert(!memcmp(&client, &want, sizeof(want)));
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	enum forwarded_header kind = size && data[0] & 1 ? FORWARDED_RFC : FORWARDED_X_FOR;
	bool listed = size && data[0] & 2, ok;
	struct forwarded f = {0};
	struct address peer, client;
	char *text, *rest, *line;

	ok = address_parse(&peer, listed ? "10.0.0.1" : "192.0.2.1", listed ? 8 : 9);
	assert(ok);
	text = rest = xstrndup((const char *)data + (size > 0), size ? size - 1 : 0);
	while ((line = strsep(&rest, "\n"))) {
		forwarded_add(&f, kind, line);
		add_to(line);
	}
	assert(f.n <= FORWARDED_MAX);
	client = forwarded_client(&f, &trust, &peer);
	if (listed)
		assert(address_is_none(&client) || !forwarded_trusts(&trust, &client));
	else
		assert(!memcmp(&client, &peer, sizeof(peer)));
	if (listed && f.n && !address_is_none(&f.hops[f.n - 1]) &&
	    !forwarded_trusts(&trust, &f.hops[f.n - 1])) /* the right end decides */
		assert(!memcmp(&client, &f.hops[f.n - 1], sizeof(client)));
	free(text);
	return 0;
}
