/* SPDX-License-Identifier: PostgreSQL
 * pg/fetch: the journal's rows as they come from libpq. A line is a row, "|" parts its fields, "-"
 * is NULL; the first one is the plan's header. Whatever stands there is no plan, a page that is not
 * whole, or a list of events each of which has a position. */
#include "config.h"

#include <assert.h>
#include <libpq-fe.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "pg/fetch.h"
#include "target.h"

enum { N_COLUMNS = 10 };

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc;
	(void)argv;
	log_setup(LOG_L_ERROR, LOG_F_TEXT);
	return 0;
}

static PGresult *result_of(char *text)
{
	static char name[] = "c";
	PGresult *r = PQmakeEmptyPGresult(NULL, PGRES_TUPLES_OK);
	PGresAttDesc columns[N_COLUMNS];
	char *line, *field;
	bool ok;

	memset(columns, 0, sizeof(columns));
	for (int i = 0; i < N_COLUMNS; i++)
		columns[i].name = name;
	ok = PQsetResultAttrs(r, N_COLUMNS, columns);
	assert(ok);
	for (int row = 0; (line = strsep(&text, "\n")); row++)
		for (int col = 0; col < N_COLUMNS; col++) {
			field = line ? strsep(&line, "|") : NULL;
			if (field && strcmp(field, "-") != 0)
				ok = PQsetvalue(r, row, col, field, (int)strlen(field));
			else
				ok = PQsetvalue(r, row, col, NULL, -1);
			assert(ok);
		}
	return r;
}

static void expect_positions(struct event **events, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		struct cursor c;

		assert(events[i]->cursor && strlen(events[i]->cursor) <= CURSOR_TEXT_MAX);
		assert(cursor_parse(&c, events[i]->cursor, strlen(events[i]->cursor)));
		assert(events[i]->type);
		for (size_t k = 1; k < events[i]->after.n; k++)
			assert(strcmp(events[i]->after.keys[k - 1], events[i]->after.keys[k]) < 0);
		event_unref(events[i]);
	}
	free(events);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct cursor base = {.epoch = "epoch001", .loss = 2, .xmax = 10};
	const struct fetch_from from = {.xmax = 10};
	char *text = xstrndup((const char *)data, size);
	PGresult *r = result_of(text);
	struct fetch_plan p;
	const char *why = NULL;
	struct event **events;
	size_t n;

	if (fetch_read_plan(&p, r, &why)) {
		(void)!fetch_pruned(&p, &from);
		fetch_begin(&p, &base, &from);
		if (fetch_read_rows(&p, r, true, &events, &n))
			expect_positions(events, n);
		fetch_plan_free(&p);
	} else {
		assert(why && *why);
	}
	PQclear(r);
	free(text);
	return 0;
}
