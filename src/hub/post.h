/* SPDX-License-Identifier: PostgreSQL
 * The letters between the database thread and the workers (base/inbox.h carries them). A letter
 * and what it points to belong to whoever holds it; requests travel out and come back. */
#ifndef PGHERALD_HUB_POST_H
#define PGHERALD_HUB_POST_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/inbox.h"
#include "hub/event.h"
#include "hub/scope.h"
#include "wire/cursor.h"
#include "wire/posting.h"

struct conf;

enum post_kind {
	POST_EVENTS,   /* struct post_events: database -> worker */
	POST_DATABASE, /* struct post_database: database -> worker */
	POST_LOOKUP,   /* struct post_lookup: worker -> database and back */
	POST_RENEW,  /* to the worker of a stream: a good look-up, with another credential for it */
	POST_REPLAY, /* struct post_replay: worker -> database and back */
	POST_PUBLISH,  /* struct post_publish: worker -> database and back */
	POST_CONF,     /* struct post_conf: main -> worker */
	POST_PROBLEMS, /* struct post_problems: database -> worker */
	POST_PROBE,    /* struct post_probe: worker -> worker */
	POST_DRAIN,    /* struct letter: main -> worker: say farewell and finish */
	POST_STOP,     /* struct letter: main -> worker: finish at once */
	POST_DRAINED,  /* struct letter: worker -> main: no stream is left */
};

/* Events in order, and the position after them: all of it has been published once they are. */
struct post_events {
	struct letter letter;
	bool restart;	/* forget the ring first: these events follow a gap */
	uint64_t floor; /* with restart: the highest txid that may precede these events */
	struct cursor_text position;
	uint64_t position_xmin;	  /* everything below this txid has been published */
	atomic_size_t *in_flight; /* the sender's count of bytes on their way; or NULL … */
	size_t bytes;		  /* … and this letter's part in it */
	size_t n;
	struct event *events[]; /* a reference each */
};

/* With the references that are left. */
void post_events_free(struct post_events *p);

struct post_database {
	struct letter letter;
	bool up;
};

enum lookup_verdict {
	LOOKUP_OK,
	LOOKUP_UNKNOWN,	    /* no such token */
	LOOKUP_INACTIVE,    /* the token's user is not active */
	LOOKUP_UNAVAILABLE, /* the database could not be asked */
};

/* In place of a section's name, for a letter that brings a ticket to keep. */
#define AUTH_TICKETS "(tickets)"

/* "Whose token is this?" */
struct post_lookup {
	struct letter letter;
	struct inbox *reply_to;
	char *auth;	   /* name of the [auth] section */
	char *token;	   /* never logged */
	char *route;	   /* that a ticket is for, or NULL */
	char *sealed;	   /* what is to be kept under the name that is the token; or NULL */
	uint64_t until_ms; /* of CLOCK_MONOTONIC: as long as it makes sense to try again */
	uint64_t stream;   /* of POST_RENEW: its number */
	void *asker;	   /* who wanted to know; NULL once he is gone */
	void (*answered)(struct post_lookup *l); /* on the asker's thread; takes the letter */
	enum lookup_verdict verdict;
	struct principal *who; /* with LOOKUP_OK */
};

void post_lookup_free(struct post_lookup *l);

enum replay_verdict {
	REPLAY_MORE,	    /* these events, and there are more: send the letter back for them */
	REPLAY_DONE,	    /* these events, then `from` is the position reached */
	REPLAY_RESET,	    /* the position cannot be resumed: `reason` */
	REPLAY_UNAVAILABLE, /* the database could not be asked */
};

struct replay_plan; /* the database side's own */

/* Releases a plan; set together with it, so that either side can throw a letter away. */
typedef void replay_plan_free_fn(struct replay_plan *plan);

/* "What came after this position?" */
struct post_replay {
	struct letter letter;
	struct inbox *reply_to;
	void *asker;	       /* the worker's own; NULL once the stream is gone */
	char *user_id;	       /* whose turn it is */
	char *session;	       /* as in struct principal */
	struct keys *channels; /* the same */
	bool kept; /* only the messages that are kept for who comes; then `from` stays */
	bool own;  /* only what concerns him: his role hears its own */
	struct cursor from;
	enum replay_verdict verdict;
	const char *reason;    /* with REPLAY_RESET: pruned, epoch, cursor or storm */
	struct event **events; /* a reference each; owned */
	size_t n;
	struct replay_plan *plan;
	replay_plan_free_fn *free_plan;
};

void post_replay_free(struct post_replay *p);

enum publish_verdict {
	PUBLISHED,
	PUBLISH_INVALID,     /* what it says, or its type, is none */
	PUBLISH_TOO_LARGE,   /* the payload, as PostgreSQL writes it */
	PUBLISH_FORBIDDEN,   /* its type is not to be published */
	PUBLISH_NO_ROOM,     /* in the journal */
	PUBLISH_UNAVAILABLE, /* the database could not be asked, or has not answered */
};

/* "Tell this." */
struct post_publish {
	struct letter letter;
	struct inbox *reply_to;
	struct posting message;
	uint64_t until_ms; /* of CLOCK_MONOTONIC: its asker waits as long as that */
	void *asker;	   /* NULL once he is gone */
	void (*answered)(struct post_publish *l); /* on the asker's thread; takes the letter */
	enum publish_verdict verdict;
	uint64_t id; /* with PUBLISHED */
	char *why;   /* with the others, or NULL */
};

void post_publish_free(struct post_publish *l);

/* What is wrong with the watched tables, each problem a line; "" when all is well. */
struct post_problems {
	struct letter letter;
	char lines[];
};

/* "Are the clients of this user still there?" */
struct post_probe {
	struct letter letter;
	char user_id[];
};

struct post_conf {
	struct letter letter;
	struct conf *conf; /* a reference */
};

#endif
