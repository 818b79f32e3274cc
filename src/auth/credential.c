/* SPDX-License-Identifier: PostgreSQL
 * See credential.h. */
#include "config.h"
#include "auth/credential.h"

#include <string.h>
#include <strings.h>

const char *credential_from_header(const char *header)
{
	static const char *const schemes[] = {"Token", "Bearer"};

	for (size_t i = 0; i < sizeof(schemes) / sizeof(*schemes); i++) {
		size_t len = strlen(schemes[i]);

		if (strncasecmp(header, schemes[i], len) != 0 || header[len] != ' ')
			continue;
		return header + len + strspn(header + len, " ");
	}
	return NULL;
}

static bool blank(char c)
{
	return c == ' ' || c == '\t';
}

const char *credential_from_cookie(const char *header, const char *name, size_t *ret_len)
{
	size_t name_len = strlen(name);
	const char *found = NULL;

	while (*header) {
		const char *end = header + strcspn(header, ";"), *p = header, *stop = end;

		header = end + (*end == ';');
		while (p < stop && blank(*p))
			p++;
		while (stop > p && blank(stop[-1]))
			stop--;
		if ((size_t)(stop - p) <= name_len || memcmp(p, name, name_len) != 0 ||
		    p[name_len] != '=')
			continue;
		p += name_len + 1;
		if (stop - p >= 2 && *p == '"' && stop[-1] == '"') {
			p++;
			stop--;
		}
		found = p;
		*ret_len = (size_t)(stop - p);
	}
	return found;
}

bool credential_plausible(const char *token, size_t max)
{
	size_t len = 0;

	for (; token[len]; len++)
		if (len == max || token[len] < '!' || token[len] > '~')
			return false;
	return len > 0;
}
