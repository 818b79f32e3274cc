/* SPDX-License-Identifier: PostgreSQL
 * When to be woken and when to look by oneself. NOTIFY makes every committing writer queue for one
 * lock of the whole server; so while writers are busy a daemon stays awake and polls, and holds an
 * advisory lock that tells the triggers not to ring. When it is quiet it lets go and is rung for.
 * Other daemons look by themselves as long as that lock is held, whoever holds it.
 * Only decisions live here: time and results come in, what to do goes out. */
#ifndef PGHERALD_PG_DOORBELL_H
#define PGHERALD_PG_DOORBELL_H

#include <stdbool.h>
#include <stdint.h>

#include "base/mem.h"

/* The advisory lock's key, "pghr" in ASCII and a number; the triggers know it (sql/watch.sql).
 * Every role may take it: it is tried and never waited for. */
#define DOORBELL_CLASS	1885825394
#define DOORBELL_KEEPER 1

#define AWAKE_POLL_MS  5    /* how long an event waits while the daemon is awake */
#define DROWSY_POLL_MS 20   /* the same while writers that were not told to ring may still commit */
#define SHADOW_POLL_MS 20   /* the same while the lock is somebody else's */
#define SILENT_POLL_MS 50   /* where writers never ring (prepared transactions) */
#define WAKE_RINGS     12   /* rings, or transactions found … */
#define WAKE_WINDOW_MS 100  /* … in this time: more than 120 a second is busy */
#define SLEEP_ROWS     12   /* fewer transactions than this … */
#define SLEEP_AFTER_MS 250  /* … in this time is quiet */
#define DROWSY_MAX_MS  2000 /* after this SILENT_POLL_MS is enough for what still runs, … */
#define STILL_OPEN_MAX_MS                                                                          \
	60000		 /* … and after this, which is no ordinary transaction, the usual poll */
#define TRY_AGAIN_MS 200 /* the lock is somebody else's: no sooner than this */
#define UNHEARD_MAX  2	 /* so often in a row something came without a ring: they do not reach us */

enum doorbell_state {
	BELL_ASLEEP, /* rung for */
	BELL_ASKING, /* the lock has been asked for */
	BELL_AWAKE,  /* the lock is held: nobody rings */
	BELL_DROWSY, /* let go; transactions of before may still commit without ringing */
	BELL_SHADOW, /* the lock is somebody else's, or may be: looking by oneself */
};

/* What is to be done next; each has an answer that must come back. */
enum doorbell_deed {
	BELL_NOTHING,
	BELL_ASK,    /* try to take the lock: doorbell_answered() */
	BELL_LET_GO, /* release it: doorbell_let_go() */
	BELL_CHECK,  /* see whether writers would ring: doorbell_checked() */
};

struct doorbell {
	enum doorbell_state state;
	bool silent;   /* writers on this server never ring */
	bool checking; /* a check is under way */
	bool late;     /* asleep, but a transaction that may not have rung still runs */
	uint32_t n;    /* rings, or transactions seen, since window_ms */
	uint64_t window_ms;
	uint64_t not_before_ms; /* of asking or checking again */
	uint64_t drowsy_xmax;	/* transactions below this may not have rung; 0 = not known yet */
	uint64_t drowsy_ms;	/* since when */
	uint32_t unheard; /* how often something was found that nobody had rung for, since a ring */
};

/* A new connection: whether somebody holds the lock is not known. */
void doorbell_reset(struct doorbell *d, bool silent);
/* A writer rang. */
enum doorbell_deed doorbell_rung(struct doorbell *d, uint64_t now_ms) MUST_CHECK;
/* Another daemon said that it took the lock. */
void doorbell_announced(struct doorbell *d);
void doorbell_answered(struct doorbell *d, uint64_t now_ms, bool held);
void doorbell_let_go(struct doorbell *d, uint64_t now_ms);
void doorbell_checked(struct doorbell *d, uint64_t now_ms, bool free);
/* A look into the journal found `n` transactions; its snapshot was `xmin` to `xmax`. `by_poll`: no
 * ring had made it look. */
enum doorbell_deed doorbell_looked(struct doorbell *d, uint64_t now_ms, uint64_t n, uint64_t xmin,
				   uint64_t xmax, bool by_poll) MUST_CHECK;
/* How long until the next look by oneself. */
uint64_t doorbell_poll_ms(const struct doorbell *d, uint64_t ordinary_ms);

#endif
