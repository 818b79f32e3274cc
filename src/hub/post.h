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
#include "hub/question.h"
#include "hub/room.h"
#include "hub/scope.h"
#include "wire/cursor.h"
#include "wire/posting.h"

struct conf;
struct json_object;

enum post_kind {
	POST_EVENTS,	/* struct post_events: database -> worker; source -> database */
	POST_DATABASE,	/* struct post_database: database -> worker */
	POST_LOOKUP,	/* struct post_lookup: worker -> database and back */
	POST_AUTHORIZE, /* struct post_lookup: worker -> database; comes back as a POST_LOOKUP */
	POST_RENEW,  /* to the worker of a stream: a good look-up, with another credential for it */
	POST_REPLAY, /* struct post_replay: worker -> database and back */
	POST_PUBLISH,  /* struct post_publish: worker -> database and back */
	POST_EXPLAIN,  /* struct post_explain: worker -> database, each worker in turn, and back */
	POST_CHOICE,   /* struct post_choice: worker -> worker of a stream … */
	POST_CHOSEN,   /* … and back */
	POST_ROLL,     /* struct post_roll: to each worker in turn, and back */
	POST_CONF,     /* struct post_conf: main -> worker */
	POST_KEYS,     /* struct post_keys: database -> worker */
	POST_PROBLEMS, /* struct post_problems: database -> worker */
	POST_PROBE,    /* struct post_probe: worker -> worker */
	POST_DRAIN,    /* struct letter: main -> worker: say farewell and finish */
	POST_STOP,     /* struct letter: main -> worker: finish at once */
	POST_DRAINED,  /* struct letter: worker -> main: no stream is left */
	POST_SOURCE,   /* struct post_source: source -> main: its last one */
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
	/* Of POST_AUTHORIZE: */
	LOOKUP_FORBIDDEN, /* he may not hear that */
	LOOKUP_NOTHING,	  /* there is no such thing */
};

/* In place of a section's name, for a letter that brings a ticket to keep. */
#define AUTH_TICKETS "(tickets)"

/* "Whose token is this?"; and of POST_AUTHORIZE: "may `who` hear his channels?", or come in at all
 * when he has none. */
struct post_lookup {
	struct letter letter;
	struct inbox *reply_to;
	char *auth;	   /* name of the [auth] section */
	char *token;	   /* never logged */
	char *route;	   /* that a ticket is for, or whose function is asked; or NULL */
	char *sealed;	   /* what is to be kept under the name that is the token; or NULL */
	uint64_t until_ms; /* of CLOCK_MONOTONIC: as long as it makes sense to try again */
	uint64_t stream;   /* of POST_RENEW: its number */
	void *asker;	   /* who wanted to know; NULL once he is gone */
	void (*answered)(struct post_lookup *l); /* on the asker's thread; takes the letter */
	enum lookup_verdict verdict;
	struct principal *who; /* with LOOKUP_OK; of POST_AUTHORIZE always */
	bool authorizing;      /* it is, or was, a POST_AUTHORIZE */
	size_t refused; /* with LOOKUP_FORBIDDEN and LOOKUP_NOTHING: place in who->channels */
	void *errand;	/* what it is asked for; with … */
	void (*free_errand)(void *errand); /* … or NULL */
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
	bool kept;	    /* only the messages that are kept for who comes; then `from` stays */
	bool channels_only; /* with `kept`: those of the channels, and of nobody else */
	bool own;	    /* only what concerns him: his role hears its own */
	struct cursor from;
	enum replay_verdict verdict;
	const char *reason;    /* with REPLAY_RESET: pruned, epoch, cursor or storm */
	struct event **events; /* a reference each; owned */
	size_t n;
	size_t counted; /* bytes of them that are in the ledger, see post_replay_count() */
	struct replay_plan *plan;
	replay_plan_free_fn *free_plan;
};

void post_replay_free(struct post_replay *p);
/* Whether what its events take is counted (base/ledger.h): while they wait for a client. */
void post_replay_count(struct post_replay *p, bool counted);

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
	/* Of what a WebSocket's client says: */
	struct list said;      /* with the others of the same stream */
	char *request_id;      /* or NULL */
	struct room_part part; /* of the room of the asker's thread … */
	struct room *room;     /* … which is this */
};

void post_publish_free(struct post_publish *l);

enum explain_verdict {
	EXPLAINED,
	EXPLAIN_UNAVAILABLE, /* the database could not be asked: `why` */
};

/* "Why did he get that, or not?" The database's side answers what the journal and the doors say;
 * then each worker adds the streams that he has there. */
struct post_explain {
	struct letter letter;
	struct inbox *reply_to;
	struct question question;
	uint64_t until_ms; /* of CLOCK_MONOTONIC: its asker waits as long as that */
	void *asker;	   /* NULL once he is gone */
	void (*answered)(struct post_explain *l); /* on the asker's thread; takes the letter */
	size_t n_asked;				  /* workers that have added theirs */
	enum explain_verdict verdict;
	char *why;
	struct json_object *answer; /* with EXPLAINED; owned */
	struct event **events;	    /* of answer's "events", in their order; a reference each */
	size_t n;
};

void post_explain_free(struct post_explain *l);

/* "Let that stream hear this as well, or no more." */
struct post_choice {
	struct letter letter;
	struct inbox *reply_to;
	uint64_t stream; /* its number */
	char *user_id;	 /* whose it must be … */
	char *auth;	 /* … and one of whose doors that must be */
	char *text;	 /* JSON */
	bool less;
	void *asker;				 /* NULL once he is gone */
	void (*answered)(struct post_choice *l); /* on the asker's thread; takes the letter */
	int verdict;				 /* enum choice_verdict */
	char *said; /* members of an object with what it hears by now, or a sentence */
};

void post_choice_free(struct post_choice *l);

enum roll { ROLL_COUNT, ROLL_LIST, ROLL_END };

/* "Who is there?" */
struct post_roll {
	struct letter letter;
	struct inbox *reply_to;
	enum roll what;
	char *name; /* of ROLL_END: the stream's */
	struct {
		bool asked, more;
		uint64_t worker, stream;       /* those behind this one … */
		size_t limit;		       /* … and no more than so many */
	} page;				       /* of ROLL_LIST */
	void *asker;			       /* NULL once he is gone */
	void (*answered)(struct post_roll *l); /* on the asker's thread; takes the letter */
	size_t n_asked;			       /* workers that have added theirs */
	size_t n;			       /* streams that were meant */
	struct json_object *list;	       /* owned, as those below */
	struct {
		size_t n;
		struct json_object *users; /* a member for each */
	} kinds[2];			   /* WebSockets, and all others */
	struct json_object *channels;	   /* a member for each */
	size_t n_subscriptions;
};

void post_roll_free(struct post_roll *l);

/* What is wrong with the watched tables, each problem a line; "" when all is well. */
struct post_problems {
	struct letter letter;
	char lines[];
};

/* A key by which somebody may have come in through this door is good no longer. */
struct post_keys {
	struct letter letter;
	char auth[]; /* the name of the [auth] section */
};

/* "Are the clients of this user still there?" */
struct post_probe {
	struct letter letter;
	char user_id[];
};

struct post_source {
	struct letter letter;
	void *source; /* whose thread ends; main's to free */
};

struct post_conf {
	struct letter letter;
	struct conf *conf; /* a reference */
};

#endif
