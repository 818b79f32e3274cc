/* SPDX-License-Identifier: PostgreSQL
 * pg/inline and wire/scan: payloads of anybody in the database. What becomes an event can be read
 * by every JSON parser, is of no reserved type, and is nobody's whom the payload does not name. */
#include "config.h"

#include <assert.h>
#include <json-c/json.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "pg/inline.h"
#include "target.h"
#include "wire/dialect.h"
#include "wire/scan.h"

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc;
	(void)argv;
	return 0;
}

/* Not strict: json-c 0.18 then takes a letter beyond ASCII for an error. */
static void another_reader_takes(const char *json)
{
	struct json_tokener *t = json_tokener_new_ex(SCAN_DEPTH_MAX + 2);

	json_object_put(json_tokener_parse_ex(t, json, (int)strlen(json) + 1));
	assert(json_tokener_get_error(t) == json_tokener_success);
	json_tokener_free(t);
}

static void check(struct event *e, const char *why)
{
	struct scan v;

	assert(!e != !why);
	if (!e)
		return;
	if (e->op == 'r') {
		assert(!strcmp(e->type, "system.resync"));
	} else {
		assert(!dialect_reserves(e->type) && scan_text(e->doc, strlen(e->doc), &v));
		another_reader_takes(e->doc);
		if (e->leave)
			another_reader_takes(e->leave);
	}
	for (size_t i = 0; i < e->after.n; i++)
		assert(*e->after.list[i]);
	event_unref(e);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char *names[] = {"a", "b"};
	static const struct inline_topics topics = {.names = names, .n = 1, .n_refetch = 1};
	static char key_u[] = "u", key_b[] = "b", *keys[] = {key_u, key_b};
	struct inline_rule rule = {.topic = "t",
				   .event_key = "e",
				   .data_key = "",
				   .owner_keys = keys,
				   .n_owner_keys = 2};
	char *text = xstrndup((const char *)data, size > 8000 ? 8000 : size);
	const char *why = NULL;
	struct event *e;

	e = inline_from_application(&rule, text, 0, &why);
	check(e, why);
	rule.data_key = "d";
	why = NULL;
	e = inline_from_application(&rule, text, 0, &why);
	check(e, why);
	why = NULL;
	e = inline_from_trigger(&topics, text, 0, &why);
	check(e, why);
	free(text);
	return 0;
}
