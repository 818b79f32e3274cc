/* SPDX-License-Identifier: PostgreSQL
 * wire/form: whatever document a row has, each form is what its readers take apart: the JSON of an
 * event is one line of NDJSON, and an answer of long-poll is one document. The input is the
 * document. */
#include "config.h"

#include <assert.h>
#include <json-c/json.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "target.h"
#include "wire/form.h"
#include "wire/scan.h"

#define ID "3f9a1c07.0.rx"

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc;
	(void)argv;
	return 0;
}

/* NULL unless all of it is one value. */
static struct json_object *parse(const char *text)
{
	struct json_tokener *t = json_tokener_new();
	struct json_object *o;

	json_tokener_set_flags(t, JSON_TOKENER_STRICT);
	o = json_tokener_parse_ex(t, text, (int)strlen(text) + 1);
	if (json_tokener_get_error(t) != json_tokener_success) {
		json_object_put(o);
		o = NULL;
	}
	json_tokener_free(t);
	return o;
}

static struct json_object *member(struct json_object *o, const char *name)
{
	struct json_object *m = NULL;

	assert(json_object_object_get_ex(o, name, &m));
	return m;
}

static void is_the_event(struct json_object *message, struct json_object *doc)
{
	assert(json_object_equal(member(message, "data"), doc));
	assert(!strcmp(json_object_get_string(member(message, "id")), ID));
	assert(!strcmp(json_object_get_string(member(message, "scope")), "enter"));
}

static uint32_t form(enum wire_transport transport, enum wire_dialect dialect)
{
	const struct form_parts p = {
		.transport = transport, .dialect = dialect, .no_ids = dialect == DIALECT_RAW};

	return form_of(&p);
}

/* In every dialect an event is one JSON text on one line. */
static void check_lines(const struct news *n)
{
	for (enum wire_dialect d = 0; d < N_DIALECTS; d++) {
		autobuf line = {.max = SIZE_MAX / 2};
		struct json_object *parsed;

		form_event(form(TRANSPORT_NDJSON, d), &line, n, ID);
		assert(strpbrk(buf_cstr(&line), "\r\n") == buf_cstr(&line) + line.len - 1);
		parsed = parse(buf_cstr(&line));
		assert(parsed || d == DIALECT_RAW); /* which may be null */
		json_object_put(parsed);
	}
}

static void check(const char *text, struct json_object *doc)
{
	const struct news n = {.type = "a.updated",
			       .doc = text,
			       .scope = "enter",
			       .user = text,
			       .full = true,
			       .keepalive_s = 30,
			       .at = 1,
			       .txid = 5};
	uint32_t poll = form(TRANSPORT_POLL, DIALECT_DJANGO);
	autobuf line = {.max = SIZE_MAX / 2}, answer = {.max = SIZE_MAX / 2};
	struct json_object *parsed;

	check_lines(&n);
	form_event(form(TRANSPORT_NDJSON, DIALECT_DJANGO), &line, &n, ID);
	parsed = parse(buf_cstr(&line));
	assert(parsed);
	is_the_event(parsed, doc);
	json_object_put(parsed);

	form_hello(poll, &answer, &n, 3000, ID);
	form_event(poll, &answer, &n, ID);
	form_probe(poll, &answer, 2);
	form_farewell(poll, &answer, 0, 3, ID);
	parsed = parse(buf_cstr(&answer));
	assert(parsed && json_object_array_length(member(parsed, "events")) == 2);
	is_the_event(json_object_array_get_idx(member(parsed, "events"), 1), doc);
	json_object_put(parsed);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = xstrndup((const char *)data, size);
	struct scan value; /* json-c lets control characters into strings, PostgreSQL does not */
	struct json_object *doc = scan_text(text, strlen(text), &value) ? parse(text) : NULL;

	/* What PostgreSQL calls json is a value; a bare word says too little to compare. */
	if (json_object_is_type(doc, json_type_object) || json_object_is_type(doc, json_type_array))
		check(text, doc);
	json_object_put(doc);
	free(text);
	return 0;
}
