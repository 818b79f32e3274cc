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

bool credential_plausible(const char *token)
{
	size_t len = 0;

	for (; token[len]; len++)
		if (len == TOKEN_MAX || token[len] < '!' || token[len] > '~')
			return false;
	return len > 0;
}
