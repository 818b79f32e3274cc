/* SPDX-License-Identifier: PostgreSQL
 * See doorbell.h. */
#include "config.h"
#include "pg/doorbell.h"

static void new_window(struct doorbell *d, uint64_t now_ms)
{
	d->window_ms = now_ms;
	d->n = 0;
}

/* One more sign of life in the journal; whether they are many. */
static bool busy(struct doorbell *d, uint64_t now_ms, uint32_t n)
{
	if (now_ms >= d->window_ms + WAKE_WINDOW_MS)
		new_window(d, now_ms);
	d->n += n;
	return d->n >= WAKE_RINGS && now_ms >= d->not_before_ms;
}

static void shadow(struct doorbell *d, uint64_t not_before_ms)
{
	d->state = BELL_SHADOW;
	d->not_before_ms = not_before_ms;
}

void doorbell_reset(struct doorbell *d, bool silent)
{
	*d = (struct doorbell){.state = silent ? BELL_ASLEEP : BELL_SHADOW, .silent = silent};
}

enum doorbell_deed doorbell_rung(struct doorbell *d, uint64_t now_ms)
{
	d->unheard = 0;
	if (d->silent || d->state != BELL_ASLEEP || !busy(d, now_ms, 1))
		return BELL_NOTHING;
	d->state = BELL_ASKING;
	return BELL_ASK;
}

void doorbell_announced(struct doorbell *d)
{
	if (d->state == BELL_ASLEEP || d->state == BELL_DROWSY)
		shadow(d, 0);
}

void doorbell_answered(struct doorbell *d, uint64_t now_ms, bool held)
{
	new_window(d, now_ms);
	if (held)
		d->state = BELL_AWAKE;
	else
		shadow(d, now_ms + TRY_AGAIN_MS);
}

void doorbell_let_go(struct doorbell *d, uint64_t now_ms)
{
	d->state = BELL_DROWSY;
	d->drowsy_xmax = 0;
	d->drowsy_ms = now_ms;
}

void doorbell_checked(struct doorbell *d, uint64_t now_ms, bool free)
{
	d->checking = false;
	if (d->state != BELL_SHADOW)
		return;
	if (free) /* whoever held it has let go: what its writers did not ring for may come */
		doorbell_let_go(d, now_ms);
	else
		shadow(d, now_ms + TRY_AGAIN_MS);
}

static void look_drowsily(struct doorbell *d, uint64_t now_ms, uint64_t xmin, uint64_t xmax)
{
	/* A writer gets its txid before it looks at the lock: all that saw it held are below the
	 * xmax of the first snapshot taken after the lock was let go of. */
	if (!d->drowsy_xmax)
		d->drowsy_xmax = xmax;
	d->late = xmin < d->drowsy_xmax;
	if (d->late && now_ms < d->drowsy_ms + DROWSY_MAX_MS)
		return;
	d->state = BELL_ASLEEP;
	new_window(d, now_ms);
}

/* While the lock is held: whether to let go. */
static enum doorbell_deed look_awake(struct doorbell *d, uint64_t now_ms, uint32_t n)
{
	d->n += n;
	if (now_ms < d->window_ms + SLEEP_AFTER_MS)
		return BELL_NOTHING;
	if (d->n < SLEEP_ROWS)
		return BELL_LET_GO;
	new_window(d, now_ms);
	return BELL_NOTHING;
}

/* While somebody else may hold it: whether to take it over, or to see whether it is free. */
static enum doorbell_deed look_after(struct doorbell *d, uint64_t now_ms, uint32_t n)
{
	if (d->checking)
		return BELL_NOTHING;
	if (busy(d, now_ms, n)) {
		d->state = BELL_ASKING;
		return BELL_ASK;
	}
	/* A window later, so that writers in a hurry are noticed first. */
	if (now_ms < d->not_before_ms + WAKE_WINDOW_MS)
		return BELL_NOTHING;
	d->checking = true;
	return BELL_CHECK;
}

enum doorbell_deed doorbell_looked(struct doorbell *d, uint64_t now_ms, uint64_t n, uint64_t xmin,
				   uint64_t xmax, bool by_poll)
{
	uint32_t few = n > SLEEP_ROWS ? SLEEP_ROWS : (uint32_t)n;

	if (d->silent)
		return BELL_NOTHING;
	switch (d->state) {
	case BELL_AWAKE:
		return look_awake(d, now_ms, few);
	case BELL_SHADOW:
		return look_after(d, now_ms, few);
	case BELL_DROWSY:
		look_drowsily(d, now_ms, xmin, xmax);
		return BELL_NOTHING;
	case BELL_ASLEEP:
		if (d->late) { /* what is found may be of who saw the lock held */
			d->late =
				xmin < d->drowsy_xmax && now_ms < d->drowsy_ms + STILL_OPEN_MAX_MS;
			return BELL_NOTHING;
		}
		if (!n || !by_poll)
			return BELL_NOTHING;
		/* Somebody did not ring: because of the lock, or the bell does not reach us. */
		d->unheard += d->unheard < UNHEARD_MAX;
		shadow(d, 0);
		return look_after(d, now_ms, 0);
	case BELL_ASKING:
		break;
	}
	return BELL_NOTHING;
}

uint64_t doorbell_poll_ms(const struct doorbell *d, uint64_t ordinary_ms)
{
	uint64_t ms = ordinary_ms;

	if (d->state == BELL_AWAKE)
		ms = AWAKE_POLL_MS;
	else if (d->state == BELL_DROWSY)
		ms = DROWSY_POLL_MS;
	else if (d->state == BELL_SHADOW || d->state == BELL_ASKING)
		ms = SHADOW_POLL_MS;
	else if (d->silent || d->unheard == UNHEARD_MAX || (d->state == BELL_ASLEEP && d->late))
		ms = SILENT_POLL_MS;
	return ms < ordinary_ms ? ms : ordinary_ms;
}
