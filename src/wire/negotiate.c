/* SPDX-License-Identifier: PostgreSQL
 * See negotiate.h. */
#include "config.h"
#include "wire/negotiate.h"

#include <string.h>
#include <strings.h>

/* An element of a comma-separated list, without the blanks around it. */
struct item {
	const char *s;
	size_t len;
};

/* Takes one off; false at the end. Commas in quotes do not separate. */
static bool next_item(const char **rest, struct item *ret)
{
	const char *s = *rest, *end;
	bool quoted = false;

	s += strspn(s, ", \t");
	if (!*s)
		return false;
	for (end = s; *end && (quoted || *end != ','); end++) {
		if (*end == '"')
			quoted = !quoted;
		else if (quoted && *end == '\\' && end[1])
			end++;
	}
	*rest = end;
	while (end > s && strchr(" \t", end[-1]))
		end--;
	*ret = (struct item){s, (size_t)(end - s)};
	return true;
}

/* The weight that stands behind a range says "not at all": ;q=0, with up to three digits more. */
static bool refused(const char *params, size_t len)
{
	for (size_t i = 0; i + 3 < len; i++) {
		size_t k = i + 1;

		if (params[i] != ';')
			continue;
		while (k < len && strchr(" \t", params[k]))
			k++;
		if (k + 2 >= len || strncasecmp(params + k, "q=", 2) != 0)
			continue;
		for (k += 2; k < len && strchr("0.", params[k]); k++)
			;
		return k == len || strchr("; \t", params[k]);
	}
	return false;
}

/* How specific a range is that matches: 3 the type itself, 2 its main type, 1 anything, 0 no match.
 */
static int specificity(struct item range, const char *type)
{
	size_t name = 0, main = strcspn(type, "/");

	while (name < range.len && !strchr("; \t", range.s[name]))
		name++;
	if (name == strlen(type) && !strncasecmp(range.s, type, name))
		return 3;
	if (name == main + 2 && !strncasecmp(range.s, type, main + 1) && range.s[name - 1] == '*')
		return 2;
	return name == 3 && !memcmp(range.s, "*/*", 3);
}

/* The best range for the type: how specific, and whether it allows it. */
static int best(const char *accept, const char *type, bool *ret_allows)
{
	struct item range;
	int found = 0;

	*ret_allows = false;
	while (next_item(&accept, &range)) {
		int n = specificity(range, type);

		if (n < found || !n)
			continue;
		*ret_allows = !refused(range.s, range.len) || (n == found && *ret_allows);
		found = n;
	}
	return found;
}

bool negotiate_accepts(const char *accept, const char *type)
{
	bool allows;

	if (!accept[strspn(accept, ", \t")])
		return true;
	return best(accept, type, &allows) && allows;
}

bool negotiate_names(const char *accept, const char *type)
{
	bool allows;

	return best(accept, type, &allows) == 3 && allows;
}

bool negotiate_lists(const char *list, const char *item)
{
	struct item i;

	while (next_item(&list, &i))
		if (i.len == strlen(item) && !strncasecmp(i.s, item, i.len))
			return true;
	return false;
}

bool negotiate_upgrades(const char *upgrade)
{
	static const char *const offered[] = {"h2", "h2c", "h3", "HTTP", "TLS"};
	struct item protocol;

	while (next_item(&upgrade, &protocol)) {
		size_t name = 0, i = 0;

		while (name < protocol.len && !strchr("/ \t", protocol.s[name]))
			name++;
		while (i < sizeof(offered) / sizeof(*offered) &&
		       (name != strlen(offered[i]) ||
			strncasecmp(protocol.s, offered[i], name) != 0))
			i++;
		if (i == sizeof(offered) / sizeof(*offered))
			return true;
	}
	return false;
}
