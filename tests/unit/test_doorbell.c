/* SPDX-License-Identifier: PostgreSQL
 * pg/doorbell: when the lock is asked for, let go of, and how often to look meanwhile; and several
 * daemons with their writers in a world of milliseconds, where no event may wait for the poll. */
#include "config.h"
#include "unit.h"

#include "pg/doorbell.h"

#define ORDINARY 1000

static enum doorbell_deed look(struct doorbell *d, uint64_t now, uint64_t n)
{
	return doorbell_looked(d, now, n, 70, 70, false);
}

/* Connected, and the lock was free. */
static void fresh(struct doorbell *d, uint64_t now)
{
	doorbell_reset(d, false);
	assert_int_equal(look(d, now, 0), BELL_CHECK);
	assert_int_equal(look(d, now, 0), BELL_NOTHING); /* the answer is on its way */
	doorbell_checked(d, now, true);
	assert_int_equal(look(d, now, 0), BELL_NOTHING);
	assert_int_equal(d->state, BELL_ASLEEP);
}

static void wake(struct doorbell *d, uint64_t *now)
{
	for (int i = 1; i < WAKE_RINGS; i++)
		assert_int_equal(doorbell_rung(d, ++*now), BELL_NOTHING);
	assert_int_equal(doorbell_rung(d, ++*now), BELL_ASK);
	doorbell_answered(d, *now, true);
	assert_int_equal(d->state, BELL_AWAKE);
}

TEST(few_rings_do_not_wake)
{
	struct doorbell d;
	uint64_t now = 1000;

	fresh(&d, now);
	assert_int_equal(doorbell_poll_ms(&d, ORDINARY), ORDINARY);
	for (int i = 0; i < 1000; i++) /* 100 a second */
		assert_int_equal(doorbell_rung(&d, now += 10), BELL_NOTHING);
	assert_int_equal(d.state, BELL_ASLEEP);
}

TEST(many_rings_wake_and_quiet_lets_go)
{
	struct doorbell d;
	uint64_t now = 1000;

	fresh(&d, now);
	wake(&d, &now);
	assert_int_equal(doorbell_poll_ms(&d, ORDINARY), AWAKE_POLL_MS);
	assert_int_equal(doorbell_rung(&d, now), BELL_NOTHING); /* of before the lock */
	for (int i = 0; i < 400; i++, now += 5) /* one transaction per look: 200 a second */
		assert_int_equal(look(&d, now, 1), BELL_NOTHING);
	while (look(&d, now, 0) != BELL_LET_GO)
		assert_in_range(now += 5, 0, 1000 + 5000);
	doorbell_let_go(&d, now);
	assert_int_equal(doorbell_poll_ms(&d, ORDINARY), DROWSY_POLL_MS);
	/* The first look after it says who may have seen the lock: all below 70. */
	assert_int_equal(doorbell_looked(&d, now += 20, 0, 50, 70, true), BELL_NOTHING);
	assert_int_equal(doorbell_looked(&d, now += 20, 0, 69, 90, true), BELL_NOTHING);
	assert_int_equal(d.state, BELL_DROWSY);
	assert_int_equal(doorbell_looked(&d, now += 20, 0, 70, 90, true), BELL_NOTHING);
	assert_int_equal(d.state, BELL_ASLEEP);
}

TEST(a_transaction_of_hours_does_not_keep_it_up)
{
	struct doorbell d;
	uint64_t now = 1000, until;

	fresh(&d, now);
	wake(&d, &now);
	doorbell_let_go(&d, now);
	until = now + DROWSY_MAX_MS;
	while (d.state == BELL_DROWSY)
		assert_int_equal(doorbell_looked(&d, now += 20, 0, 5, 70, true), BELL_NOTHING);
	assert_in_range(now, until, until + 20);
	/* Of some seconds or a minute: what it has not rung for does not wait for the poll. */
	assert_int_equal(doorbell_poll_ms(&d, ORDINARY), SILENT_POLL_MS);
	until += STILL_OPEN_MAX_MS - DROWSY_MAX_MS;
	while (doorbell_poll_ms(&d, ORDINARY) == SILENT_POLL_MS)
		assert_int_equal(doorbell_looked(&d, now += SILENT_POLL_MS, 0, 5, 70, true),
				 BELL_NOTHING);
	assert_in_range(now, until, until + SILENT_POLL_MS);
	assert_int_equal(doorbell_poll_ms(&d, ORDINARY), ORDINARY);
}

TEST(who_saw_the_lock_and_commits_seconds_later)
{
	struct doorbell d;
	uint64_t now = 1000;

	fresh(&d, now);
	wake(&d, &now);
	doorbell_let_go(&d, now);
	while (d.state == BELL_DROWSY)
		assert_int_equal(doorbell_looked(&d, now += 20, 0, 5, 70, true), BELL_NOTHING);
	/* It is found, and nobody else is taken for one that does not ring. */
	assert_int_equal(doorbell_looked(&d, now += SILENT_POLL_MS, 1, 5, 90, true), BELL_NOTHING);
	assert_int_equal(d.state, BELL_ASLEEP);
	assert_int_equal(d.unheard, 0);
	assert_int_equal(doorbell_looked(&d, now += SILENT_POLL_MS, 1, 70, 91, true), BELL_NOTHING);
	assert_int_equal(doorbell_poll_ms(&d, ORDINARY), ORDINARY);
	wake(&d, &now);
}

TEST(somebody_else_has_the_lock)
{
	struct doorbell d;
	uint64_t now = 1000, asked = 0, checked = 0;

	fresh(&d, now);
	for (int i = 1; i < WAKE_RINGS; i++)
		assert_int_equal(doorbell_rung(&d, ++now), BELL_NOTHING);
	assert_int_equal(doorbell_rung(&d, ++now), BELL_ASK);
	doorbell_answered(&d, now, false);
	assert_int_equal(doorbell_poll_ms(&d, ORDINARY), SHADOW_POLL_MS);
	for (int i = 0; i < 50; i++) { /* a second full of transactions: it would take over */
		enum doorbell_deed deed = look(&d, now += 20, 5);

		if (deed == BELL_ASK) {
			doorbell_answered(&d, now, false);
			asked++;
		} else {
			assert_int_equal(deed, BELL_NOTHING);
		}
	}
	assert_in_range(asked, 3, 1000 / TRY_AGAIN_MS + 1);
	for (int i = 0; i < 50; i++) { /* a quiet second: it only looks whether it is free */
		enum doorbell_deed deed = look(&d, now += 20, 0);

		if (deed == BELL_CHECK) {
			doorbell_checked(&d, now, false);
			checked++;
		} else {
			assert_int_equal(deed, BELL_NOTHING);
		}
		assert_int_equal(doorbell_poll_ms(&d, ORDINARY), SHADOW_POLL_MS);
	}
	assert_in_range(checked, 2, 1000 / TRY_AGAIN_MS + 1);
	while (look(&d, now += 20, 0) != BELL_CHECK)
		;
	doorbell_checked(&d, now, true);
	assert_int_equal(d.state, BELL_DROWSY); /* writers that saw it held may commit yet */
}

TEST(announced)
{
	struct doorbell d;
	uint64_t now = 1000;

	fresh(&d, now);
	doorbell_announced(&d);
	assert_int_equal(doorbell_poll_ms(&d, ORDINARY), SHADOW_POLL_MS);
	assert_int_equal(look(&d, now, 0), BELL_CHECK);
	doorbell_checked(&d, now, false);
	assert_int_equal(d.state, BELL_SHADOW);
	fresh(&d, now);
	wake(&d, &now);
	doorbell_announced(&d); /* our own word, or a joke: the lock is ours */
	assert_int_equal(d.state, BELL_AWAKE);
}

TEST(what_nobody_rang_for)
{
	struct doorbell d;
	uint64_t now = 1000;

	fresh(&d, now);
	assert_int_equal(doorbell_looked(&d, now, 1, 70, 70, false), BELL_NOTHING);
	assert_int_equal(d.state, BELL_ASLEEP);
	/* Found by the poll: somebody may hold the lock. */
	assert_int_equal(doorbell_looked(&d, now += 1000, 1, 70, 70, true), BELL_CHECK);
	doorbell_checked(&d, now, true);
	assert_int_equal(look(&d, now, 0), BELL_NOTHING);
	assert_int_equal(d.state, BELL_ASLEEP);
	assert_int_equal(doorbell_poll_ms(&d, ORDINARY), ORDINARY); /* once is an accident */
	assert_int_equal(doorbell_looked(&d, now += 1000, 1, 70, 70, true), BELL_CHECK);
	doorbell_checked(&d, now, true);
	assert_int_equal(look(&d, now, 0), BELL_NOTHING);
	assert_int_equal(doorbell_poll_ms(&d, ORDINARY), SILENT_POLL_MS);
	assert_int_equal(doorbell_rung(&d, now), BELL_NOTHING); /* heard: all is well */
	assert_int_equal(doorbell_poll_ms(&d, ORDINARY), ORDINARY);
}

TEST(a_server_where_nobody_rings_is_looked_at_more_often)
{
	struct doorbell d;

	doorbell_reset(&d, true);
	assert_int_equal(doorbell_poll_ms(&d, ORDINARY), SILENT_POLL_MS);
	assert_int_equal(doorbell_poll_ms(&d, 10), 10);
	assert_int_equal(doorbell_looked(&d, 1000, 5, 70, 70, true), BELL_NOTHING);
	for (int i = 0; i < 100; i++) /* who rings all the same does not make it take the lock */
		assert_int_equal(doorbell_rung(&d, 1000), BELL_NOTHING);
}

/* --- A world: one millisecond after the other, a lock, daemons, writers ------------------------
 */

#define N_DAEMONS   3
#define N_WRITERS   6
#define WORLD_MS    60000
#define LATE_MAX_MS 60 /* the slowest look by oneself, and what is on its way */

struct world {
	struct rng rng;
	uint64_t now, xmax;
	int keeper; /* daemon, N_DAEMONS: an outsider, -1: nobody */
	struct {
		struct doorbell bell;
		uint64_t look_at, look_done; /* the next look, and the end of the one under way */
		uint64_t snapshot_xmin, snapshot_xmax, snapshot_n;
		bool looking, by_poll, again;
		enum doorbell_deed deed; /* under way, done at deed_at */
		uint64_t deed_at;
		unsigned n_unseen; /* committed, not looked at yet */
		uint64_t unseen_since;
		unsigned rings; /* on their way, to arrive in the next millisecond */
		bool announced;
	} daemons[N_DAEMONS];
	struct {
		uint64_t xid, next_at; /* 0: none under way */
		bool rings;
	} writers[N_WRITERS];
	uint64_t load_until, gap_ms; /* how fast they write now */
	uint64_t latest_ms;	     /* the longest that an event has waited */
};

static uint64_t xmin(const struct world *w)
{
	uint64_t min = w->xmax;

	for (int i = 0; i < N_WRITERS; i++)
		if (w->writers[i].xid && w->writers[i].xid < min)
			min = w->writers[i].xid;
	return min;
}

static void write_some(struct world *w)
{
	if (w->now >= w->load_until) { /* another load for a while: none, some, much */
		static const uint64_t gaps[] = {100000, 900, 60, 40, 10, 4, 1};

		w->gap_ms = gaps[rng_below(&w->rng, sizeof(gaps) / sizeof(*gaps))];
		w->load_until = w->now + 50 + rng_below(&w->rng, 2000);
	}
	for (int i = 0; i < N_WRITERS; i++) {
		if (w->now < w->writers[i].next_at)
			continue;
		if (!w->writers[i].xid) {
			w->writers[i].xid = w->xmax++;
			w->writers[i].rings = w->keeper < 0;
			/* now and then it takes its time to commit */
			w->writers[i].next_at =
				w->now + (rng_below(&w->rng, 20) ? rng_below(&w->rng, 3)
								 : rng_below(&w->rng, 900));
			continue;
		}
		for (int k = 0; k < N_DAEMONS; k++) {
			if (!w->daemons[k].n_unseen++)
				w->daemons[k].unseen_since = w->now;
			w->daemons[k].rings += w->writers[i].rings;
		}
		w->writers[i].xid = 0;
		w->writers[i].next_at =
			w->now + rng_below(&w->rng, (size_t)(2 * w->gap_ms * N_WRITERS));
	}
}

static void undertake(struct world *w, int k, enum doorbell_deed deed)
{
	if (deed == BELL_NOTHING)
		return;
	assert_int_equal(w->daemons[k].deed, BELL_NOTHING);
	w->daemons[k].deed = deed;
	w->daemons[k].deed_at = w->now + 1;
}

static void carry_out(struct world *w, int k)
{
	enum doorbell_deed deed = w->daemons[k].deed;
	struct doorbell *d = &w->daemons[k].bell;

	w->daemons[k].deed = BELL_NOTHING;
	if (deed == BELL_ASK) {
		bool got = w->keeper < 0 && rng_below(&w->rng, 4); /* writers hold it shared */

		if (got)
			w->keeper = k;
		for (int i = 0; got && i < N_DAEMONS; i++)
			w->daemons[i].announced |= i != k;
		doorbell_answered(d, w->now, got);
	} else if (deed == BELL_LET_GO) {
		w->keeper = -1;
		doorbell_let_go(d, w->now);
	} else {
		doorbell_checked(d, w->now, w->keeper < 0);
	}
	w->daemons[k].look_at = w->now; /* as the journal does: a look follows each answer */
}

static void begin_to_look(struct world *w, int k, bool by_poll)
{
	uint64_t late = w->daemons[k].n_unseen ? w->now - w->daemons[k].unseen_since : 0;

	if (late > w->latest_ms)
		w->latest_ms = late;
	w->daemons[k].looking = true;
	w->daemons[k].by_poll = by_poll;
	w->daemons[k].again = false;
	w->daemons[k].look_done = w->now + 1 + rng_below(&w->rng, 3);
	w->daemons[k].snapshot_n = w->daemons[k].n_unseen;
	w->daemons[k].snapshot_xmin = xmin(w);
	w->daemons[k].snapshot_xmax = w->xmax;
	w->daemons[k].n_unseen = 0;
}

static void live(struct world *w, int k)
{
	struct doorbell *d = &w->daemons[k].bell;

	for (; w->daemons[k].rings; w->daemons[k].rings--) {
		undertake(w, k, doorbell_rung(d, w->now));
		w->daemons[k].again = true;
	}
	if (w->daemons[k].announced)
		doorbell_announced(d);
	w->daemons[k].again |= w->daemons[k].announced;
	w->daemons[k].announced = false;
	if (w->daemons[k].deed != BELL_NOTHING && w->now >= w->daemons[k].deed_at)
		carry_out(w, k);
	if (w->daemons[k].looking && w->now >= w->daemons[k].look_done) {
		w->daemons[k].looking = false;
		undertake(w, k,
			  doorbell_looked(d, w->now, w->daemons[k].snapshot_n,
					  w->daemons[k].snapshot_xmin, w->daemons[k].snapshot_xmax,
					  w->daemons[k].by_poll && !w->daemons[k].again));
		w->daemons[k].look_at = w->now + doorbell_poll_ms(d, ORDINARY);
	}
	if (!w->daemons[k].looking && w->daemons[k].again)
		begin_to_look(w, k, false);
	else if (!w->daemons[k].looking && w->now >= w->daemons[k].look_at)
		begin_to_look(w, k, true);
}

/* Whether the outsider has the lock and everybody knows: one event may be late for that. */
static bool noticed(const struct world *w)
{
	for (int k = 0; k < N_DAEMONS; k++)
		if (w->daemons[k].bell.state == BELL_ASLEEP)
			return false;
	return w->keeper == N_DAEMONS;
}

static uint64_t longest_wait(uint64_t round, bool outsider)
{
	struct world w = {.rng = rng_new(), .xmax = 1000, .keeper = -1};

	w.rng.state += round * 1000003;
	for (int k = 0; k < N_DAEMONS; k++)
		doorbell_reset(&w.daemons[k].bell, false);
	for (w.now = 1; w.now < WORLD_MS; w.now++) {
		if (w.now == 1000) /* what the daemons' start cost does not count */
			w.latest_ms = 0;
		if (outsider && w.keeper < 0 && w.now > 5000)
			w.keeper = N_DAEMONS;
		if (outsider && !noticed(&w))
			w.latest_ms = 0;
		write_some(&w);
		for (int k = 0; k < N_DAEMONS; k++)
			live(&w, k);
	}
	return w.latest_ms;
}

TEST(nothing_waits_for_the_poll_however_keepers_change)
{
	for (uint64_t round = 0; round < 50; round++)
		assert_in_range(longest_wait(round, false), 0, LATE_MAX_MS);
}

TEST(nothing_waits_for_the_poll_while_an_outsider_holds_the_lock)
{
	for (uint64_t round = 0; round < 20; round++)
		assert_in_range(longest_wait(round, true), 0, LATE_MAX_MS);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(few_rings_do_not_wake),
		cmocka_unit_test(many_rings_wake_and_quiet_lets_go),
		cmocka_unit_test(a_transaction_of_hours_does_not_keep_it_up),
		cmocka_unit_test(who_saw_the_lock_and_commits_seconds_later),
		cmocka_unit_test(somebody_else_has_the_lock),
		cmocka_unit_test(announced),
		cmocka_unit_test(what_nobody_rang_for),
		cmocka_unit_test(a_server_where_nobody_rings_is_looked_at_more_often),
		cmocka_unit_test(nothing_waits_for_the_poll_however_keepers_change),
		cmocka_unit_test(nothing_waits_for_the_poll_while_an_outsider_holds_the_lock),
	};

	return cmocka_run_group_tests_name("doorbell", tests, NULL, NULL);
}
