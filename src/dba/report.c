/* SPDX-License-Identifier: PostgreSQL
 * See report.h. */
#include "config.h"
#include "dba/report.h"

#include <stdio.h>
#include <string.h>

#include "base/shown.h"
#include "wire/json.h"

enum { WIDTH = 80, OUT_MAX = 64 << 20 };

void report_begin(struct report *r, bool json)
{
	*r = (struct report){.json = json};
	buf_init(&r->out, OUT_MAX);
}

/* Names and messages come from a database in which others make names: nothing of them may move the
 * cursor of a terminal. */
static void print_line(const char *before, const char *text)
{
	fputs(before, stdout);
	shown_print(stdout, text, strlen(text));
}

static void print_wrapped(const char *text)
{
	while (*text) {
		size_t len = strlen(text), cut = strcspn(text, "\n");

		if (cut > WIDTH)
			for (cut = WIDTH; cut > WIDTH / 2 && text[cut] != ' '; cut--)
				;
		while (cut && ((unsigned char)text[cut] & 0xc0) == 0x80)
			cut--; /* not in the middle of a character */
		if (cut > len)
			cut = len;
		fputs("  ", stdout);
		shown_print(stdout, text, cut);
		putchar('\n');
		text += cut;
		text += strspn(text, " \n");
	}
}

static void add_text(struct buf *out, const char *key, const char *value)
{
	buf_printf(out, "%s\"%s\":", out->data[out->len - 1] == '{' ? "" : ",", key);
	if (value)
		json_string(out, value, strlen(value));
	else
		buf_str(out, "null");
}

void report_add(struct report *r, const struct finding *f)
{
	r->n++;
	if (strcmp(f->severity, "notice") != 0)
		r->n_bad++;
	if (r->json) {
		buf_str(&r->out, r->n > 1 ? ",{" : "{");
		add_text(&r->out, "id", f->id);
		add_text(&r->out, "severity", f->severity);
		add_text(&r->out, "object", f->object);
		add_text(&r->out, "message", f->message);
		add_text(&r->out, "means", f->means);
		add_text(&r->out, "fix", f->fix);
		buf_char(&r->out, '}');
		return;
	}
	printf("%s %s", f->severity, f->id);
	print_line(": ", f->object);
	print_line(": ", f->message);
	putchar('\n');
	print_wrapped(f->means);
	if (f->fix) {
		print_line("  Fix: ", f->fix);
		putchar('\n');
	}
	putchar('\n');
}

void report_blind(struct report *r, const char *id, const char *why)
{
	fprintf(stderr, "pgherald: could not check %s: ", id);
	shown_print(stderr, why, strcspn(why, "\n"));
	fputc('\n', stderr);
	r->n_blind++;
}

int report_end(struct report *r)
{
	bool clean = !r->n_bad && !r->n_blind;

	if (r->json)
		printf("{\"clean\":%s,\"findings\":[%s]}\n", clean ? "true" : "false",
		       buf_cstr(&r->out));
	else
		printf("%s: %u to mend, %u to know, %u not checked\n",
		       clean ? "clean" : "not clean", r->n_bad, r->n - r->n_bad, r->n_blind);
	buf_free(&r->out);
	return r->n_bad ? 1 : r->n_blind ? 2 : 0;
}
