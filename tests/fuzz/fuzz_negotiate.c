/* SPDX-License-Identifier: PostgreSQL
 * wire/negotiate and hub/filter: what is named is accepted; what a filter wants of a resync is a
 * part of it. The first line is a header, the second a list of types, the third one of topics. */
#include "config.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "hub/filter.h"
#include "target.h"
#include "wire/negotiate.h"

#define TYPE "text/event-stream"

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc;
	(void)argv;
	return 0;
}

static void use_filter(const char *types, const char *topics)
{
	static const char all[] = "[\"estimate\", \"project\"]";
	struct filter *f = NULL;
	bool ok = (!types || filter_add_types(&f, types)) &&
		  (!topics || filter_add_topics(&f, topics));
	char *wanted;

	if (ok && f) {
		wanted = filter_topics(f, all);
		assert((wanted != NULL) ==
		       (filter_wants_topic(f, "estimate") || filter_wants_topic(f, "project")));
		assert(!wanted || !strcmp(wanted, all) || !strcmp(wanted, "[\"estimate\"]") ||
		       !strcmp(wanted, "[\"project\"]"));
		free(wanted);
	}
	filter_free(f);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = xstrndup((const char *)data, size), *rest = text,
	     *header = strsep(&rest, "\n"), *types = strsep(&rest, "\n"),
	     *topics = strsep(&rest, "\n");

	if (negotiate_names(header, TYPE))
		assert(negotiate_accepts(header, TYPE));
	(void)!negotiate_upgrades(header);
	use_filter(types, topics);
	free(text);
	return 0;
}
