/* SPDX-License-Identifier: PostgreSQL
 * See socket.h. */
#include "config.h"
#include "doctor/socket.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

enum { LINE = 512 };

/* "127.0.0.1:8080 (Stream)" and "/run/pgherald/http.sock (Stream)"; NULL for what no browser can
 * come by. */
static char *address_of(char *text)
{
	char *kind = strstr(text, " (Stream)");

	if (!kind || (*text != '/' && !strchr(text, ':')))
		return NULL;
	*kind = '\0';
	return xasprintf("%s%s", *text == '/' ? "unix:" : "", text);
}

size_t socket_addresses(const char *unit, char *ret[SOCKET_MAX])
{
	autofree char *command =
		xasprintf("systemctl show --property=ActiveState,Listen '%s' 2>/dev/null", unit);
	FILE *f = popen(command, "re"); /* the unit's name has no letter that a shell knows */
	char line[LINE];
	bool active = false;
	size_t n = 0;

	while (f && fgets(line, sizeof(line), f)) {
		active = active || !strcmp(line, "ActiveState=active\n");
		if (n < SOCKET_MAX && !strncmp(line, "Listen=", strlen("Listen=")) &&
		    (ret[n] = address_of(line + strlen("Listen="))))
			n++;
	}
	if (f)
		pclose(f);
	while (!active && n)
		free(ret[--n]);
	return n;
}
