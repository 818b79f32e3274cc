/* SPDX-License-Identifier: PostgreSQL
 * See websocket.h. Section numbers are RFC 6455's. */
#include "config.h"
#include "wire/websocket.h"

#include <assert.h>
#include <string.h>

#include "base/utf8.h"

#define FINAL 0x80
#define RSV   0x70
#define MASK  0x80

/* Section 5.2 */
void websocket_frame(struct buf *b, enum websocket_opcode opcode, const void *data, size_t len)
{
	unsigned n_len = len < 126 ? 0 : len < 65536 ? 2 : 8;

	buf_char(b, (char)(FINAL | opcode));
	buf_char(b, (char)(n_len == 0 ? len : n_len == 2 ? 126 : 127));
	while (n_len)
		buf_char(b, (char)((uint64_t)len >> 8 * --n_len));
	buf_add(b, data, len);
}

void websocket_close(struct buf *b, unsigned code, const char *reason)
{
	char payload[WEBSOCKET_CONTROL_MAX];
	size_t len = strlen(reason);

	assert(len <= sizeof(payload) - 2);
	payload[0] = (char)(code >> 8);
	payload[1] = (char)code;
	memcpy(payload + 2, reason, len);
	websocket_frame(b, WEBSOCKET_CLOSE, payload, len + 2);
}

void websocket_ping(struct buf *b)
{
	websocket_frame(b, WEBSOCKET_PING, "", 0);
}

void websocket_end(struct buf *b, enum wire_end end)
{
	static const struct {
		enum websocket_code code;
		const char *reason;
	} ends[N_ENDS] = {
		[END_RESTART] = {WEBSOCKET_SERVICE_RESTART, "connect again"},
		[END_UNAVAILABLE] = {WEBSOCKET_TRY_AGAIN, "not available; connect again later"},
		[END_CREDENTIAL] = {WEBSOCKET_UNAUTHORIZED, "the token is not valid any more"},
		[END_ROLE] = {WEBSOCKET_FORBIDDEN, "not allowed any more"},
		[END_SILENT] = {WEBSOCKET_TIMEOUT, "no answer to a ping"},
	};

	websocket_close(b, ends[end].code, ends[end].reason);
}

void websocket_init(struct websocket *w, size_t max_bytes)
{
	*w = (struct websocket){0};
	buf_init(&w->text, max_bytes);
}

void websocket_free(struct websocket *w)
{
	buf_free(&w->text);
}

static enum websocket_got fail(struct websocket *w, unsigned code, const char *why)
{
	w->code = (uint16_t)code;
	w->why = why;
	return WEBSOCKET_GOT_ERROR;
}

static bool is_control(const struct websocket *w)
{
	return w->opcode & 8;
}

/* Bytes of the head, as far as its second byte says: two, a length, a mask. */
static size_t head_len(const struct websocket *w)
{
	unsigned short_len = w->n_head < 2 ? 0 : w->head[1] & 0x7f;

	return w->n_head < 2 ? 2 : 6 + (short_len == 126 ? 2U : short_len == 127 ? 8U : 0U);
}

/* Its first two bytes are there. NULL, or why they are refused. */
static const char *check_start(struct websocket *w)
{
	unsigned opcode = w->head[0] & 0x0f, len = w->head[1] & 0x7f;

	if (w->head[0] & RSV)
		return "a reserved bit is set";
	if (!(w->head[1] & MASK))
		return "a frame is not masked"; /* section 5.1 */
	if (opcode > WEBSOCKET_PONG || (opcode > WEBSOCKET_BINARY && opcode < WEBSOCKET_CLOSE))
		return "the opcode is not known";
	if (opcode >= WEBSOCKET_CLOSE && (len > WEBSOCKET_CONTROL_MAX || !(w->head[0] & FINAL)))
		return "a control frame is long or in pieces"; /* section 5.5 */
	if (opcode == WEBSOCKET_CONTINUATION && !w->in_message)
		return "there is nothing to continue"; /* section 5.4 */
	if ((opcode == WEBSOCKET_TEXT || opcode == WEBSOCKET_BINARY) && w->in_message)
		return "a message begins within another one";
	return NULL;
}

static enum websocket_got take_head(struct websocket *w)
{
	unsigned short_len = w->head[1] & 0x7f;
	size_t n = short_len == 126 ? 2 : short_len == 127 ? 8 : 0;

	w->left = n ? 0 : short_len;
	for (size_t i = 0; i < n; i++)
		w->left = w->left << 8 | w->head[2 + i];
	/* "the minimal number of bytes MUST be used" */
	if ((n == 2 && w->left < 126) || (n == 8 && (w->left < 65536 || w->left >> 63)))
		return fail(w, WEBSOCKET_PROTOCOL_ERROR, "a length is not as short as it can be");
	memmove(w->head, w->head + 2 + n, 4);
	w->mask_at = 0;
	if (is_control(w)) {
		w->n_control = 0;
		return WEBSOCKET_GOT_NOTHING;
	}
	if (w->opcode == WEBSOCKET_BINARY)
		return fail(w, WEBSOCKET_UNSUPPORTED, "the message is binary");
	if (w->left > w->text.max - w->text.len)
		return fail(w, WEBSOCKET_TOO_LARGE, "the message is too large");
	w->in_message = true;
	return WEBSOCKET_GOT_NOTHING;
}

/* Whether what has come is the beginning of a text; notes how much of it is whole. Section 8.1: at
 * once, and not only at its end. */
static bool is_text(struct websocket *w, bool at_end)
{
	const char *s = buf_cstr(&w->text);
	char rest[4];
	size_t n, left;

	while (w->whole < w->text.len && (n = utf8_len(s + w->whole, w->text.len - w->whole)))
		w->whole += n;
	left = w->text.len - w->whole;
	if (!left)
		return true;
	if (at_end || left > 3)
		return false;
	/* Is there a character that begins so? Behind a second byte, 80 will do for the others. */
	memset(rest, 0x80, sizeof(rest));
	memcpy(rest, s + w->whole, left);
	if (left == 1)
		return (uint8_t)rest[0] >= 0xc2 && (uint8_t)rest[0] <= 0xf4;
	return utf8_len(rest, sizeof(rest)) > left;
}

static enum websocket_got end_close(struct websocket *w)
{
	struct websocket reason = {.text = {.max = WEBSOCKET_CONTROL_MAX}};
	bool ok;

	w->code = WEBSOCKET_NO_CODE;
	if (!w->n_control)
		return WEBSOCKET_GOT_CLOSE;
	if (w->n_control == 1)
		return fail(w, WEBSOCKET_PROTOCOL_ERROR, "half a close code");
	w->code = (uint16_t)((uint8_t)w->control[0] << 8 | (uint8_t)w->control[1]);
	/* Section 7.4.2; what an endpoint must not send is in 7.4.1. */
	if (w->code < 1000 || w->code > 4999 || (w->code > 1014 && w->code < 3000) ||
	    (w->code >= 1004 && w->code <= 1006))
		return fail(w, WEBSOCKET_PROTOCOL_ERROR, "no such close code");
	w->n_control = (uint8_t)(w->n_control - 2);
	memmove(w->control, w->control + 2, w->n_control);
	w->control[w->n_control] = '\0';
	buf_add(&reason.text, w->control, w->n_control);
	ok = is_text(&reason, true);
	buf_free(&reason.text);
	return ok ? WEBSOCKET_GOT_CLOSE : fail(w, WEBSOCKET_BAD_TEXT, "the reason is not UTF-8");
}

/* All of a frame's payload has come. */
static enum websocket_got end_frame(struct websocket *w)
{
	w->n_head = 0;
	if (w->opcode == WEBSOCKET_CLOSE)
		return end_close(w);
	if (is_control(w))
		return w->opcode == WEBSOCKET_PING ? WEBSOCKET_GOT_PING : WEBSOCKET_GOT_PONG;
	if (!is_text(w, w->final))
		return fail(w, WEBSOCKET_BAD_TEXT, "the message is not UTF-8");
	if (!w->final)
		return WEBSOCKET_GOT_NOTHING;
	w->in_message = false;
	w->told = true;
	return WEBSOCKET_GOT_TEXT;
}

static enum websocket_got take_payload(struct websocket *w, const char **at, const char *end)
{
	for (; w->left && *at < end; (*at)++, w->left--) {
		char c = (char)(**at ^ w->head[w->mask_at++ & 3]);

		if (is_control(w))
			w->control[w->n_control++] = c;
		else
			buf_char(&w->text, c);
	}
	if (!w->left)
		return end_frame(w);
	if (!is_control(w) && !is_text(w, false))
		return fail(w, WEBSOCKET_BAD_TEXT, "the message is not UTF-8");
	return WEBSOCKET_GOT_NOTHING;
}

bool websocket_rests(struct websocket *w)
{
	if (w->n_head || w->in_message)
		return false;
	buf_free(&w->text);
	w->whole = 0;
	w->told = false;
	return true;
}

enum websocket_got websocket_read(struct websocket *w, const char **at, const char *end)
{
	enum websocket_got got = WEBSOCKET_GOT_NOTHING;

	if (w->told) { /* the last message has been used */
		buf_clear(&w->text);
		w->whole = 0;
		w->told = false;
	}
	while (*at < end && got == WEBSOCKET_GOT_NOTHING) {
		const char *why;

		if (w->n_head == sizeof(w->head)) { /* in a payload */
			got = take_payload(w, at, end);
			continue;
		}
		w->head[w->n_head++] = (uint8_t) * (*at)++;
		if (w->n_head == 2 && (why = check_start(w)))
			return fail(w, WEBSOCKET_PROTOCOL_ERROR, why);
		if (w->n_head < head_len(w))
			continue;
		w->opcode = w->head[0] & 0x0f;
		w->final = w->head[0] & FINAL;
		got = take_head(w);
		w->n_head = sizeof(w->head);
		if (got == WEBSOCKET_GOT_NOTHING && !w->left)
			got = end_frame(w);
	}
	return got;
}
