/* SPDX-License-Identifier: PostgreSQL
 * wire/cursor's batches, against random histories of transactions: whoever resumes from the cursor
 * of any event gets every row that was not delivered before it. Never a loss; exactly those rows
 * when they can be spelled. */
#include "config.h"
#include "unit.h"

#include "base/buf.h"
#include "wire/cursor.h"

#define MAX_TX	 600
#define MAX_ROWS 4

enum fate { RUNNING, COMMITTED, ABORTED };

struct tx {
	uint64_t txid;
	uint64_t rows[MAX_ROWS]; /* their ids, ascending */
	size_t n_rows;
	enum fate fate;
};

/* The database: transactions in the order of their txids, ids in the order of writing. */
struct world {
	struct rng r;
	struct tx tx[MAX_TX];
	size_t n;
	uint64_t next_txid, next_id;
	unsigned max_running;
	bool dense;	       /* every number is a transaction of ours */
	unsigned long_percent; /* of transactions that hardly ever end */
};

/* What one reader has been handed. */
struct reader {
	bool got[MAX_TX][MAX_ROWS];
};

static size_t n_running(const struct world *w)
{
	size_t n = 0;

	for (size_t i = 0; i < w->n; i++)
		n += w->tx[i].fate == RUNNING;
	return n;
}

static struct tx *any_running(struct world *w)
{
	size_t pick = rng_below(&w->r, n_running(w));

	for (size_t i = 0; i < w->n; i++)
		if (w->tx[i].fate == RUNNING && !pick--)
			return &w->tx[i];
	return NULL;
}

static void step(struct world *w)
{
	struct tx *t;

	if (!n_running(w) || (rng_below(&w->r, 3) == 0 && n_running(w) < w->max_running)) {
		if (w->n == MAX_TX)
			return;
		/* Other databases and tables take numbers too. */
		if (!w->dense)
			w->next_txid += 1 + (rng_below(&w->r, 4) ? 0 : rng_below(&w->r, 50));
		t = &w->tx[w->n++];
		*t = (struct tx){.txid = w->next_txid++};
	} else
		t = any_running(w);
	if (t->n_rows < MAX_ROWS && rng_below(&w->r, 2))
		t->rows[t->n_rows++] = w->next_id++;
	else if (t->n_rows && t->txid % 100 >= w->long_percent)
		t->fate = rng_below(&w->r, 10) ? COMMITTED : ABORTED;
	else if (rng_below(&w->r, 60) == 0)
		t->fate = COMMITTED;
}

/* txid_current_snapshot(), through its text. */
static struct snapshot now_of(const struct world *w)
{
	struct snapshot s;
	struct buf b;

	buf_init(&b, 1 << 20);
	buf_printf(&b, "1:%llu:", (unsigned long long)w->next_txid);
	for (size_t i = 0, first = 1; i < w->n; i++)
		if (w->tx[i].fate == RUNNING) {
			buf_printf(&b, "%s%llu", first ? "" : ",",
				   (unsigned long long)w->tx[i].txid);
			first = 0;
		}
	assert_true(buf_ok(&b));
	assert_true(snapshot_parse(&s, buf_cstr(&b)));
	buf_free(&b);
	return s;
}

static bool in_list(const uint64_t *list, size_t n, uint64_t x)
{
	for (size_t i = 0; i < n; i++)
		if (list[i] == x)
			return true;
	return false;
}

/* A position as the statement in pg/fetch.c has it. */
struct from {
	uint64_t xmax;
	const uint64_t *out, *in;
	size_t n_out, n_in;
	uint64_t txid, id;
};

static struct from from_cursor(const struct cursor *c)
{
	return (struct from){c->xmax, c->out, c->in, c->n_out, c->n_in, c->txid, c->id};
}

/* The statement's WHERE. */
static bool wanted(const struct from *f, uint64_t txid, uint64_t id)
{
	return (txid >= f->xmax || in_list(f->out, f->n_out, txid)) &&
	       !in_list(f->in, f->n_in, txid) && !(txid == f->txid && id <= f->id);
}

/* The statement's plan: visible transactions with a wanted row, the half-delivered one first,
 * then by the last row. Indexes into w->tx. */
static size_t plan(const struct world *w, const struct from *f, size_t *ret)
{
	size_t n = 0;

	for (size_t i = 0; i < w->n; i++) {
		const struct tx *t = &w->tx[i];
		bool any = false;

		for (size_t k = 0; k < t->n_rows; k++)
			any = any || wanted(f, t->txid, t->rows[k]);
		if (t->fate == COMMITTED && any)
			ret[n++] = i;
	}
	for (size_t i = 1; i < n; i++) /* few: insertion sort */
		for (size_t k = i; k > 0; k--) {
			const struct tx *a = &w->tx[ret[k - 1]], *b = &w->tx[ret[k]];
			size_t swap = ret[k];

			if (a->txid == f->txid ||
			    (b->txid != f->txid &&
			     a->rows[a->n_rows - 1] <= b->rows[b->n_rows - 1]))
				break;
			ret[k] = ret[k - 1];
			ret[k - 1] = swap;
		}
	return n;
}

/* What must hold of every cursor a reader sees; whether it names exactly what he has. */
static bool check_cursor(const struct world *w, const struct reader *reader, const char *text,
			 struct cursor *c)
{
	struct from f;
	bool exact = true;

	assert_true(strlen(text) <= CURSOR_TEXT_MAX);
	assert_true(cursor_parse(c, text, strlen(text)));
	assert_string_equal(c->epoch, "epoch001");
	f = from_cursor(c);
	for (size_t i = 0; i < w->n; i++)
		for (size_t k = 0; k < MAX_ROWS; k++) {
			const struct tx *t = &w->tx[i];
			/* A running transaction may write more: any later id. */
			uint64_t id = k < t->n_rows ? t->rows[k] : w->next_id + k;
			bool has = cursor_has(c, t->txid, id);

			if (t->fate == ABORTED || (t->fate == COMMITTED && k >= t->n_rows))
				continue;
			assert_int_equal(has, !wanted(&f, t->txid, id)); /* C and SQL agree */
			if (has && !(t->fate == COMMITTED && reader->got[i][k]))
				fail_msg("loss: %s has %llu/%llu", text,
					 (unsigned long long)t->txid, (unsigned long long)id);
			if (t->fate == COMMITTED && reader->got[i][k] && !has)
				exact = false;
			assert_true(has || t->txid >= cursor_xmin(c));
		}
	assert_false(cursor_has(c, w->next_txid, w->next_id));
	return exact;
}

static unsigned n_cursors, n_exact;

/* Hands out one batch from `f`, up to `stop_after` rows. Every cursor is checked; some are kept
 * with what the reader had then, to resume from later. True when the batch came to its end. */
struct kept {
	struct cursor c;
	struct reader reader;
	bool used;
};

static bool hand_out(struct world *w, struct reader *reader, const struct cursor *base,
		     const struct from *f, const struct snapshot *now, size_t stop_after,
		     struct kept *kept, size_t n_kept, uint64_t *extra, size_t *n_extra,
		     bool must_be_exact)
{
	static size_t which[MAX_TX];
	static uint64_t order[MAX_TX];
	size_t n = plan(w, f, which), rows = 0;
	struct cursor_batch b;
	struct cursor_text text;
	struct cursor c;

	for (size_t i = 0; i < n; i++)
		order[i] = w->tx[which[i]].txid;
	cursor_batch_begin(&b, base, now, order, n, f->in, f->n_in);
	for (size_t i = 0; i < n; i++) {
		const struct tx *t = &w->tx[which[i]];

		if (rows >= stop_after) { /* an outage between two transactions */
			cursor_batch_end(&b);
			return false;
		}
		for (size_t k = 0; k < t->n_rows; k++) {
			bool last = k + 1 == t->n_rows, exact;

			if (!wanted(f, t->txid, t->rows[k]))
				continue;
			rows++;
			reader->got[which[i]][k] = true;
			cursor_batch_at(&b, i + last, last ? 0 : t->rows[k], &text);
			exact = check_cursor(w, reader, text.text, &c);
			n_cursors++;
			n_exact += exact;
			assert_true(exact || !must_be_exact);
			if (n_kept && rng_below(&w->r, 8) == 0) {
				struct kept *slot = &kept[rng_below(&w->r, n_kept)];

				*slot = (struct kept){c, *reader, true};
			}
		}
		if (extra)
			extra[(*n_extra)++] = t->txid;
	}
	cursor_batch_after(&b, &text);
	check_cursor(w, reader, text.text, &c);
	if (n_kept)
		kept[rng_below(&w->r, n_kept)] = (struct kept){c, *reader, true};
	cursor_batch_end(&b);
	return true;
}

static void assert_complete(const struct world *w, const struct reader *reader)
{
	for (size_t i = 0; i < w->n; i++)
		for (size_t k = 0; k < w->tx[i].n_rows; k++)
			assert_int_equal(reader->got[i][k], w->tx[i].fate == COMMITTED);
}

/* A client comes back with a cursor it was given: one replay up to now. */
static void resume(struct world *w, struct kept *k)
{
	struct snapshot now = now_of(w);
	struct cursor c = k->c; /* k may be replaced meanwhile */
	struct from f = from_cursor(&c);
	struct reader reader = k->reader;

	assert_true(hand_out(w, &reader, &c, &f, &now, SIZE_MAX, k, 1, NULL, NULL, false));
	assert_complete(w, &reader);
	snapshot_free(&now);
}

static void history(uint64_t seed, unsigned max_running, unsigned long_percent, unsigned n_steps,
		    uint64_t first_txid, bool must_be_exact)
{
	static struct world w;
	static struct reader reader;
	static struct kept kept[8];
	uint64_t extra[MAX_TX];
	size_t n_extra = 0;
	struct snapshot seen;
	struct cursor base = {.epoch = "epoch001", .xmax = first_txid};

	memset(&w, 0, sizeof(w));
	memset(&reader, 0, sizeof(reader));
	memset(kept, 0, sizeof(kept));
	w.r.state = seed;
	w.next_txid = first_txid;
	w.next_id = 1 + rng_below(&w.r, 2) * 100000;
	w.max_running = max_running;
	w.long_percent = long_percent;
	w.dense = first_txid == 1;
	seen = now_of(&w);
	for (unsigned poll = 0; poll < 25; poll++) {
		struct from f = {.xmax = seen.xmax,
				 .out = seen.xip,
				 .n_out = seen.n_xip,
				 .in = extra,
				 .n_in = n_extra};
		struct snapshot now;

		for (uint64_t i = rng_below(&w.r, n_steps + 1); i > 0; i--)
			step(&w);
		now = now_of(&w);
		base.xmax = seen.xmax; /* as journal.c has it */
		if (hand_out(&w, &reader, &base, &f, &now,
			     rng_below(&w.r, 5) ? SIZE_MAX : 1 + rng_below(&w.r, 8), kept, 8, extra,
			     &n_extra, must_be_exact && !n_extra)) {
			assert_complete(&w, &reader);
			n_extra = 0;
			snapshot_free(&seen);
			seen = now;
		} else
			snapshot_free(&now);
		for (size_t i = 0; i < 8; i++)
			if (kept[i].used && rng_below(&w.r, 10) == 0)
				resume(&w, &kept[i]);
	}
	for (size_t i = 0; i < 8; i++)
		if (kept[i].used)
			resume(&w, &kept[i]);
	snapshot_free(&seen);
}

/* Few writers: every cursor names exactly what was delivered, so nothing comes twice. */
TEST(few_writers)
{
	struct rng r = rng_new();

	n_cursors = n_exact = 0;
	for (int round = 0; round < 150; round++)
		history(rng_next(&r), 4, 0, 20, 1000, true);
	assert_true(n_cursors > 5000);
}

TEST(many_writers)
{
	struct rng r = rng_new();

	n_cursors = n_exact = 0;
	for (int round = 0; round < 60; round++)
		history(rng_next(&r), 60, 5, 100, 123456789, false);
	assert_true(n_cursors > 5000);
	assert_true(n_exact > n_cursors / 2);
	print_message("%u of %u cursors are exact\n", n_exact, n_cursors);
}

TEST(long_transactions_and_large_numbers)
{
	struct rng r = rng_new();

	n_cursors = n_exact = 0;
	for (int round = 0; round < 40; round++)
		history(rng_next(&r), 200, 40, 120, (uint64_t)INT64_MAX - (1u << 30), false);
	assert_true(n_cursors > 2000);
	print_message("%u of %u cursors are exact\n", n_exact, n_cursors);
}

/* So close together that the list of exceptions is full before the text is. */
TEST(dense_numbers)
{
	struct rng r = rng_new();

	n_cursors = n_exact = 0;
	for (int round = 0; round < 40; round++)
		history(rng_next(&r), 150, 80, 150, 1, false);
	assert_true(n_cursors > 1000);
}

/* A batch that ends below what was delivered before it (a slice of the journal). */
TEST(delivered_above_its_end)
{
	const struct cursor base = {.epoch = "epoch001", .xmax = 10};
	const uint64_t order[] = {12, 11}, before[] = {21, 13, 20};
	uint64_t running[] = {10};
	const struct snapshot now = {.xmax = 15, .xip = running, .n_xip = 1};
	struct cursor_batch b;
	struct cursor_text text;

	cursor_batch_begin(&b, &base, &now, order, 2, before, 3);
	cursor_batch_at(&b, 1, 0, &text);
	assert_string_equal(text.text, "epoch001.0.b.1.1-1-7-1"); /* below 11 but 10; 12 13 20 21 */
	cursor_batch_at(&b, 2, 0, &text);
	assert_string_equal(text.text, "epoch001.0.f.5.5-1"); /* below 15 but 10; 20 21 */
	cursor_batch_after(&b, &text);
	assert_string_equal(text.text, "epoch001.0.f.5.5-1");
	cursor_batch_end(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(few_writers),
		cmocka_unit_test(many_writers),
		cmocka_unit_test(dense_numbers),
		cmocka_unit_test(long_transactions_and_large_numbers),
		cmocka_unit_test(delivered_above_its_end),
	};

	return cmocka_run_group_tests_name("batch", tests, NULL, NULL);
}
