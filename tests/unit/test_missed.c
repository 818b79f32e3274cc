/* SPDX-License-Identifier: PostgreSQL
 * pg/missed: whatever has been written, by however many at a time, a client that goes on from any
 * position is told each row once that is not in it, a row's changes in order, and can go on from
 * each id it has been sent. The database is a history made up here, behind a connection of ours. */
#include "config.h"
#include "unit.h"

#include <libpq-fe.h>

#include "base/mem.h"
#include "pg/missed.h"

#define N_KEYS	   12
#define N_BACKENDS 5
#define MAX_TX	   400
#define MAX_ROWS   2000

struct row {
	uint64_t txid, id;
	int key, before, after; /* the owners: a user's number, or 0 */
	char op;		/* i u d, or r: of everything */
};

static struct row rows[MAX_ROWS];
static size_t n_rows;

enum state { RUNNING, COMMITTED, ABORTED };

static enum state states[MAX_TX];
static uint64_t next_txid, next_id;
static uint64_t slice_rows; /* instead of MISSED_SLICE_ROWS */

/* --- a history ------------------------------------------------------------------------------ */

struct backend {
	uint64_t txid; /* 0 between two transactions */
};

static int locked_by[N_KEYS]; /* backend + 1 */
static int owner[N_KEYS];     /* -1: no such row */

static void end(struct backend *b, int number, struct rng *r)
{
	states[b->txid] = rng_below(r, 6) ? COMMITTED : ABORTED;
	for (int k = 0; k < N_KEYS; k++) {
		if (locked_by[k] != number + 1)
			continue;
		locked_by[k] = 0;
		if (states[b->txid] == COMMITTED)
			for (size_t i = 0; i < n_rows; i++)
				if (rows[i].txid == b->txid && rows[i].key == k)
					owner[k] = rows[i].op == 'd' ? -1 : rows[i].after;
	}
	b->txid = 0;
}

static void write_row(struct backend *b, int number, struct rng *r)
{
	int key = (int)rng_below(r, N_KEYS), before = owner[key], after = (int)rng_below(r, 3);
	struct row *row = &rows[n_rows];

	if (locked_by[key] && locked_by[key] != number + 1)
		return; /* it would wait */
	if (!b->txid)
		b->txid = next_txid++;
	for (size_t i = 0; i < n_rows; i++) /* what this transaction has done itself */
		if (rows[i].txid == b->txid && rows[i].key == key && rows[i].op != 'r')
			before = rows[i].op == 'd' ? -1 : rows[i].after;
	locked_by[key] = number + 1;
	*row = (struct row){b->txid, next_id++, key, before, after, 'u'};
	if (before < 0)
		*row = (struct row){b->txid, row->id, key, 0, after, 'i'};
	else if (!rng_below(r, 5))
		*row = (struct row){b->txid, row->id, key, before, 0, 'd'};
	else if (!rng_below(r, 30))
		row->op = 'r';
	n_rows++;
}

/* Backends that begin, write and end in any order; some transactions last very long. */
static void make_history(struct rng *r)
{
	struct backend backends[N_BACKENDS] = {{0}};

	n_rows = 0;
	next_txid = 10;
	next_id = 100;
	for (int k = 0; k < N_KEYS; k++) {
		owner[k] = -1;
		locked_by[k] = 0;
	}
	while (n_rows < 600 && next_txid < MAX_TX - N_BACKENDS) {
		int i = (int)rng_below(r, N_BACKENDS);

		if (backends[i].txid && !rng_below(r, i ? 3 : 60)) /* the first is slow */
			end(&backends[i], i, r);
		else
			write_row(&backends[i], i, r);
	}
	for (int i = 0; i < N_BACKENDS; i++) /* those that are open stay so */
		if (backends[i].txid)
			states[backends[i].txid] = RUNNING;
}

/* --- the server ----------------------------------------------------------------------------- */

static struct {
	const char *name;
	char *params[9];
	conn_result_fn *done;
	void *arg;
} asked;

bool conn_up(const struct conn *c)
{
	(void)c;
	return true;
}

void conn_query_prepared(struct conn *c, const char *name, const char *sql, size_t n,
			 const char *const *params, conn_result_fn *done, void *arg)
{
	(void)c;
	(void)sql;
	for (size_t i = 0; i < 9; i++) {
		free(asked.params[i]);
		asked.params[i] = i < n && params[i] ? xstrdup(params[i]) : NULL;
	}
	asked.name = name;
	asked.done = done;
	asked.arg = arg;
}

void conn_limit(struct conn *c, uint64_t ms)
{
	(void)c;
	(void)ms;
}

const char *conn_error(const PGresult *r)
{
	(void)r;
	return "an error";
}

bool conn_error_is(const PGresult *r, const char *sqlstates)
{
	(void)r;
	(void)sqlstates;
	return false;
}

static PGresult *new_result(int n_columns)
{
	PGresAttDesc desc[16];
	PGresult *r = PQmakeEmptyPGresult(NULL, PGRES_TUPLES_OK);
	static char name[] = "c";

	memset(desc, 0, sizeof(desc));
	for (int i = 0; i < n_columns; i++)
		desc[i].name = name;
	assert_true(PQsetResultAttrs(r, n_columns, desc));
	return r;
}

static void set(PGresult *r, int row, int col, const char *text)
{
	assert_true(PQsetvalue(r, row, col, (char *)(uintptr_t)text, (int)strlen(text)));
}

static void set_number(PGresult *r, int row, int col, uint64_t n)
{
	char text[24];

	snprintf(text, sizeof(text), "%llu", (unsigned long long)n);
	set(r, row, col, text);
}

static uint64_t param_number(int i)
{
	uint64_t n;

	assert_true(num_u64(asked.params[i], strlen(asked.params[i]), &n));
	return n;
}

/* What a parameter "{1,2}" lists. */
struct list_param {
	uint64_t items[MAX_ROWS];
	size_t n;
	bool has[MAX_ROWS + 200]; /* txids and ids are no higher */
};

static void read_list(struct list_param *l, int i)
{
	const char *p = asked.params[i] ? asked.params[i] + 1 : "";

	*l = (struct list_param){.n = 0};
	while (*p && *p != '}') {
		size_t len = strspn(p, "0123456789");

		assert_true(num_u64(p, len, &l->items[l->n]));
		if (l->items[l->n] < sizeof(l->has))
			l->has[l->items[l->n]] = true;
		l->n++;
		p += len + (p[len] == ',');
	}
}

static bool visible(const struct row *row)
{
	return states[row->txid] == COMMITTED;
}

static void put(struct buf *b, uint64_t n)
{
	buf_printf(b, "%s%llu", b->len ? " " : "", (unsigned long long)n);
}

/* The rows that a slice looks at: `seen` of them are marked. Whether there are more. */
static bool walk(bool *mark, uint64_t *last)
{
	static struct list_param out, in;
	uint64_t half = param_number(3), half_id = param_number(4);
	uint64_t n = 0, limit = slice_rows * param_number(5) / MISSED_SLICE_ROWS;

	read_list(&out, 1);
	read_list(&in, 2);
	*last = 0;
	for (uint64_t txid = param_number(0); txid < next_txid && n < limit; txid++)
		for (size_t i = 0; i < n_rows; i++)
			if (rows[i].txid == txid && visible(&rows[i]) && !in.has[txid]) {
				mark[i] = true;
				*last = txid;
				n++;
			}
	for (size_t i = 0; i < n_rows; i++)
		if (visible(&rows[i]) && out.has[rows[i].txid] &&
		    !(rows[i].txid == half && rows[i].id <= half_id))
			mark[i] = true;
	return n >= limit;
}

static void list_all(const bool *mark, struct buf *list)
{
	for (uint64_t txid = next_txid; txid-- > 0;) { /* in no particular order */
		uint64_t low = 0, high = 0, n = 0;

		for (size_t i = 0; i < n_rows; i++)
			if (mark[i] && rows[i].txid == txid) {
				low = low ? low : rows[i].id;
				high = rows[i].id;
				n++;
			}
		if (!n)
			continue;
		put(&list[0], txid);
		put(&list[1], low);
		put(&list[2], high);
		put(&list[3], n);
		put(&list[4], 100 * n);
	}
}

static int user(void)
{
	return asked.params[6] ? atoi(asked.params[6]) : 0;
}

static char kind_of(const struct row *row, int who)
{
	if (row->op == 'r')
		return 'r';
	if (row->op != 'd' && row->after == who)
		return 'h';
	return row->before == who ? 'l' : 0;
}

static void list_own(const bool *mark, struct buf *list)
{
	for (size_t i = n_rows; i-- > 0;) {
		char kind = kind_of(&rows[i], user());

		if (!mark[i] || !kind)
			continue;
		put(&list[0], rows[i].txid);
		put(&list[1], rows[i].id);
		put(&list[2], 1);
		put(&list[3], (uint64_t)rows[i].key + 1000);
		buf_printf(&list[4], "%s%c", list[4].len ? " " : "", kind);
		put(&list[5], 100);
	}
}

static PGresult *answer_slice(void)
{
	PGresult *r = new_result(13);
	bool mark[MAX_ROWS] = {false};
	struct buf list[6], now;
	uint64_t last;
	bool more = walk(mark, &last);

	buf_init(&now, 10000);
	buf_printf(&now, "1:%llu:", (unsigned long long)next_txid);
	for (uint64_t txid = 10, n = 0; txid < next_txid; txid++)
		if (states[txid] == RUNNING)
			buf_printf(&now, "%s%llu", n++ ? "," : "", (unsigned long long)txid);
	for (int i = 0; i < 6; i++)
		buf_init(&list[i], 100000);
	if (asked.params[6])
		list_own(mark, list);
	else
		list_all(mark, list);
	set(r, 0, 0, "epoch001");
	set(r, 0, 1, "0");
	set(r, 0, 2, "9"); /* the floor */
	set(r, 0, 3, buf_cstr(&now));
	set_number(r, 0, 4, N_BACKENDS);
	set(r, 0, 5, more ? "t" : "f");
	if (last)
		set_number(r, 0, 6, last);
	for (int i = 0; i < 6; i++) {
		set(r, 0, 7 + i, buf_cstr(&list[i]));
		buf_free(&list[i]);
	}
	buf_free(&now);
	return r;
}

static PGresult *answer_page(void)
{
	static struct list_param numbers, txids, ids;
	PGresult *r = new_result(10);
	int at = 0;

	read_list(&numbers, 0);
	read_list(&txids, 1);
	read_list(&ids, 2);
	for (size_t place = 1; place <= txids.n; place++)
		for (size_t i = 0; i < n_rows; i++) {
			const char op[] = {rows[i].op, '\0'};
			char text[80];

			if (rows[i].txid != txids.items[place - 1] ||
			    (rows[i].txid == numbers.items[0] && rows[i].id <= numbers.items[1]) ||
			    (asked.params[2] && !ids.has[rows[i].id]))
				continue;
			set_number(r, at, 0, place);
			set_number(r, at, 1, rows[i].txid);
			set_number(r, at, 2, rows[i].id);
			set(r, at, 3, "0");
			set(r, at, 4, "t");
			set(r, at, 5, op);
			snprintf(text, sizeof(text), "{\"id\":%d,\"name\":\"now\"}", rows[i].key);
			set(r, at, 6, text);
			set(r, at, 7, "{\"name\":\"now\",\"id\":1}");
			snprintf(text, sizeof(text), "{%d}", rows[i].before);
			set(r, at, 8, rows[i].op == 'i' ? "{}" : text);
			snprintf(text, sizeof(text), "{%d}", rows[i].after);
			set(r, at, 9, rows[i].op == 'd' ? "{}" : text);
			at++;
		}
	return r;
}

/* --- a client that goes on ------------------------------------------------------------------- */

static struct conf *conf;
static const struct fetch_limits no_limits = {0};

/* All rows told from a position on, with their cursors; how many. */
struct told {
	uint64_t txid, id;
	char cursor[CURSOR_TEXT_MAX + 1];
	bool nameless;
};

static size_t replay(const struct cursor *from, const char *who, struct told *told, size_t max,
		     struct cursor *after)
{
	struct missed m;
	struct event **events;
	const char *why = NULL;
	enum missed_step step;
	size_t n = 0, n_events;

	const struct fetch_limits limits = {
		.rows = 1 + from->xmax % 50, .stored = 100000, .sent = 1 << 20, .whole = 1 << 20};

	missed_begin(&m, conf, from, who, NULL, NULL);
	do {
		PGresult *r;

		missed_send(&m, NULL, &limits, NULL, NULL);
		r = strstr(asked.name, "page") ? answer_page() : answer_slice();
		step = missed_read(&m, r, &events, &n_events, after, &why);
		PQclear(r);
		if (step == MISSED_RESET || step == MISSED_FAILED)
			fail_msg("%s", why);
		for (size_t i = 0; i < n_events; i++) {
			struct event *e = events[i];

			assert_true(n < max);
			told[n] = (struct told){.txid = e->txid,
						.id = e->id,
						.nameless = strstr(e->doc, "null") != NULL};
			snprintf(told[n++].cursor, sizeof(told->cursor), "%s", e->cursor);
			event_unref(e);
		}
		free(events);
	} while (step != MISSED_LAST);
	missed_end(&m);
	return n;
}

static const struct row *row_of(const struct told *t)
{
	for (size_t i = 0; i < n_rows; i++)
		if (rows[i].txid == t->txid && rows[i].id == t->id)
			return &rows[i];
	fail_msg("no such row");
	return NULL;
}

/* All that is not in `from`, and nothing else, each once, a row's changes in order. */
static void check(const struct cursor *from, int who, const struct told *told, size_t n)
{
	uint64_t last[N_KEYS] = {0};
	size_t want = 0;

	for (size_t i = 0; i < n_rows; i++)
		want += visible(&rows[i]) && (!who || kind_of(&rows[i], who)) &&
			!cursor_has(from, rows[i].txid, rows[i].id);
	assert_int_equal(n, want);
	for (size_t i = 0; i < n; i++) {
		const struct row *row = row_of(&told[i]);

		assert_true(visible(row) && !cursor_has(from, row->txid, row->id));
		assert_true(!who || kind_of(row, who));
		assert_true(row->id > last[row->key]);
		last[row->key] = row->id;
	}
}

/* Whether today's names are not for him: the row is not his at the end, or nobody knows. */
static bool has_left(const struct row *of, int who)
{
	bool his = false;

	for (size_t i = 0; i < n_rows; i++)
		if (visible(&rows[i]) && rows[i].op == 'r')
			his = false;
		else if (visible(&rows[i]) && rows[i].key == of->key && kind_of(&rows[i], who))
			his = kind_of(&rows[i], who) == 'h';
	return !his;
}

/* The client goes on from some event it has been told, and then from one of what follows. */
static void break_off(struct rng *r, const struct told *told, size_t n, const char *name, int who)
{
	static struct told rest[MAX_ROWS];
	struct cursor from, after;

	while (n) {
		size_t at = rng_below(r, n), n_rest = n - at - 1;

		assert_true(cursor_parse(&from, told[at].cursor, strlen(told[at].cursor)));
		for (size_t i = 0; i < n; i++) /* it says what has been told, and no more */
			assert_int_equal(cursor_has(&from, told[i].txid, told[i].id), i <= at);
		n = replay(&from, name, rest, MAX_ROWS, &after);
		assert_int_equal(n, n_rest);
		check(&from, who, rest, n);
		told = rest;
	}
}

static void from_anywhere(bool own)
{
	static struct told told[MAX_ROWS];
	struct rng r = rng_new();
	size_t n_told = 0;

	for (int round = 0; round < 100; round++) {
		struct cursor from = {.epoch = "epoch001", .xmax = 10}, after, end_of_rest;
		int who = own ? 1 + round % 2 : 0;
		const char *name = !own ? NULL : who == 1 ? "1" : "2";
		size_t n;

		make_history(&r);
		slice_rows = 1 + rng_below(&r, 200);
		n = replay(&from, name, told, MAX_ROWS, &after);
		check(&from, who, told, n);
		n_told += n;
		for (size_t i = 0; own && i < n; i++) {
			const struct row *row = row_of(&told[i]);

			if (row->op == 'i' || row->op == 'u')
				assert_int_equal(told[i].nameless, has_left(row, who));
		}
		for (int again = 0; again < 8; again++) /* it breaks off again and again */
			break_off(&r, told, n, name, who);
		/* What runs on is told when it has ended, and nothing again. */
		for (uint64_t txid = 10; txid < next_txid; txid++)
			if (states[txid] == RUNNING)
				states[txid] = COMMITTED;
		n = replay(&after, name, told, MAX_ROWS, &end_of_rest);
		check(&after, who, told, n);
	}
	assert_true(n_told > 5000);
}

TEST(everything)
{
	from_anywhere(false);
}

TEST(ones_own)
{
	from_anywhere(true);
}

TEST(names)
{
	struct buf out;

	buf_init(&out, 1000);
	missed_strip(conf, "t", "{\"id\":1.50,\"name\":\"x\",\"text\":\"a\\\"}\",\"more\":2}",
		     &out);
	assert_string_equal(buf_cstr(&out), "{\"id\":1.50,\"name\":null,\"text\":\"a\\\"}\"}");
	buf_clear(&out);
	missed_strip(conf, "t", "{\"name\":{\"a\":[]},\"text\":null}", &out);
	assert_string_equal(buf_cstr(&out), "{\"name\":null,\"text\":null}");
	buf_clear(&out);
	missed_strip(conf, "another", "{\"id\":1}", &out); /* nobody knows what that is */
	assert_string_equal(buf_cstr(&out), "{}");
	buf_clear(&out);
	missed_strip(conf, "t", NULL, &out);
	assert_string_equal(buf_cstr(&out), "");
	buf_free(&out);
}

TEST(too_many_of_ones_own)
{
	struct rng r = rng_new();
	const struct cursor from = {.epoch = "epoch001", .xmax = 10};
	struct cursor after;
	struct event **events;
	const char *why;
	struct missed m;
	PGresult *result;
	size_t n;

	make_history(&r);
	slice_rows = MAX_ROWS;
	missed_begin(&m, conf, &from, "1", NULL, NULL);
	m.n_found = MISSED_OWN_MAX; /* as if so many had been found */
	m.found = xcalloc(MISSED_OWN_MAX, sizeof(*m.found));
	missed_send(&m, NULL, &no_limits, NULL, NULL);
	result = answer_slice();
	assert_int_equal(missed_read(&m, result, &events, &n, &after, &why), MISSED_RESET);
	assert_string_equal(why, "storm");
	PQclear(result);
	missed_end(&m);
}

static void expect_reset(const struct cursor *from, const char *reason)
{
	struct cursor after;
	struct event **events;
	const char *why;
	struct missed m;
	PGresult *r;
	size_t n;

	missed_begin(&m, conf, from, NULL, NULL, NULL);
	missed_send(&m, NULL, &no_limits, NULL, NULL);
	r = answer_slice();
	assert_int_equal(missed_read(&m, r, &events, &n, &after, &why), MISSED_RESET);
	assert_string_equal(why, reason);
	PQclear(r);
	missed_end(&m);
}

TEST(positions_of_no_use)
{
	struct rng r = rng_new();

	make_history(&r);
	slice_rows = MAX_ROWS;
	expect_reset(&(struct cursor){.epoch = "epoch002", .xmax = 10}, "epoch");
	expect_reset(&(struct cursor){.epoch = "epoch001", .xmax = next_txid + 1}, "cursor");
	expect_reset(&(struct cursor){.epoch = "epoch001", .xmax = 9}, "pruned");
	expect_reset(&(struct cursor){.epoch = "epoch001", .xmax = 12, .n_out = 1, .out = {8}},
		     "pruned");
	expect_reset(&(struct cursor){.epoch = "epoch001", .xmax = 12, .txid = 9, .id = 1},
		     "pruned");
}

static int start(void **state)
{
	static const char text[] =
		"[role r]\nreceives = own\n[auth a]\n[watch t]\ntable = public.t\nowners = who\n"
		"fields = id, name=id->public.other.name, text\n";
	struct buf error;

	(void)state;
	buf_init(&error, 1000);
	conf = conf_parse("test", text, sizeof(text) - 1, &error);
	if (!conf)
		fail_msg("%s", buf_cstr(&error));
	buf_free(&error);
	return 0;
}

static int stop(void **state)
{
	(void)state;
	assert_int_equal(conf->refs, 1);
	conf_unref(conf);
	for (size_t i = 0; i < 9; i++)
		free(asked.params[i]);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(everything),
		cmocka_unit_test(ones_own),
		cmocka_unit_test(names),
		cmocka_unit_test(too_many_of_ones_own),
		cmocka_unit_test(positions_of_no_use),
	};

	return cmocka_run_group_tests_name("missed", tests, start, stop);
}
