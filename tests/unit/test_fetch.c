/* SPDX-License-Identifier: PostgreSQL
 * pg/fetch without a server: plans and pages as results made by hand. */
#include "config.h"
#include "unit.h"

#include <libpq-fe.h>

#include "pg/fetch.h"

enum { N_COLUMNS = FETCH_N_COLUMNS };

static const struct fetch_apart nothing_apart = {0};

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
#define HEADER "0|3|9|3|epoch001|50 60 70|10:17:11,16|-|12 10 15|1 2 1"

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
	assert_int_equal(fetch_read_plan(&p, r, &from, &why), FETCH_ROWS);
	assert_string_equal(p.epoch, "epoch001");
	assert_int_equal(p.loss, 3);
	assert_int_equal(p.floor, 9);
	assert_int_equal(p.now.xmax, 17);
	assert_int_equal(p.now.n_xip, 2);
	assert_int_equal(p.n, 3);
	assert_int_equal(p.order[1], 10);
	assert_int_equal(p.rows[1], 2);
	fetch_begin(&p, &base, &from, &nothing_apart);
	assert_int_equal(fetch_read_page(&p, r, true, &events, &n), FETCH_ROWS);
	assert_int_equal(n, 4);
	assert_int_equal(p.done, 3);
	assert_string_equal(events[0]->type, "estimate.created");
	assert_string_equal(events[1]->type, "estimate.updated");
	assert_string_equal(events[1]->leave, "{\"l\":2}");
	assert_string_equal(events[1]->before.list[0], "7");
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
static enum fetch_verdict page(const char *const *rows)
{
	const struct cursor base = {.epoch = "epoch001", .xmax = 10};
	struct fetch_from from = base_from(&base);
	PGresult *r = new_result();
	struct event **events = NULL;
	struct fetch_plan p;
	const char *why = NULL;
	size_t n = 0;
	enum fetch_verdict verdict;

	add_row(r, HEADER);
	for (; *rows; rows++)
		add_row(r, *rows);
	assert_int_equal(fetch_read_plan(&p, r, &from, &why), FETCH_ROWS);
	fetch_begin(&p, &base, &from, &nothing_apart);
	verdict = fetch_read_page(&p, r, true, &events, &n);
	for (size_t i = 0; i < n; i++)
		event_unref(events[i]);
	free(events);
	PQclear(r);
	fetch_plan_free(&p);
	return verdict;
}

TEST(missing_rows_are_noticed)
{
	static const char a[] = "1|12|101|0|e|i|{}|-||", b[] = "2|10|100|0|e|i|{}|-||",
			  c[] = "2|10|102|0|e|i|{}|-||", d[] = "3|15|103|0|e|i|{}|-||",
			  e[] = "3|15|104|0|e|i|{}|-||";

	assert_int_equal(page((const char *const[]){a, b, c, d, NULL}), FETCH_ROWS);
	assert_int_equal(page((const char *const[]){b, c, d, NULL}), FETCH_GONE);
	assert_int_equal(page((const char *const[]){a, c, d, NULL}), FETCH_GONE);
	assert_int_equal(page((const char *const[]){a, b, d, NULL}), FETCH_GONE);
	assert_int_equal(page((const char *const[]){a, b, c, NULL}), FETCH_GONE);
	assert_int_equal(page((const char *const[]){a, b, NULL}), FETCH_GONE);
	assert_int_equal(page((const char *const[]){a, NULL}), FETCH_GONE);
	assert_int_equal(page((const char *const[]){NULL}), FETCH_GONE);
	assert_int_equal(page((const char *const[]){a, b, c, d, e, NULL}), FETCH_GONE);
	assert_int_equal(page((const char *const[]){a, d, b, c, NULL}), FETCH_GONE);
}

/* A plan with these rows behind its header, begun. */
static void planned(struct fetch_plan *p, PGresult **r, const char *header, const char *const *rows)
{
	static const struct cursor base = {.epoch = "epoch001", .xmax = 10};
	struct fetch_from from = base_from(&base);
	const char *why = NULL;

	*r = new_result();
	add_row(*r, header);
	for (; *rows; rows++)
		add_row(*r, *rows);
	assert_int_equal(fetch_read_plan(p, *r, &from, &why), FETCH_ROWS);
	fetch_begin(p, &base, &from, &nothing_apart);
}

/* Reads the page and frees everything: its documents, and the verdict before them. */
static const char *read_page(struct fetch_plan *p, PGresult *r, bool header)
{
	static char told[500];
	struct event **events;
	size_t n;
	int len = 0;

	switch (fetch_read_page(p, r, header, &events, &n)) {
	case FETCH_ROWS:
		break;
	case FETCH_TOO_MUCH:
		PQclear(r);
		return "too much";
	default:
		PQclear(r);
		return "no rows";
	}
	*told = '\0';
	for (size_t i = 0; i < n; i++) {
		len += snprintf(told + len, sizeof(told) - (size_t)len, "%s%s", i ? " " : "",
				events[i]->op == 'a' ? events[i]->before.list[0] : events[i]->doc);
		event_unref(events[i]);
	}
	free(events);
	PQclear(r);
	return told;
}

static PGresult *rows_of(const char *const *rows)
{
	PGresult *r = new_result();

	for (; *rows; rows++)
		add_row(r, *rows);
	return r;
}

/* A page ends with the transaction that fits; those behind it come with the next one, which is as
 * large as this one was. */
TEST(pages_are_cut_where_they_are_full)
{
	static const char *const cut[] = {"1|12|101|0|e|i|{}|-|-|-", "2|10|100|0|e|i|{1}|-|-|-",
					  "2|10|102|-|-|-|-|-|-|-", "3|15|103|-|-|-|-|-|-|-", NULL};
	static const char *const next[] = {"1|10|100|0|e|i|{1}|-|-|-", "1|10|102|0|e|i|{2}|-|-|-",
					   NULL};
	static const char *const large[] = {"1|15|103|-|-|-|-|-|-|-", NULL};
	const struct fetch_limits l = {.rows = 1000, .stored = 1000};
	struct fetch_plan p;
	PGresult *r;

	planned(&p, &r, HEADER, cut);
	assert_string_equal(read_page(&p, r, true), "{}");
	assert_int_equal(p.done, 1);
	assert_int_equal(p.max_page, 1);
	p.page = fetch_page_size(&p, &l);
	assert_int_equal(p.page, 1);
	assert_string_equal(read_page(&p, rows_of(next), false), "{1} {2}");
	assert_int_equal(p.done, 2);
	p.page = 1;
	/* Not even this one fits: it says "fetch again" then. */
	assert_string_equal(read_page(&p, rows_of(large), false), "too much");
	assert_int_equal(p.done, 2);
	fetch_tell_bare(&p, "size");
	assert_string_equal(read_page(&p,
				      rows_of((const char *const[]){
					      "1|15|103|0|e|r|{\"reason\":\"size\"}|-|1|-", NULL}),
				      false),
			    "size");
	assert_int_equal(p.done, 3);
	assert_null(p.bare);
	fetch_plan_free(&p);
}

TEST(pages_by_rows_bytes_and_number)
{
	struct fetch_plan p = {0};
	struct fetch_limits l = {.rows = 10, .stored = 1000};

	for (uint64_t i = 0; i < 8; i++)
		fetch_plan_add(&p, i + 1, 3, 100);
	assert_int_equal(fetch_page_size(&p, &l), 4); /* the one that reaches ten rows */
	l.rows = 1000;
	l.stored = 250;
	assert_int_equal(fetch_page_size(&p, &l), 2);
	l.stored = 50;
	assert_int_equal(fetch_page_size(&p, &l), 1); /* one at least */
	l.stored = 10000;
	assert_int_equal(fetch_page_size(&p, &l), 8);
	p.max_page = 3;
	assert_int_equal(fetch_page_size(&p, &l), 3);
	p.done = 7;
	assert_int_equal(fetch_page_size(&p, &l), 1);
	p.done = 0;
	p.max_page = 0;
	p.bare = "loss"; /* costs nothing, whatever it stands for */
	l.rows = l.stored = 1;
	assert_int_equal(fetch_page_size(&p, &l), 8);
	fetch_plan_free(&p);
}

/* 11 is late, with topics e and f: what comes behind it and has one of those must wait, too. */
TEST(what_shares_a_topic_with_a_late_one_waits)
{
#define LATE_HEADER "0|3|9|3|epoch001|50 60 70|10:17:11,16|-|12 10 15|1 1 1"
#define LATE_ROW    "9223372036854775807|11|1|1|-|-|-|5|{e,f}|99999"
	struct cursor c;
	struct fetch_plan p;
	struct event **events;
	PGresult *r;
	size_t n;

	planned(&p, &r, LATE_HEADER,
		(const char *const[]){"1|12|101|0|e|i|{0}|-|-|-", "2|10|102|0|g|i|{1}|-|-|-",
				      "3|15|103|0|f|i|{2}|-|-|-", LATE_ROW, NULL});
	assert_int_equal(p.n, 3);
	assert_int_equal(p.n_late, 1);
	assert_int_equal(p.late[0].txid, 11);
	assert_int_equal(p.late[0].rows, 5);
	assert_int_equal(p.late[0].stored, 99999);
	assert_int_equal(fetch_read_page(&p, r, true, &events, &n), FETCH_ROWS);
	assert_int_equal(n, 2); /* e of before it, g */
	assert_true(p.cut);
	assert_int_equal(p.done, 2);
	assert_true(cursor_parse(&c, events[1]->cursor, strlen(events[1]->cursor)));
	assert_true(cursor_has(&c, 10, 102));
	assert_false(cursor_has(&c, 11, 1)); /* not told, for whoever comes back with this */
	assert_false(cursor_has(&c, 15, 103));
	for (size_t i = 0; i < n; i++)
		event_unref(events[i]);
	free(events);
	PQclear(r);
	fetch_plan_free(&p);
	/* When the page ends here the position lacks the late one, and only that. */
	planned(&p, &r, LATE_HEADER,
		(const char *const[]){"1|12|101|0|e|i|{0}|-|-|-", "2|10|102|0|g|i|{1}|-|-|-",
				      "3|15|103|0|h|i|{2}|-|-|-", LATE_ROW, NULL});
	assert_int_equal(fetch_read_page(&p, r, true, &events, &n), FETCH_ROWS);
	assert_int_equal(n, 3);
	assert_false(p.cut);
	assert_true(cursor_parse(&c, events[2]->cursor, strlen(events[2]->cursor)));
	assert_true(cursor_has(&c, 15, 103));
	assert_false(cursor_has(&c, 11, 1));
	for (size_t i = 0; i < n; i++)
		event_unref(events[i]);
	free(events);
	PQclear(r);
	fetch_plan_free(&p);
}

/* What was late is told when the position has gone on. */
TEST(a_late_one_fills_the_gap)
{
	const struct cursor base = {.epoch = "epoch001", .xmax = 20};
	uint64_t xip[] = {11, 13, 16};
	const struct snapshot seen = {.xmax = 20, .xip = xip, .n_xip = 3};
	struct fetch_plan p = {0};
	struct event **events;
	struct cursor c;
	PGresult *r;
	size_t n;

	fetch_plan_add(&p, 11, 2, 99999);
	fetch_plan_add(&p, 13, 1, 99999);
	p.page = 1;
	fetch_begin_late(&p, &base, &seen);
	r = rows_of((const char *const[]){"1|11|5|0|e|i|{}|-|-|-", "1|11|6|0|e|i|{}|-|-|-", NULL});
	assert_int_equal(fetch_read_page(&p, r, false, &events, &n), FETCH_ROWS);
	assert_int_equal(n, 2);
	assert_true(cursor_parse(&c, events[0]->cursor, strlen(events[0]->cursor)));
	assert_true(cursor_has(&c, 11, 5));
	assert_false(cursor_has(&c, 11, 6));
	assert_false(cursor_has(&c, 13, 1));
	assert_true(cursor_parse(&c, events[1]->cursor, strlen(events[1]->cursor)));
	assert_true(cursor_has(&c, 11, 6));
	assert_false(cursor_has(&c, 13, 1));
	assert_false(cursor_has(&c, 16, 1)); /* runs */
	assert_true(cursor_has(&c, 19, 1));
	for (size_t i = 0; i < n; i++)
		event_unref(events[i]);
	free(events);
	PQclear(r);
	fetch_plan_free(&p);
}

/* Of several topics of a transaction that says "fetch again" only the last has the position behind
 * it: whoever goes away in between is told both again. */
TEST(bare_transactions)
{
	struct fetch_plan p;
	struct event **events;
	struct cursor c;
	PGresult *r;
	size_t n;

	planned(&p, &r, HEADER, (const char *const[]){NULL});
	PQclear(r);
	p.page = 1;
	fetch_tell_bare(&p, "loss");
	p.rows[0] = 9;
	r = rows_of((const char *const[]){"1|12|5|0|e|r|{\"reason\":\"loss\"}|-|3|-",
					  "1|12|9|0|auth|a|{\"reason\":\"loss\"}|-|1|-",
					  "1|12|20|0|f|r|{\"reason\":\"loss\"}|-|5|-", NULL});
	assert_int_equal(fetch_read_page(&p, r, false, &events, &n), FETCH_ROWS);
	assert_int_equal(n, 2);
	assert_string_equal(events[0]->type, "system.resync");
	assert_string_equal(events[0]->topic, "e");
	assert_true(cursor_parse(&c, events[0]->cursor, strlen(events[0]->cursor)));
	assert_false(cursor_has(&c, 12, 1));
	assert_true(cursor_parse(&c, events[1]->cursor, strlen(events[1]->cursor)));
	assert_true(cursor_has(&c, 12, 21));
	for (size_t i = 0; i < n; i++)
		event_unref(events[i]);
	free(events);
	PQclear(r);
	/* One row has been pruned since. */
	p.page = 1;
	fetch_tell_bare(&p, "loss");
	assert_string_equal(read_page(&p,
				      rows_of((const char *const[]){
					      "1|10|102|0|e|r|{\"reason\":\"loss\"}|-|1|-", NULL}),
				      false),
			    "no rows");
	fetch_plan_free(&p);
}

TEST(changes_of_rights)
{
	static const char *const rows[] = {
		"1|12|101|0|auth|a|-|-|{7}|-", "2|10|100|0|e|i|{1}|-|-|-",
		"2|10|102|0|auth|a|-|-|{8}|-", "3|15|103|0|e|i|{2}|-|-|-", NULL};
	static const char header[] = "0|3|9|3|epoch001|50 60 70|10:17:11,16|{7,8}|12 10 15|1 2 1";
	struct cursor c;
	struct fetch_plan p;
	struct event **events;
	PGresult *r;
	size_t n;

	planned(&p, &r, header, rows);
	assert_string_equal(p.revoked, "{7,8}"); /* said before all, so not in their place */
	assert_string_equal(read_page(&p, r, true), "{1} {2}");
	fetch_plan_free(&p);
	planned(&p, &r, header, rows);
	p.with_rights = true;
	assert_string_equal(read_page(&p, r, true), "7 {1} 8 {2}");
	fetch_plan_free(&p);
	/* The last row that is told has the position behind its transaction. */
	planned(&p, &r, header, rows);
	assert_int_equal(fetch_read_page(&p, r, true, &events, &n), FETCH_ROWS);
	assert_true(cursor_parse(&c, events[0]->cursor, strlen(events[0]->cursor)));
	assert_true(cursor_has(&c, 10, 102));
	for (size_t i = 0; i < n; i++)
		event_unref(events[i]);
	free(events);
	PQclear(r);
	fetch_plan_free(&p);
}

TEST(results_that_are_no_plan)
{
	static const char *const bad[] = {
		"1|3|9|-|epoch001|5|10:17:|-|12|1",	   /* no header */
		"0|3|9|-|epoch01|5|10:17:|-|12|1",	   /* a short epoch */
		"0|3|9|-|Epoch001|5|10:17:|-|12|1",	   /* not our letters */
		"0|3|9|-|-|5|10:17:|-|12|1",		   /* no epoch */
		"0|3|9|-|epoch001|5|-|-|12|1",		   /* no snapshot */
		"0|3|9|-|epoch001|5|17|-|12|1",		   /* no snapshot */
		"0|3|9|-|epoch001|5 5|10:17:11|-|12 13|1", /* lists of different lengths */
		"0|3|9|-|epoch001|5|10:17:11|-|12 13|1 1",
		"0|3|9|2|epoch001|5|10:17:11|-|12|1", /* a page of more than there is */
	};
	PGresult *r = new_result(), *error = PQmakeEmptyPGresult(NULL, PGRES_FATAL_ERROR);
	struct fetch_from from = {.xmax = 1};
	struct fetch_plan p;
	const char *why = NULL;

	/* pgherald.meta is empty */
	assert_int_equal(fetch_read_plan(&p, r, &from, &why), FETCH_FAILED);
	assert_non_null(why);
	PQclear(r);
	why = NULL;
	assert_int_equal(fetch_read_plan(&p, error, &from, &why), FETCH_AGAIN);
	assert_non_null(why);
	PQclear(error);
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		why = NULL;
		r = new_result();
		add_row(r, bad[i]);
		if (fetch_read_plan(&p, r, &from, &why) != FETCH_FAILED)
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
		cmocka_unit_test(pages_are_cut_where_they_are_full),
		cmocka_unit_test(pages_by_rows_bytes_and_number),
		cmocka_unit_test(what_shares_a_topic_with_a_late_one_waits),
		cmocka_unit_test(a_late_one_fills_the_gap),
		cmocka_unit_test(bare_transactions),
		cmocka_unit_test(changes_of_rights),
		cmocka_unit_test(results_that_are_no_plan),
		cmocka_unit_test(pruned_positions),
	};

	return cmocka_run_group_tests_name("fetch", tests, NULL, NULL);
}
