/* SPDX-License-Identifier: PostgreSQL
 * wire/cursor: what is spelled reads back, what does not fit is only ever dropped, and nothing
 * that cursor_format() could not have written is read. */
#include "config.h"
#include "unit.h"

#include "wire/cursor.h"

static bool parse(struct cursor *c, const char *text)
{
	return cursor_parse(c, text, strlen(text));
}

static size_t digits36(uint64_t n)
{
	size_t len = 1;

	while (n /= 36)
		len++;
	return len;
}

/* How long the spelling without any loss is, counted on its own. */
static size_t spelled_len(const struct cursor *c)
{
	size_t len = CURSOR_EPOCH_LEN + 1 + digits36(c->loss) + 1 + digits36(c->xmax);
	uint64_t from = c->xmax;

	if (c->n_out || c->n_in || c->txid)
		len++;
	for (size_t i = c->n_out; i-- > 0; from = c->out[i])
		len += digits36(from - c->out[i]) + (i + 1 != c->n_out);
	if (c->n_in || c->txid)
		len++;
	from = c->xmax;
	for (size_t i = 0; i < c->n_in; from = c->in[i++])
		len += digits36(c->in[i] - from) + (i != 0);
	if (c->txid)
		len += 1 + digits36(c->txid) + 1 + digits36(c->id);
	return len;
}

static uint64_t any_number(struct rng *r, uint64_t max)
{
	return (rng_next(r) >> rng_below(r, 63)) % max;
}

/* A position with random exceptions, close together or far apart. */
static struct cursor random_cursor(struct rng *r)
{
	struct cursor c = {.epoch = "0a9zqwer"};
	size_t n_out = rng_below(r, 3) ? rng_below(r, 12) : rng_below(r, CURSOR_LIST_MAX + 1);
	size_t n_in = rng_below(r, 3) ? rng_below(r, 12) : rng_below(r, CURSOR_LIST_MAX + 1);
	uint64_t gap = 1 + (rng_next(r) & 0xffffff) % (1u << rng_below(r, 24)), at;

	c.loss = rng_below(r, 2) ? rng_below(r, 5) : any_number(r, INT64_MAX);
	c.xmax = 1000 + gap * 128 + any_number(r, INT64_MAX - 1000 - gap * 256);
	for (at = c.xmax; c.n_out < n_out; c.n_out++)
		c.out[n_out - 1 - c.n_out] = at -= 1 + rng_next(r) % gap;
	for (at = c.xmax + rng_below(r, 2); c.n_in < n_in; at += 1 + rng_next(r) % gap)
		c.in[c.n_in++] = at;
	if (rng_below(r, 2)) { /* half delivered: one that is not in the set otherwise */
		c.txid = c.n_out && rng_below(r, 2) ? c.out[rng_below(r, c.n_out)] : at + 1;
		c.id = any_number(r, INT64_MAX);
	}
	return c;
}

static void assert_spelling(const struct cursor_text *t)
{
	size_t len = strlen(t->text);

	assert_true(len <= CURSOR_TEXT_MAX);
	assert_int_equal(strspn(t->text, "0123456789abcdefghijklmnopqrstuvwxyz.-"), len);
}

static void assert_same(const struct cursor *a, const struct cursor *b)
{
	assert_string_equal(a->epoch, b->epoch);
	assert_true(a->loss == b->loss && a->xmax == b->xmax);
	assert_true(a->txid == b->txid && a->id == b->id);
	assert_int_equal(a->n_out, b->n_out);
	assert_int_equal(a->n_in, b->n_in);
	assert_memory_equal(a->out, b->out, a->n_out * sizeof(*a->out));
	assert_memory_equal(a->in, b->in, a->n_in * sizeof(*a->in));
}

/* `less` has nothing that `c` has not: asked around every number that matters. */
static void assert_subset(const struct cursor *less, const struct cursor *c, struct rng *r)
{
	for (int i = 0; i < 400; i++) {
		uint64_t near[] = {c->xmax,
				   c->txid,
				   less->xmax,
				   c->n_out ? c->out[rng_below(r, c->n_out)] : 1,
				   c->n_in ? c->in[rng_below(r, c->n_in)] : 1,
				   any_number(r, INT64_MAX)};
		uint64_t txid = near[rng_below(r, 6)] + rng_below(r, 5);
		uint64_t id = rng_below(r, 2) ? any_number(r, INT64_MAX) : c->id + rng_below(r, 2);

		txid = txid > 2 ? txid - 2 : txid;
		assert_true(!cursor_has(less, txid, id) || cursor_has(c, txid, id));
		assert_true(txid >= cursor_xmin(less) || cursor_has(less, txid, id));
	}
}

TEST(what_fits_reads_back_and_the_rest_is_dropped)
{
	struct rng r = rng_new();
	unsigned n_fit = 0, n_cut = 0;

	for (int round = 0; round < 30000; round++) {
		struct cursor c = random_cursor(&r), back;
		struct cursor_text t, again;

		cursor_format(&c, &t);
		assert_spelling(&t);
		assert_true(parse(&back, t.text));
		cursor_format(&back, &again);
		assert_string_equal(t.text, again.text);
		if (spelled_len(&c) <= CURSOR_TEXT_MAX) {
			assert_same(&c, &back);
			n_fit++;
		} else {
			assert_string_equal(c.epoch, back.epoch);
			assert_true(c.loss == back.loss && back.xmax <= c.xmax);
			assert_true(c.txid == back.txid && c.id == back.id);
			n_cut++;
		}
		assert_subset(&back, &c, &r);
	}
	assert_true(n_fit > 5000 && n_cut > 5000); /* both kinds were tried */
}

TEST(known_spellings)
{
	struct cursor c = {.epoch = "abcd1234", .xmax = 100};
	struct cursor_text t;

	cursor_format(&c, &t);
	assert_string_equal(t.text, "abcd1234.0.2s");
	c.n_out = 2;
	c.out[0] = 60;
	c.out[1] = 99;
	cursor_format(&c, &t);
	assert_string_equal(t.text, "abcd1234.0.2s.1-13");
	c.n_in = 2;
	c.in[0] = 100;
	c.in[1] = 136;
	cursor_format(&c, &t);
	assert_string_equal(t.text, "abcd1234.0.2s.1-13.0-10");
	c.txid = 99;
	c.id = 35;
	c.loss = 36;
	cursor_format(&c, &t);
	assert_string_equal(t.text, "abcd1234.10.2s.1-13.0-10.2r-z");
	c.n_out = c.n_in = 0;
	c.txid = 200;
	cursor_format(&c, &t);
	assert_string_equal(t.text, "abcd1234.10.2s...5k-z");
	assert_int_equal(cursor_xmin(&c), 100);
	assert_true(cursor_has(&c, 99, 1));
	assert_true(cursor_has(&c, 200, 35));
	assert_false(cursor_has(&c, 200, 36));
	assert_false(cursor_has(&c, 100, 1));
}

TEST(malformed_is_refused)
{
	static const char *const bad[] = {
		"",
		"abcd1234",
		"abcd1234.0",
		"abcd1234.0.",
		"abcd1234.0.0",
		"abcd1234.0.2s.",
		"abcd1234.0.2s..",
		"abcd1234.0.2s...",
		"abcd1234.0.2s.1.",
		"abcd1234.0.2s.1..",
		"abcd1234.0.2s..1.",
		"abcd1234.0.2s.0",     /* a distance of nothing */
		"abcd1234.0.2s.1-0",   /* the same twice */
		"abcd1234.0.2s..1-0",  /* the same twice */
		"abcd1234.0.2s.2t",    /* below zero */
		"abcd1234.0.2s.1-2r",  /* below zero */
		"abcd1234.0.2s.1-",    /* no number */
		"abcd1234.0.2s.-1",    /* no number */
		"abcd1234.0.2s.01",    /* leading zero */
		"abcd1234.00.2s",      /* leading zero */
		"abcd1234.0.02s",      /* leading zero */
		"abcd1234.0.2s..00",   /* leading zero */
		"abcd1234.0.2s...5k",  /* no row */
		"abcd1234.0.2s...5k-", /* no row */
		"abcd1234.0.2s...0-1", /* no transaction */
		"abcd1234.0.2s...5k-1-1",
		"abcd1234.0.2s...5k-1.",
		"abcd1234.0.2s...5k-1.1",
		"abcd1234..2s",
		"Abcd1234.0.2s",
		"abcd1234.0.2S",
		"abcd123.0.2s",
		"abcd12345.0.2s",
		" abcd1234.0.2s",
		"abcd1234.0.2s ",
		"abcd1234.0.2s\n",
		"abcd1234.0.1y2p0ij32e8e8",  /* INT64_MAX + 1 */
		"abcd1234.1y2p0ij32e8e8.1",  /* INT64_MAX + 1 */
		"abcd1234.0.3w5e11264sgsg0", /* 2^64 times something */
		"abcd1234.0.1y2p0ij32e8e7..1",
		"abcd1234.0.zzzzzzzzzzzzz",
		"abcd1234.0.2s...1y2p0ij32e8e8-1",
		"abcd1234.0.2s...1-1y2p0ij32e8e8",
	};
	struct cursor c;
	struct cursor_text t;
	char text[200];

	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
		if (parse(&c, bad[i]))
			fail_msg("read: %s", bad[i]);
	assert_false(cursor_parse(&c, "abcd1234.0.2s\0", 14));
	assert_true(parse(&c, "abcd1234.0.1y2p0ij32e8e7")); /* INT64_MAX */
	assert_true(c.xmax == INT64_MAX);

	/* The longest there is, and one byte more. */
	memset(text, 0, sizeof(text));
	snprintf(text, sizeof(text), "abcd1234.0.1y2p0ij32e8e7.");
	while (strlen(text) < 128)
		text[strlen(text)] = strlen(text) % 2 ? '1' : '-';
	assert_true(parse(&c, text));
	cursor_format(&c, &t);
	assert_string_equal(t.text, text);
	text[128] = '1';
	assert_int_equal(strlen(text), 129);
	assert_false(parse(&c, text));
}

/* A changed byte is refused or is another position's only spelling. */
TEST(every_corrupted_byte)
{
	struct rng r = rng_new();

	for (int round = 0; round < 200; round++) {
		struct cursor c = random_cursor(&r), back;
		struct cursor_text t, again;
		size_t len;

		cursor_format(&c, &t);
		len = strlen(t.text);
		for (size_t i = 0; i <= len; i++)
			for (int byte = 0; byte < 256; byte++) {
				char was = t.text[i];

				if (i == len && len == CURSOR_TEXT_MAX)
					break;
				t.text[i] = (char)byte; /* at the end: one more */
				if (cursor_parse(&back, t.text, i == len ? len + 1 : len)) {
					cursor_format(&back, &again);
					assert_int_equal(strlen(again.text),
							 i == len ? len + 1 : len);
					assert_memory_equal(again.text, t.text, strlen(again.text));
				}
				t.text[i] = was;
			}
		for (size_t n = 0; n < len; n++) /* cut off */
			if (cursor_parse(&back, t.text, n)) {
				cursor_format(&back, &again);
				assert_int_equal(strlen(again.text), n);
				assert_memory_equal(again.text, t.text, n);
			}
	}
}

TEST(snapshots)
{
	static const char *const bad[] = {
		"",	     "10",	     "10:20",
		"10:20:20",  "10:20:12,11",  "10:20:11,11",
		"10:20:x",   "10:20:11,,12", "10:x:",
		"10:20:,11", "10:20:-1",     "1:9223372036854775808:",
		"10:20 :11",
	};
	struct snapshot s;

	assert_true(snapshot_parse(&s, "10:20:10,14,19"));
	assert_int_equal(s.xmax, 20);
	assert_int_equal(s.n_xip, 3);
	assert_int_equal(s.xip[0], 10);
	assert_int_equal(s.xip[2], 19);
	snapshot_free(&s);
	assert_int_equal(s.n_xip, 0);
	assert_true(snapshot_parse(&s, "20:20:"));
	assert_int_equal(s.n_xip, 0);
	snapshot_free(&s);
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
		if (snapshot_parse(&s, bad[i]))
			fail_msg("read: %s", bad[i]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(known_spellings),
		cmocka_unit_test(what_fits_reads_back_and_the_rest_is_dropped),
		cmocka_unit_test(malformed_is_refused),
		cmocka_unit_test(every_corrupted_byte),
		cmocka_unit_test(snapshots),
	};

	return cmocka_run_group_tests_name("cursor", tests, NULL, NULL);
}
