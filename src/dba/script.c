/* SPDX-License-Identifier: PostgreSQL
 * See script.h. */
#include "config.h"
#include "dba/script.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"
#include "sql/render.h"

void script_add(struct script *s, char *title, char *sql)
{
	s->items = xrealloc(s->items, s->n + 1, sizeof(*s->items));
	s->items[s->n++] = (struct step){title, sql};
}

void script_free(struct script *s)
{
	for (size_t i = 0; i < s->n; i++) {
		free(s->items[i].title);
		free(s->items[i].sql);
	}
	free(s->items);
	*s = (struct script){0};
}

bool script_print(const struct script *s)
{
	for (size_t i = 0; i < s->n; i++)
		printf("%s%s", i ? "\n" : "", s->items[i].sql);
	if (fflush(stdout) == 0 && !ferror(stdout))
		return true;
	perror("pgherald: cannot write the SQL");
	return false;
}

void script_begin(struct buf *out)
{
	autobuf begin = {0};

	render_begin(&begin);
	buf_str(out, buf_cstr(&begin));
	buf_char(out, '\n');
}
