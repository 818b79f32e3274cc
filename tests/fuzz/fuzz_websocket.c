/* SPDX-License-Identifier: PostgreSQL
 * wire/websocket: what a client's bytes mean does not depend on the pieces they come in; every text
 * is UTF-8 and no longer than allowed, and every code is one that may be sent. The bytes are a
 * client's; the first one says how they are cut. */
#include "config.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/utf8.h"
#include "target.h"
#include "wire/websocket.h"

#define MAX 300 /* bytes of a message */

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc;
	(void)argv;
	return 0;
}

static void expect_utf8(const char *s, size_t len)
{
	for (size_t at = 0, n; at < len; at += n) {
		n = utf8_len(s + at, len - at);
		assert(n);
	}
}

/* Section 7.4: what an endpoint may send. */
static bool is_code(unsigned code)
{
	return (code >= 1000 && code <= 1003) || (code >= 1007 && code <= 1014) ||
	       (code >= 3000 && code <= 4999);
}

static void tell(const struct websocket *w, enum websocket_got got, struct buf *trace)
{
	buf_printf(trace, "%d:", (int)got);
	switch (got) {
	case WEBSOCKET_GOT_TEXT:
		assert(buf_ok(&w->text) && w->text.len <= MAX);
		expect_utf8(buf_cstr(&w->text), w->text.len);
		buf_add(trace, buf_cstr(&w->text), w->text.len);
		break;
	case WEBSOCKET_GOT_CLOSE:
		assert(w->code == WEBSOCKET_NO_CODE ? !w->n_control : is_code(w->code));
		expect_utf8(w->control, w->n_control);
		/* fall through */
	case WEBSOCKET_GOT_PING:
	case WEBSOCKET_GOT_PONG:
		assert(w->n_control <= WEBSOCKET_CONTROL_MAX);
		buf_add(trace, w->control, w->n_control);
		break;
	case WEBSOCKET_GOT_ERROR:
		assert(w->why && is_code(w->code) && strlen(w->why) <= WEBSOCKET_CONTROL_MAX - 2);
		buf_printf(trace, "%u %s", w->code, w->why);
		break;
	case WEBSOCKET_GOT_NOTHING:
		break;
	}
}

/* What the bytes mean, read `step` at a time, 0 all at once; and whether it let go of its memory in
 * between makes no difference. */
static void read_all(const char *bytes, size_t size, size_t step, bool rests, struct buf *trace)
{
	const char *at = bytes, *end = bytes + size, *upto = step ? bytes : end;
	enum websocket_got got = WEBSOCKET_GOT_NOTHING;
	struct websocket w;

	websocket_init(&w, MAX);
	while (got != WEBSOCKET_GOT_CLOSE && got != WEBSOCKET_GOT_ERROR && at < end) {
		if (at == upto)
			upto = (size_t)(end - at) < step ? end : at + step;
		got = websocket_read(&w, &at, upto);
		assert(at <= upto && (got != WEBSOCKET_GOT_NOTHING || at == upto));
		if (got != WEBSOCKET_GOT_NOTHING)
			tell(&w, got, trace);
		if (rests)
			(void)websocket_rests(&w);
	}
	websocket_free(&w);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct buf whole, pieces;
	char *bytes;

	if (!size)
		return 0;
	bytes = malloc(size > 1 ? size - 1 : 1);
	assert(bytes);
	memcpy(bytes, data + 1, size - 1);
	buf_init(&whole, (size_t)1 << 26);
	buf_init(&pieces, (size_t)1 << 26);
	read_all(bytes, size - 1, 0, false, &whole);
	read_all(bytes, size - 1, 1 + data[0] % 16, true, &pieces);
	assert(whole.len == pieces.len && !memcmp(buf_cstr(&whole), buf_cstr(&pieces), whole.len));
	buf_free(&whole);
	buf_free(&pieces);
	free(bytes);
	return 0;
}
