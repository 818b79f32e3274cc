/* SPDX-License-Identifier: PostgreSQL
 * See words.h. */
#include "config.h"
#include "web/words.h"

#include <time.h>

#include "wire/form.h"

#define WORDS_MAX 512 /* bytes */

struct frame *words_in(struct words *words, uint32_t form)
{
	struct frame *f = words->frames;
	struct buf b;

	while (f && f->kind != form)
		f = f->next;
	if (f)
		return f;
	buf_init(&b, WORDS_MAX);
	words->write(form, &b, words->text);
	if (b.len) {
		f = frame_new(buf_cstr(&b), b.len);
		f->kind = form;
		f->next = words->frames;
		words->frames = f;
	}
	buf_free(&b);
	return f;
}

void words_free(struct words *words)
{
	for (struct frame *f = words->frames, *next; f; f = next) {
		next = f->next;
		frame_unref(f);
	}
}

void words_keepalive(uint32_t form, struct buf *b, const char *id)
{
	form_keepalive(form, b, (int64_t)time(NULL), id);
}

void words_comment(uint32_t form, struct buf *b, const char *text)
{
	form_comment(form, b, text);
}

void words_probe(uint32_t form, struct buf *b, const char *none)
{
	(void)none;
	form_probe(form, b, (int64_t)time(NULL));
}
