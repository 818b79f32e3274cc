/* SPDX-License-Identifier: PostgreSQL
 * See poll.h. */
#include "config.h"
#include "wire/poll.h"

#include "wire/ndjson.h"

void poll_message(struct buf *b, const char *json, size_t len, bool is_greeting)
{
	if (!is_greeting)
		buf_str(b, ",\n");
	ndjson_text(b, json, len);
}

void poll_end(struct buf *b, const char *id, uint64_t retry_ms, uint32_t expires_s)
{
	buf_printf(b, "\n], \"last_event_id\": \"%s\", \"retry\": ", id);
	buf_u64(b, retry_ms);
	if (expires_s) {
		buf_str(b, ", \"expires_in\": ");
		buf_u64(b, expires_s);
	}
	buf_str(b, "}\n");
}
