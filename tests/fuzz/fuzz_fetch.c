/* SPDX-License-Identifier: PostgreSQL
 * pg/fetch: the journal's rows as they come from libpq. A line is a row, "|" parts its fields, "-"
 * is NULL; the first one is the plan's header. Whatever stands there is no plan, a page that is not
 * whole, or a list of events each of which has a position. */
#include "config.h"

#include <assert.h>
#include <libpq-fe.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "pg/fetch.h"
#include "target.h"

enum { N_COLUMNS = FETCH_N_COLUMNS };

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
			assert(strcmp(events[i]->after.list[k - 1], events[i]->after.list[k]) < 0);
		event_unref(events[i]);
	}
	free(events);
}

/* The statement groups by transaction, so none is there twice. */
static bool each_once(const struct fetch_plan *p)
{
	for (size_t i = 1; i < p->n + p->n_late; i++)
		for (size_t k = 0; k < i; k++)
			if (p->order[k] == p->order[i])
				return false;
	return true;
}

/* The page that came with the plan, or the same rows as a page that says "fetch again". */
static void read_pages(struct fetch_plan *p, const PGresult *r, bool bare)
{
	static const uint64_t known[] = {11, 14};
	static const struct fetch_apart apart = {.known = known, .n_known = 2};
	const struct cursor base = {.epoch = "epoch001", .loss = 2, .xmax = 10};
	const struct fetch_from from = {.xmax = 10};
	struct event **events;
	size_t n;

	(void)!fetch_pruned(p, &from);
	fetch_begin(p, &base, &from, &apart);
	if (bare)
		fetch_tell_bare(p, "loss");
	p->with_rights = bare;
	if (fetch_read_page(p, r, true, &events, &n) == FETCH_ROWS)
		expect_positions(events, n);
	assert(p->done <= p->n);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct fetch_from from = {.xmax = 10};
	char *text = xstrndup((const char *)data, size);
	PGresult *r = result_of(text);
	struct fetch_plan p;
	const char *why = NULL;

	for (int bare = 0; bare < 2; bare++)
		if (fetch_read_plan(&p, r, &from, &why) == FETCH_ROWS) {
			if (each_once(&p))
				read_pages(&p, r, bare);
			fetch_plan_free(&p);
		} else {
			assert(why && *why);
		}
	PQclear(r);
	free(text);
	return 0;
}
