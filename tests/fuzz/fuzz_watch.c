/* SPDX-License-Identifier: PostgreSQL
 * sql/watch: five settings, a line each (table, key, owners, fields, leave). What is read is
 * complete; what is not has a reason. */
#include "config.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "sql/watch.h"
#include "target.h"

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc;
	(void)argv;
	return 0;
}

static void check(const struct watch *w)
{
	assert(*w->schema && *w->table && w->n_key && w->n_fields);
	for (size_t i = 0; i < w->n_fields; i++) {
		const struct watch_field *f = &w->fields[i];

		assert(*f->name && *f->column);
		assert(!f->join_table == !f->join_schema && !f->join_table == !f->join_label);
		assert(!strstr(f->column, "$pgherald$"));
		for (size_t k = 0; k < i; k++)
			assert(strcmp(f->name, w->fields[k].name) != 0);
	}
	for (size_t i = 0; i < w->n_owners; i++)
		assert(*w->owners[i].column && w->owners[i].n_hops <= 4);
	for (size_t i = 0; i < w->n_owners; i++)
		for (size_t k = 0; k < w->owners[i].n_hops; k++)
			assert(*w->owners[i].hops[k].key && *w->owners[i].hops[k].value);
	assert(!w->n_owners || w->n_leave);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *copy = xstrndup((const char *)data, size), *part[5] = {NULL}, *at = copy;
	struct buf error;
	struct watch *w;

	buf_init(&error, 1 << 16);
	for (size_t i = 0; i < 5 && at; i++) {
		part[i] = at;
		at = strchr(at, '\n');
		if (at)
			*at++ = '\0';
	}
	w = watch_parse("topic", part[0], part[1], part[2], part[3], part[4], &error);
	if (w)
		check(w);
	else
		assert(error.len && buf_ok(&error));
	watch_free(w);
	buf_free(&error);
	free(copy);
	return 0;
}
