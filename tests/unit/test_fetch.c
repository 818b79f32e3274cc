/* SPDX-License-Identifier: PostgreSQL
 * pg/fetch without a server: plans and pages as results made by hand. */
#include "config.h"
#include "unit.h"

#include <libpq-fe.h>

#include "pg/fetch.h"

enum { N_COLUMNS = 10 };

static PGresult *new_result(void)
{
	static char names[N_COLUMNS][16];
	PGresAttDesc desc[N_COLUMNS];
	PGresult *r = PQmakeEmptyPGresult(NULL, PGRES_TUPLES_OK);

	memset(desc, 0, sizeof(desc));
	for (int i = 0; i < N_COLUMNS; i++) {
		snprintf(names[i], sizeof(names[i]), "c%d", i);
		desc[i].name = names[i];
	}
	assert_non_null(r);
	assert_true(PQsetResultAttrs(r, N_COLUMNS, desc));
	return r;
}

/* A row of fields parted by "|"; "-" is NULL. */
static void add_row(PGresult *r, const char *fields)
{
	int row = PQntuples(r), col = 0;

	for (const char *p = fields;; p++, col++) {
		size_t len = strcspn(p, "|");
		char value[200];

		assert_true(col < N_COLUMNS);
		snprintf(value, sizeof(value), "%.*s", (int)len, p);
		if (!strcmp(value, "-"))
			assert_true(PQsetvalue(r, row, col, NULL, -1));
		else
			assert_true(PQsetvalue(r, row, col, value, (int)len));
		p += len;
		if (!*p)
			break;
	}
	assert_int_equal(col, N_COLUMNS - 1);
}

/* Three transactions: 12 with a row, 10 with two, 15 with one. */
#define HEADER "0|3|9|-|epoch001|-|10:17:11,16|-|12 10 15|1 2 1"

static struct fetch_from base_from(const struct cursor *c)
{
	return (struct fetch_from){.xmax = c->xmax,
				   .out = c->out,
				   .n_out = c->n_out,
				   .in = c->in,
				   .n_in = c->n_in,
				   .txid = c->txid,
				   .id = c->id};
}

TEST(a_plan_with_its_page)
{
	const struct cursor base = {.epoch = "epoch001", .loss = 2, .xmax = 10};
	struct fetch_from from = base_from(&base);
	PGresult *r = new_result();
	struct event **events;
	struct fetch_plan p;
	const char *why = NULL;
	struct cursor c;
	size_t n;

	add_row(r, HEADER);
	add_row(r, "1|12|101|1700000000|estimate|i|{\"n\":1}|-|{}|{7}");
	add_row(r, "2|10|100|1700000000|estimate|u|{\"n\":2}|{\"l\":2}|{7}|{8}");
	add_row(r, "2|10|102|1700000001|estimate|d|{\"n\":3}|-|{8}|{}");
	add_row(r, "3|15|103|1700000002|estimate|r|-|-|-|-");
	assert_true(fetch_read_plan(&p, r, &why));
	assert_string_equal(p.epoch, "epoch001");
	assert_int_equal(p.loss, 3);
	assert_int_equal(p.floor, 9);
	assert_int_equal(p.now.xmax, 17);
	assert_int_equal(p.now.n_xip, 2);
	assert_int_equal(p.n, 3);
	assert_int_equal(p.order[1], 10);
	assert_int_equal(p.rows[1], 2);
	fetch_begin(&p, &base, &from);
	assert_true(fetch_read_rows(&p, r, true, &events, &n));
	assert_int_equal(n, 4);
	assert_int_equal(p.done, 3);
	assert_string_equal(events[0]->type, "estimate.created");
	assert_string_equal(events[1]->type, "estimate.updated");
	assert_string_equal(events[1]->leave, "{\"l\":2}");
	assert_string_equal(events[1]->before.keys[0], "7");
	assert_string_equal(events[2]->type, "estimate.deleted");
	assert_int_equal(events[2]->after.n, 0);
	assert_int_equal(events[2]->at, 1700000001);
	assert_string_equal(events[3]->type, "system.resync");
	/* Half of 10 is delivered: 12 is, the rest is not. */
	assert_true(cursor_parse(&c, events[1]->cursor, strlen(events[1]->cursor)));
	assert_int_equal(c.loss, 2);
	assert_true(cursor_has(&c, 9, 1));
	assert_true(cursor_has(&c, 10, 100));
	assert_false(cursor_has(&c, 10, 102));
	assert_false(cursor_has(&c, 11, 1));
	assert_true(cursor_has(&c, 12, 101));
	assert_false(cursor_has(&c, 15, 103));
	assert_true(cursor_parse(&c, events[3]->cursor, strlen(events[3]->cursor)));
	assert_true(cursor_has(&c, 15, 103));
	assert_false(cursor_has(&c, 11, 1));
	assert_false(cursor_has(&c, 16, 1));
	for (size_t i = 0; i < n; i++)
		event_unref(events[i]);
	free(events);
	PQclear(r);
	fetch_plan_free(&p);
	fetch_plan_free(&p); /* once more does no harm */
}

/* The plan, and then a page from which rows have vanished. */
static bool page(const char *const *rows)
{
	const struct cursor base = {.epoch = "epoch001", .xmax = 10};
	struct fetch_from from = base_from(&base);
	PGresult *r = new_result();
	struct event **events = NULL;
	struct fetch_plan p;
	const char *why = NULL;
	size_t n = 0;
	bool ok;

	add_row(r, HEADER);
	for (; *rows; rows++)
		add_row(r, *rows);
	assert_true(fetch_read_plan(&p, r, &why));
	fetch_begin(&p, &base, &from);
	ok = fetch_read_rows(&p, r, true, &events, &n);
	for (size_t i = 0; i < n; i++)
		event_unref(events[i]);
	free(events);
	PQclear(r);
	fetch_plan_free(&p);
	return ok;
}

TEST(missing_rows_are_noticed)
{
	static const char a[] = "1|12|101|0|e|i|{}|-||", b[] = "2|10|100|0|e|i|{}|-||",
			  c[] = "2|10|102|0|e|i|{}|-||", d[] = "3|15|103|0|e|i|{}|-||",
			  e[] = "3|15|104|0|e|i|{}|-||";

	assert_true(page((const char *const[]){a, b, c, d, NULL}));
	assert_false(page((const char *const[]){b, c, d, NULL}));
	assert_false(page((const char *const[]){a, c, d, NULL}));
	assert_false(page((const char *const[]){a, b, d, NULL}));
	assert_false(page((const char *const[]){a, b, c, NULL}));
	assert_false(page((const char *const[]){a, b, NULL}));
	assert_false(page((const char *const[]){a, NULL}));
	assert_false(page((const char *const[]){NULL}));
	assert_false(page((const char *const[]){a, b, c, d, e, NULL}));
	assert_false(page((const char *const[]){a, d, b, c, NULL}));
}

TEST(results_that_are_no_plan)
{
	static const char *const bad[] = {
		"1|3|9|-|epoch001|-|10:17:|-|12|1",	 /* no header */
		"0|3|9|-|epoch01|-|10:17:|-|12|1",	 /* a short epoch */
		"0|3|9|-|Epoch001|-|10:17:|-|12|1",	 /* not our letters */
		"0|3|9|-|-|-|10:17:|-|12|1",		 /* no epoch */
		"0|3|9|-|epoch001|-|-|-|12|1",		 /* no snapshot */
		"0|3|9|-|epoch001|-|17|-|12|1",		 /* no snapshot */
		"0|3|9|-|epoch001|-|10:17:11|-|12 13|1", /* lists of different lengths */
	};
	PGresult *r = new_result(), *error = PQmakeEmptyPGresult(NULL, PGRES_FATAL_ERROR);
	struct fetch_plan p;
	const char *why = NULL;

	assert_false(fetch_read_plan(&p, r, &why)); /* pgherald.meta is empty */
	assert_non_null(why);
	PQclear(r);
	why = NULL;
	assert_false(fetch_read_plan(&p, error, &why));
	assert_non_null(why);
	PQclear(error);
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		why = NULL;
		r = new_result();
		add_row(r, bad[i]);
		if (fetch_read_plan(&p, r, &why))
			fail_msg("read: %s", bad[i]);
		assert_non_null(why);
		fetch_plan_free(&p);
		PQclear(r);
	}
}

TEST(pruned_positions)
{
	uint64_t running[] = {7, 30};
	struct fetch_plan p = {.floor = 20, .now = {.xmax = 40, .xip = running, .n_xip = 2}};
	uint64_t out[1];
	struct fetch_from f = {.xmax = 21};

	assert_false(fetch_pruned(&p, &f));
	f.xmax = 20;
	assert_true(fetch_pruned(&p, &f));
	f = (struct fetch_from){.xmax = 35, .out = out, .n_out = 1};
	out[0] = 21;
	assert_false(fetch_pruned(&p, &f));
	out[0] = 20;
	assert_true(fetch_pruned(&p, &f));
	out[0] = 7; /* still runs: it has nothing yet that could have gone */
	assert_false(fetch_pruned(&p, &f));
	f = (struct fetch_from){.xmax = 35, .txid = 20, .id = 1};
	assert_true(fetch_pruned(&p, &f));
	f.txid = 21;
	assert_false(fetch_pruned(&p, &f));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_plan_with_its_page),
		cmocka_unit_test(missing_rows_are_noticed),
		cmocka_unit_test(results_that_are_no_plan),
		cmocka_unit_test(pruned_positions),
	};

	return cmocka_run_group_tests_name("fetch", tests, NULL, NULL);
}
