/* SPDX-License-Identifier: PostgreSQL
 * See doorbell.h. */
#include "config.h"
#include "pg/doorbell.h"

void doorbell_reset(struct doorbell *d, bool silent)
{
	*d = (struct doorbell){.state = BELL_ASLEEP, .silent = silent};
}

static void new_window(struct doorbell *d, uint64_t now_ms)
{
	d->window_ms = now_ms;
	d->n = 0;
}

bool doorbell_rung(struct doorbell *d, uint64_t now_ms)
{
	if (d->state != BELL_ASLEEP)
		return false;
	if (now_ms >= d->window_ms + WAKE_WINDOW_MS)
		new_window(d, now_ms);
	if (++d->n < WAKE_RINGS || now_ms < d->not_before_ms)
		return false;
	d->state = BELL_ASKING;
	return true;
}

void doorbell_answered(struct doorbell *d, uint64_t now_ms, bool held, bool others)
{
	new_window(d, now_ms);
	d->not_before_ms = now_ms + TRY_AGAIN_MS;
	d->others = others;
	d->state = held ? BELL_AWAKE : BELL_ASLEEP;
}

bool doorbell_looked(struct doorbell *d, uint64_t now_ms, uint64_t n, uint64_t xmin, uint64_t xmax)
{
	/* A writer gets its txid before it looks at the lock: all that saw it held are below the
	 * xmax of the first snapshot taken after the lock was let go of. */
	if (d->state == BELL_DROWSY && !d->drowsy_xmax)
		d->drowsy_xmax = xmax;
	if (d->state == BELL_DROWSY &&
	    (xmin >= d->drowsy_xmax || now_ms >= d->drowsy_ms + DROWSY_MAX_MS)) {
		d->state = BELL_ASLEEP;
		new_window(d, now_ms);
	}
	if (d->state != BELL_AWAKE)
		return false;
	d->n += n > SLEEP_ROWS ? SLEEP_ROWS : (uint32_t)n;
	if (now_ms < d->window_ms + SLEEP_AFTER_MS)
		return false;
	if (d->n < SLEEP_ROWS)
		return true;
	new_window(d, now_ms);
	return false;
}

void doorbell_let_go(struct doorbell *d, uint64_t now_ms)
{
	d->state = BELL_DROWSY;
	d->drowsy_xmax = 0;
	d->drowsy_ms = now_ms;
}

bool doorbell_relay(struct doorbell *d, uint64_t now_ms)
{
	if (d->state != BELL_AWAKE || !d->others || now_ms < d->relayed_ms + RELAY_MS)
		return false;
	d->relayed_ms = now_ms;
	return true;
}

uint64_t doorbell_poll_ms(const struct doorbell *d, uint64_t ordinary_ms)
{
	uint64_t ms = ordinary_ms;

	if (d->state == BELL_AWAKE)
		ms = AWAKE_POLL_MS;
	else if (d->state == BELL_DROWSY)
		ms = DROWSY_POLL_MS;
	else if (d->silent)
		ms = SILENT_POLL_MS;
	return ms < ordinary_ms ? ms : ordinary_ms;
}
