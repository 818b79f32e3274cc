/* SPDX-License-Identifier: PostgreSQL
 * See ndjson.h. */
#include "config.h"
#include "wire/ndjson.h"

#include <assert.h>
#include <string.h>

void ndjson_object(struct buf *b, const char *json, size_t len, const char *id, uint64_t retry_ms)
{
	const char *end = json + len - 1; /* the last brace */

	assert(len > 2 && *end == '}');
	while (json < end) {
		size_t n = (size_t)(end - json), line = 0;

		while (line < n && json[line] != '\n' && json[line] != '\r')
			line++;
		buf_add(b, json, line);
		if (line < n)
			buf_char(b, ' ');
		json += line + (line < n);
	}
	if (id)
		buf_printf(b, ", \"id\": \"%s\"", id);
	if (retry_ms) {
		buf_str(b, ", \"retry\": ");
		buf_u64(b, retry_ms);
	}
	buf_char(b, '}');
}

void ndjson_message(struct buf *b, const char *json, size_t len, const char *id, uint64_t retry_ms)
{
	ndjson_object(b, json, len, id, retry_ms);
	buf_char(b, '\n');
}
