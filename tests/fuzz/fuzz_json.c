/* SPDX-License-Identifier: PostgreSQL
 * wire/json and wire/sse: a strict reader takes what we write; an event stays one event. */
#include "config.h"

#include <assert.h>
#include <json-c/json.h>
#include <stdbool.h>
#include <string.h>

#include "target.h"
#include "wire/json.h"
#include "wire/scan.h"
#include "wire/sse.h"

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc;
	(void)argv;
	return 0;
}

static void sse(const char *text, size_t size)
{
	struct buf b;
	const char *p, *end;

	buf_init(&b, SIZE_MAX / 2);
	sse_data(&b, text, size);
	buf_char(&b, '\n');
	assert(!memchr(b.data, '\r', b.len));
	end = b.data + b.len - 1; /* the blank line */
	for (p = b.data; p < end; p++) {
		assert(!strncmp(p, "data: ", 6));
		p = memchr(p, '\n', (size_t)(end - p));
		assert(p);
	}
	assert(*end == '\n');
	buf_free(&b);
}

/* A JSON string with other line ends is the same string without them. */
static void line_ends(const char *string, size_t len)
{
	struct buf b;

	buf_init(&b, SIZE_MAX / 2);
	json_text(&b, string);
	assert(!strstr(buf_cstr(&b), "\xc2\x85") && !strstr(buf_cstr(&b), "\xe2\x80\xa8") &&
	       !strstr(buf_cstr(&b), "\xe2\x80\xa9"));
	assert(b.len >= len);
	buf_free(&b);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct json_tokener *t = json_tokener_new();
	struct json_object *o;
	struct scan v;
	struct buf b;

	if (size > 100000)
		size = 100000;
	buf_init(&b, SIZE_MAX / 2);
	json_string(&b, (const char *)data, size);
	for (size_t i = 0; i < b.len; i++)
		assert((unsigned char)b.data[i] >= 0x20);
	/* Not strict: json-c 0.18 then takes a letter beyond ASCII for an error. */
	json_tokener_set_flags(t, JSON_TOKENER_VALIDATE_UTF8);
	o = json_tokener_parse_ex(t, b.data, (int)b.len + 1);
	assert(json_tokener_get_error(t) == json_tokener_success);
	assert(json_object_is_type(o, json_type_string));
	json_object_put(o);
	json_tokener_free(t);
	assert(scan_text(b.data, b.len, &v) && v.len == b.len);
	line_ends(b.data, b.len);
	buf_free(&b);
	sse((const char *)data, size);
	return 0;
}
