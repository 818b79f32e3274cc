/* SPDX-License-Identifier: PostgreSQL
 * When to be woken and when to look by oneself. NOTIFY makes every committing writer queue for one
 * lock of the whole server; so while writers are busy a daemon stays awake and polls, and holds an
 * advisory lock that tells the triggers not to ring. When it is quiet it lets go and is rung for.
 * Only decisions live here: time and results come in, what to do goes out. */
#ifndef PGHERALD_PG_DOORBELL_H
#define PGHERALD_PG_DOORBELL_H

#include <stdbool.h>
#include <stdint.h>

/* The advisory lock's key, "pghr" in ASCII, and its parts: the doorkeeper's own, and one that
 * every daemon shares to be counted. The triggers know the first (sql/watch.sql). */
#define DOORBELL_CLASS	 1885825394
#define DOORBELL_KEEPER	 1
#define DOORBELL_PRESENT 3

#define AWAKE_POLL_MS  5    /* how long an event waits while the daemon is awake */
#define DROWSY_POLL_MS 20   /* the same while writers that were not told to ring may still commit */
#define SILENT_POLL_MS 50   /* where writers never ring (prepared transactions) */
#define WAKE_RINGS     12   /* rings … */
#define WAKE_WINDOW_MS 100  /* … in this time: more than 120 a second is busy */
#define SLEEP_ROWS     12   /* fewer transactions than this … */
#define SLEEP_AFTER_MS 250  /* … in this time is quiet */
#define DROWSY_MAX_MS  2000 /* after this the ordinary poll is enough for what still runs */
#define TRY_AGAIN_MS   200  /* another daemon is the keeper: no sooner than this */
#define RELAY_MS       20   /* the keeper rings for the other daemons at most this often */

enum doorbell_state {
	BELL_ASLEEP, /* rung for */
	BELL_ASKING, /* the lock has been asked for */
	BELL_AWAKE,  /* the lock is held: nobody rings */
	BELL_DROWSY, /* let go; transactions of before may still commit without ringing */
};

struct doorbell {
	enum doorbell_state state;
	bool silent; /* writers on this server never ring */
	uint32_t n;  /* rings, or transactions seen, since window_ms */
	uint64_t window_ms;
	uint64_t not_before_ms; /* of asking again */
	uint64_t drowsy_xmax;	/* transactions below this may not have rung; 0 = not known yet */
	uint64_t drowsy_ms;	/* since when */
	uint64_t relayed_ms;
	bool others; /* other daemons listen */
};

/* A new connection: asleep, nothing known. */
void doorbell_reset(struct doorbell *d, bool silent);
/* Somebody rang. True when the keeper's lock should be asked for now. */
bool doorbell_rung(struct doorbell *d, uint64_t now_ms) __attribute__((warn_unused_result));
/* The answer to that question. */
void doorbell_answered(struct doorbell *d, uint64_t now_ms, bool held, bool others);
/* A look into the journal found `n` transactions; its snapshot was `xmin` to `xmax`. True when the
 * lock should be let go of; doorbell_let_go() must follow. */
bool doorbell_looked(struct doorbell *d, uint64_t now_ms, uint64_t n, uint64_t xmin, uint64_t xmax)
	__attribute__((warn_unused_result));
/* The lock is free again: the next look's snapshot tells who may still have seen it held. */
void doorbell_let_go(struct doorbell *d, uint64_t now_ms);
/* Whether the keeper should ring for the others, having found something. */
bool doorbell_relay(struct doorbell *d, uint64_t now_ms) __attribute__((warn_unused_result));
/* How long until the next look by oneself. */
uint64_t doorbell_poll_ms(const struct doorbell *d, uint64_t ordinary_ms);

#endif
