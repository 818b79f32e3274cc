/* SPDX-License-Identifier: PostgreSQL
 * See wire.h. */
#define _GNU_SOURCE
#include "wire.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define PART_MAX ((size_t)4 << 20) /* bytes: a line longer than this is nobody's event */

static bool append(char **to, size_t *len, size_t *cap, const char *p, size_t n)
{
	if (n > PART_MAX - *len)
		return false;
	if (*len + n + 1 > *cap) {
		*cap = (*len + n + 1) * 2;
		*to = realloc(*to, *cap);
		if (!*to)
			abort();
	}
	memcpy(*to + *len, p, n);
	*len += n;
	(*to)[*len] = '\0';
	return true;
}

/* Most streams are idle most of the time: they hold no memory then. */
static void release(char **to, size_t *len, size_t *cap)
{
	free(*to);
	*to = NULL;
	*len = *cap = 0;
}

static void take_data(struct wire_reader *r, const char *p, size_t n)
{
	if (r->has_data && !append(&r->data, &r->data_len, &r->data_cap, "\n", 1))
		r->bad = true;
	if (!append(&r->data, &r->data_len, &r->data_cap, p, n))
		r->bad = true;
	r->has_data = true;
}

/* One line of an event stream, without its end (WHATWG HTML, 9.2.6). */
static void sse_line(struct wire_reader *r, const char *p, size_t n)
{
	const char *colon;
	size_t name, skip;

	if (n && p[n - 1] == '\r')
		n--;
	if (!n) {
		if (r->has_data) {
			r->messages++;
			r->message(r->arg, r->id, r->data, r->data_len);
		}
		r->has_data = false;
		r->data_len = 0;
		return;
	}
	colon = memchr(p, ':', n);
	name = colon ? (size_t)(colon - p) : n;
	skip = colon ? name + 1 : n;
	if (skip < n && p[skip] == ' ')
		skip++;
	if (name == 4 && !memcmp(p, "data", 4))
		take_data(r, p + skip, n - skip);
	else if (name == 2 && !memcmp(p, "id", 2) && n - skip <= WIRE_ID_MAX) {
		memcpy(r->id, p + skip, n - skip);
		r->id[n - skip] = '\0';
	}
}

static void sse_feed(struct wire_reader *r, const char *p, size_t n)
{
	const char *end = p + n, *nl;

	while (p < end && (nl = memchr(p, '\n', (size_t)(end - p)))) {
		if (r->part_len) {
			r->bad |=
				!append(&r->part, &r->part_len, &r->part_cap, p, (size_t)(nl - p));
			sse_line(r, r->part, r->part_len);
			release(&r->part, &r->part_len, &r->part_cap);
		} else
			sse_line(r, p, (size_t)(nl - p));
		p = nl + 1;
	}
	if (p < end)
		r->bad |= !append(&r->part, &r->part_len, &r->part_cap, p, (size_t)(end - p));
	else if (!r->has_data)
		release(&r->data, &r->data_len, &r->data_cap);
}

/* A message that is an object, with its id among its members. */
static void take_object(struct wire_reader *r, const char *p, size_t n)
{
	static const char mark[] = "\"id\": \"";
	const char *id = NULL, *at = p, *end = p + n, *quote;

	/* ours; a document may have an "id", too, and it is never a position behind the last one */
	while ((at = memmem(at, (size_t)(end - at), mark, sizeof(mark) - 1)))
		id = at += sizeof(mark) - 1;
	quote = id ? memchr(id, '"', (size_t)(end - id)) : NULL;
	if (quote && quote - id <= WIRE_ID_MAX) {
		memcpy(r->id, id, (size_t)(quote - id));
		r->id[quote - id] = '\0';
	}
	r->messages++;
	r->message(r->arg, r->id, p, n);
}

static void ndjson_feed(struct wire_reader *r, const char *p, size_t n)
{
	const char *end = p + n, *nl;

	while (p < end && (nl = memchr(p, '\n', (size_t)(end - p)))) {
		if (r->part_len) {
			r->bad |=
				!append(&r->part, &r->part_len, &r->part_cap, p, (size_t)(nl - p));
			take_object(r, r->part, r->part_len);
			release(&r->part, &r->part_len, &r->part_cap);
		} else
			take_object(r, p, (size_t)(nl - p));
		p = nl + 1;
	}
	if (p < end)
		r->bad |= !append(&r->part, &r->part_len, &r->part_cap, p, (size_t)(end - p));
}

/* The whole frame at `p` (RFC 6455, section 5.2), unmasked as a server's are: its bytes; 0 when
 * more is to come. */
static size_t read_frame(struct wire_reader *r, const unsigned char *p, size_t n)
{
	size_t head = 2, len;

	if (n < 2)
		return 0;
	len = p[1] & 0x7f;
	head += len == 126 ? 2 : len == 127 ? 8 : 0;
	if (n < head)
		return 0;
	if (head > 2)
		len = 0;
	for (size_t i = 2; i < head; i++)
		len = len << 8 | p[i];
	if (len > PART_MAX || p[1] & 0x80) {
		r->bad = true;
		return 0;
	}
	if (n - head < len)
		return 0;
	if (p[0] == 0x81)
		take_object(r, (const char *)p + head, len);
	else if (p[0] != 0x89) /* a ping; no one here is asked often enough to be missed */
		r->bad = true; /* a close, or what no server of ours sends */
	return head + len;
}

static void websocket_feed(struct wire_reader *r, const char *p, size_t n)
{
	const unsigned char *at;
	size_t used = 0, k;

	if (r->part_len) {
		if (!append(&r->part, &r->part_len, &r->part_cap, p, n)) {
			r->bad = true;
			return;
		}
		p = r->part;
		n = r->part_len;
	}
	at = (const unsigned char *)p;
	while (!r->bad && (k = read_frame(r, at + used, n - used)))
		used += k;
	if (p == r->part) {
		memmove(r->part, r->part + used, n - used);
		r->part_len = n - used;
		if (!r->part_len)
			release(&r->part, &r->part_len, &r->part_cap);
	} else if (used < n) {
		r->bad |= !append(&r->part, &r->part_len, &r->part_cap, p + used, n - used);
	}
}

static const struct wire wires[] = {
	{"sse", "Accept: text/event-stream\r\n", 200, sse_feed},
	{"ndjson", "Accept: application/x-ndjson\r\n", 200, ndjson_feed},
	{"websocket",
	 "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
	 "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n",
	 101, websocket_feed},
};

const struct wire *wire_find(const char *name)
{
	for (size_t i = 0; i < sizeof(wires) / sizeof(*wires); i++)
		if (!strcmp(wires[i].name, name))
			return &wires[i];
	return NULL;
}

void wire_free(struct wire_reader *r)
{
	release(&r->part, &r->part_len, &r->part_cap);
	release(&r->data, &r->data_len, &r->data_cap);
}

void wire_begin(struct wire_reader *r)
{
	wire_free(r);
	r->state = WIRE_HEAD;
	r->status = 0;
	r->chunked = r->bad = r->has_data = false;
}

/* Collects the head; the number of bytes used. */
static size_t read_head(struct wire_reader *r, const char *p, size_t n)
{
	size_t before = r->part_len, head;
	const char *end;

	if (!append(&r->part, &r->part_len, &r->part_cap, p, n)) {
		r->bad = true;
		return n;
	}
	end = strstr(r->part, "\r\n\r\n");
	if (!end)
		return n;
	head = (size_t)(end - r->part) + 4;
	r->part[head] = '\0';
	if (sscanf(r->part, "HTTP/1.%*1[01] %3d", &r->status) != 1)
		r->bad = true;
	r->chunked = strcasestr(r->part, "\r\nTransfer-Encoding: chunked\r\n") != NULL;
	r->state = r->chunked ? WIRE_SIZE : WIRE_BODY;
	release(&r->part, &r->part_len, &r->part_cap);
	return head - before;
}

/* A chunk-size line, byte by byte: it is short. */
static void read_size(struct wire_reader *r, char c)
{
	if (c >= '0' && c <= '9')
		r->chunk_left = r->chunk_left * 16 + (size_t)(c - '0');
	else if ((c | 32) >= 'a' && (c | 32) <= 'f')
		r->chunk_left = r->chunk_left * 16 + (size_t)((c | 32) - 'a') + 10;
	else if (c == '\n')
		r->state = r->chunk_left ? WIRE_CHUNK : WIRE_OVER;
	else if (c != '\r')
		r->bad = true;
}

bool wire_read(struct wire_reader *r, const char *p, size_t n)
{
	const char *end = p + n;

	while (p < end && !r->bad) {
		size_t left = (size_t)(end - p), use = left;

		switch (r->state) {
		case WIRE_HEAD:
			p += read_head(r, p, left);
			r->chunk_left = 0;
			break;
		case WIRE_BODY:
			r->wire->feed(r, p, left);
			p = end;
			break;
		case WIRE_SIZE:
			read_size(r, *p++);
			break;
		case WIRE_CHUNK:
			if (use > r->chunk_left)
				use = r->chunk_left;
			r->wire->feed(r, p, use);
			p += use;
			r->chunk_left -= use;
			if (!r->chunk_left)
				r->state = WIRE_CHUNK_END;
			break;
		case WIRE_CHUNK_END: /* CR LF */
			if (*p == '\n')
				r->state = WIRE_SIZE;
			else if (*p != '\r')
				r->bad = true;
			p++;
			break;
		case WIRE_OVER:
			return true;
		}
	}
	return !r->bad;
}
