/* SPDX-License-Identifier: PostgreSQL
 * See ndjson.h. */
#include "config.h"
#include "wire/ndjson.h"

void ndjson_text(struct buf *b, const char *json, size_t len)
{
	const char *end = json + len;

	while (json < end) {
		size_t n = (size_t)(end - json), line = 0;

		while (line < n && json[line] != '\n' && json[line] != '\r')
			line++;
		buf_add(b, json, line);
		if (line < n)
			buf_char(b, ' ');
		json += line + (line < n);
	}
}

void ndjson_message(struct buf *b, const char *json, size_t len)
{
	ndjson_text(b, json, len);
	buf_char(b, '\n');
}
