/* SPDX-License-Identifier: PostgreSQL
 * See parser.h, and conf_parse() in conf.h. */
#include "config.h"
#include "conf/parser.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "conf/value.h"

bool parser_fail(struct parser *p, unsigned line, const char *fmt, ...)
{
	va_list ap;

	buf_clear(p->error);
	buf_printf(p->error, "%s:%u: ", p->file, line);
	va_start(ap, fmt);
	buf_vprintf(p->error, fmt, ap);
	va_end(ap);
	return false;
}

static bool finish_value(struct parser *p)
{
	struct buf why;
	bool ok;

	if (!p->setting)
		return true;
	buf_init(&why, 512);
	if (!buf_ok(&p->value))
		ok = parser_fail(p, p->setting_line, "%s is longer than %d bytes", p->setting->name,
				 VALUE_MAX);
	else {
		ok = value_set(p->setting, p->base, buf_cstr(&p->value), &why);
		if (!ok)
			parser_fail(p, p->setting_line, "%s", buf_cstr(&why));
	}
	buf_free(&why);
	buf_clear(&p->value);
	p->setting = NULL;
	return ok;
}

static bool finish_section(struct parser *p)
{
	const struct setting *s;

	if (!finish_value(p))
		return false;
	if (!p->kind || !p->kind->size || p->reopened)
		return true;
	for (s = p->kind->settings; s->name; s++)
		if (s->flags & REQUIRED && !p->seen_here[s - p->kind->settings])
			return parser_fail(p, p->line, "[%s %s] has no %s", p->kind->name,
					   *(char **)p->base, s->name);
	return true;
}

static bool valid_name(const char *s)
{
	size_t len = strspn(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-");

	return len && len <= 40 && !s[len];
}

/* The section of that name that there is already: an included file's may be gone on with, once. */
static bool again(struct parser *p, size_t kind, size_t i, const char *name)
{
	const struct section *k = &section_table[kind];

	if (!p->included[kind][i] || p->within)
		return parser_fail(p, p->line, "[%s %s] is there twice", k->name, name);
	p->included[kind][i] = false;
	p->lines[kind][i] = p->line;
	p->files[kind][i] = p->file;
	p->base = section_element(p->conf, k, i);
	p->reopened = true;
	memset(p->named_seen, 0, sizeof(p->named_seen));
	p->seen_here = p->named_seen;
	return true;
}

static bool begin_section(struct parser *p, char *text)
{
	char *end = strchr(text, ']'), *name;
	const struct section *k = NULL;

	if (!end || end[1 + strspn(end + 1, " \t\r")])
		return parser_fail(p, p->line, "a section is written [name] on a line of its own");
	*end = '\0';
	name = text + strcspn(text, " \t");
	if (*name) {
		*name++ = '\0';
		name += strspn(name, " \t");
	}
	for (size_t i = 0; i < N_SECTIONS && !k; i++)
		if (!strcmp(section_table[i].name, text))
			k = &section_table[i];
	if (!k)
		return parser_fail(p, p->line, "unknown section [%.80s]", text);
	if (!k->size && *name)
		return parser_fail(p, p->line, "[%.80s] takes no name", text);
	p->kind = k;
	p->reopened = false;
	if (!k->size) {
		p->base = p->conf;
		p->seen_here = p->seen[k - section_table];
		return true;
	}
	if (!valid_name(name))
		return parser_fail(p, p->line, "[%s NAME] needs a name of letters, digits, - and _",
				   text);
	for (size_t i = 0; i < *section_count(p->conf, k); i++)
		if (!strcmp(*(char **)section_element(p->conf, k, i), name))
			return again(p, (size_t)(k - section_table), i, name);
	if (*section_count(p->conf, k) == NAMED_MAX)
		return parser_fail(p, p->line, "more than %d sections [%s]", NAMED_MAX, text);
	p->lines[k - section_table][*section_count(p->conf, k)] = p->line;
	p->files[k - section_table][*section_count(p->conf, k)] = p->file;
	p->included[k - section_table][*section_count(p->conf, k)] = p->within;
	p->base = section_add(p->conf, k, name);
	memset(p->named_seen, 0, sizeof(p->named_seen));
	p->seen_here = p->named_seen;
	return true;
}

/* "include = FILE", anywhere: what follows begins with a section of its own. */
static bool include(struct parser *p, const char *name)
{
	const char *file = p->file;
	unsigned line = p->line;

	if (!finish_section(p))
		return false;
	p->kind = NULL;
	if (!p->include)
		return parser_fail(p, line, "include stands in a file only");
	if (p->within)
		return parser_fail(p, line, "a file that is included includes none");
	if (!*name)
		return parser_fail(p, line, "include names no file");
	p->within = true;
	if (!p->include(p, name))
		return false;
	p->within = false;
	p->file = file;
	p->line = line;
	p->kind = NULL;
	return true;
}

static bool begin_setting(struct parser *p, char *text)
{
	char *equals = strchr(text, '='), *end;
	const struct setting *s;

	if (!equals)
		return parser_fail(p, p->line, "expected \"name = value\"");
	for (end = equals; end > text && strchr(" \t", end[-1]); end--)
		;
	*end = '\0';
	if (!strcmp(text, "include"))
		return include(p, equals + 1 + strspn(equals + 1, " \t"));
	if (!p->kind)
		return parser_fail(p, p->line, "%.80s stands before the first section", text);
	for (s = p->kind->settings; s->name && strcmp(s->name, text) != 0; s++)
		;
	if (!s->name)
		return parser_fail(p, p->line, "unknown setting %.80s in [%s]", text,
				   p->kind->name);
	assert(s - p->kind->settings < SETTINGS_MAX);
	if (p->seen_here[s - p->kind->settings])
		return parser_fail(p, p->line, "%s is set twice, first in line %u", text,
				   p->seen_here[s - p->kind->settings]);
	p->seen_here[s - p->kind->settings] = p->line;
	p->setting = s;
	p->setting_line = p->line;
	buf_str(&p->value, equals + 1 + strspn(equals + 1, " \t"));
	return true;
}

static bool parse_line(struct parser *p, char *text)
{
	size_t len = strlen(text);

	while (len && strchr(" \t\r", text[len - 1]))
		text[--len] = '\0';
	if (!len || *text == '#' || *text == ';')
		return true;
	if (*text == ' ' || *text == '\t') {
		text += strspn(text, " \t");
		if (*text == '#' || *text == ';')
			return true;
		if (!p->setting)
			return parser_fail(p, p->line,
					   "an indented line continues a value, and there is "
					   "none above it");
		if (p->value.len)
			buf_char(&p->value, ' ');
		buf_str(&p->value, text);
		return true;
	}
	if (*text == '[')
		return finish_section(p) && begin_section(p, text + 1);
	return finish_value(p) && begin_setting(p, text);
}

bool parser_read(struct parser *p, const char *file, const char *text, size_t len)
{
	size_t mark = len >= 3 && !memcmp(text, "\xef\xbb\xbf", 3) ? 3 : 0;

	p->file = file;
	p->line = 0;
	p->kind = NULL;
	memset(p->seen, 0, sizeof(p->seen)); /* a later file may say it anew */
	text += mark; /* some editors begin a file of UTF-8 with one, and do not show it */
	len -= mark;
	while (len) {
		const char *end = memchr(text, '\n', len);
		size_t n = end ? (size_t)(end - text) : len;
		autofree char *line = xstrndup(text, n);

		p->line++;
		if (strlen(line) != n)
			return parser_fail(p, p->line, "a NUL byte");
		if (!parse_line(p, line))
			return false;
		text += n + (end != NULL);
		len -= n + (end != NULL);
	}
	if (!p->main_line && !p->within)
		p->main_line = p->line;
	return finish_section(p);
}

struct parser *parser_new(const char *path, struct buf *error)
{
	struct parser *p = xcalloc(1, sizeof(*p));

	p->conf = xcalloc(1, sizeof(*p->conf));
	p->conf->refs = 1;
	p->conf->path = xstrdup(path);
	p->error = error;
	buf_init(&p->value, VALUE_MAX);
	for (size_t i = 0; i < N_SECTIONS; i++)
		if (!section_table[i].size)
			value_defaults(section_table[i].settings, p->conf);
	return p;
}

struct conf *parser_end(struct parser *p, bool ok)
{
	struct conf *c = p->conf;

	ok = ok && environment_apply(p) && check_conf(p);
	buf_free(&p->value);
	while (p->n_names)
		free(p->names[--p->n_names]);
	free(p);
	if (ok)
		return c;
	conf_unref(c);
	return NULL;
}

struct conf *conf_parse(const char *path, const char *text, size_t len, struct buf *error)
{
	struct parser *p = parser_new(path, error);

	return parser_end(p, parser_read(p, path, text, len));
}
