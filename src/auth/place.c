/* SPDX-License-Identifier: PostgreSQL
 * See place.h. */
#include "config.h"
#include "auth/place.h"

#include <stddef.h>
#include <string.h>
#include <strings.h>

static const struct {
	const char *word;
	enum place_kind kind;
	const char *name; /* without one behind a colon */
	bool named;	  /* one can stand there */
} words[] = {
	{"authorization", PLACE_AUTHORIZATION, NULL, false},
	{"protocol", PLACE_PROTOCOL, NULL, false},
	{"query", PLACE_QUERY, "token", true},
	{"cookie", PLACE_COOKIE, NULL, true},
	{"header", PLACE_HEADER, NULL, true},
};

/* A token of RFC 9110 section 5.6.2, which is what names of headers and cookies are. */
static bool is_name(const char *s)
{
	for (const char *p = s; *p; p++)
		if (*p <= ' ' || *p > '~' || strchr("()<>@,;:\\\"/[]?={}", *p))
			return false;
	return *s != '\0';
}

bool place_parse(const char *text, struct place *ret)
{
	size_t len = strcspn(text, ":");
	const char *name = text[len] ? text + len + 1 : NULL;

	for (size_t i = 0; i < sizeof(words) / sizeof(*words); i++) {
		if (strlen(words[i].word) != len || memcmp(words[i].word, text, len) != 0)
			continue;
		*ret = (struct place){words[i].kind, name ? name : words[i].name};
		if (name)
			return words[i].named && is_name(name);
		return !words[i].named || ret->name;
	}
	return false;
}

bool place_same(const struct place *a, const struct place *b)
{
	if (a->kind != b->kind || !a->name || !b->name)
		return a->kind == b->kind;
	if (a->kind == PLACE_HEADER)
		return !strcasecmp(a->name, b->name);
	return !strcmp(a->name, b->name);
}
