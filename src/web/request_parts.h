/* SPDX-License-Identifier: PostgreSQL
 * A request, between the files of request.h: it is routed and asks (request.c), waits
 * (request_wait.c), is told no (request_refusal.c), or gets what the verdict leads to
 * (request_verdict.c), a credential among it (request_credential.c). */
#ifndef PGHERALD_WEB_REQUEST_PARTS_H
#define PGHERALD_WEB_REQUEST_PARTS_H

#include <microhttpd.h>
#include <stdbool.h>
#include <stdint.h>

#include "auth/ticket.h"
#include "web/asker.h"
#include "web/handover.h"
#include "web/publication.h"
#include "web/query.h"
#include "web/quota.h"
#include "web/request.h"
#include "web/seat.h"
#include "web/tally.h"
#include "web/worker.h"

#define PROBES 3 /* looks for departed streams of a user, before he is told to come back */

enum request_state {
	REQUEST_NEW,
	REQUEST_ASKING,	    /* suspended, the look-up is away */
	REQUEST_PUBLISHING, /* suspended, the message is away */
	REQUEST_EXPLAINING, /* suspended, the question is away */
	REQUEST_CALLING,    /* suspended, the roll is being called */
	REQUEST_CHOOSING,   /* suspended, what his stream is to hear is away */
	REQUEST_ASKED,	    /* the verdict is here */
	REQUEST_READING,    /* who it is may publish; the body comes */
	REQUEST_LATE,	 /* it did not in time: the client has been told so, and nothing follows */
	REQUEST_WAITING, /* suspended, for the user's departed streams to be noticed */
	REQUEST_STREAM,	 /* the response is a stream */
};

struct request {
	struct worker *worker;
	struct MHD_Connection *connection;
	struct caller *caller; /* whose connection it is */
	struct asker asker;
	struct query query;
	struct asker_credential credential; /* its token is the look-up's once that has begun */
	struct list node;
	struct conf *conf; /* the snapshot it is answered by; a reference */
	const struct conf_route *route;
	struct pattern_piece path_values[PATTERN_VARIABLES_MAX]; /* in libmicrohttpd's memory */
	enum request_state state;
	struct post_lookup *lookup; /* away, or answered */
	bool authorizing;	    /* ... and the route's function has been asked besides */
	bool renewing;		    /* the look-up was good, and is at the stream that it is for */
	char ticket[TICKET_SIZE + 1];	   /* that it gets when it has been kept; "" before */
	char ticket_name[TICKET_NAME + 1]; /* of that, or of the one it came with; or "" */
	struct loop_timer limit;
	unsigned probes;  /* how often it has waited */
	struct seat seat; /* for its stream */
	bool http10;
	uint64_t rights_changes; /* the worker's count when the look-up went out */
	bool event_source; /* it comes back by itself to a stream that ends, and to nothing else */
	struct handover handover;
	struct publication publication;
	bool published, inquired, chosen, called; /* what there is to say is about that */
	struct post_explain *inquiry;		  /* away, or answered */
	struct post_roll *roll;
	struct post_choice *choice; /* the same */
};

/* request_wait.c */

/* Suspends the request until its letter has come back, at the latest at its deadline; or says that
 * too many of its address do so. The look-up's letter with request_post(). */
enum MHD_Result request_post_to(struct request *q, struct inbox *to, enum request_state state,
				struct letter *l);
enum MHD_Result request_post(struct request *q, struct inbox *to);
/* Until its deadline it is one of those of its address that wait; false when these are enough. */
bool request_wait(struct request *q, enum request_state state);
/* The user has as many streams as he may: his streams are asked whether somebody is there. False
 * when that has been done in vain. */
bool request_wait_for_departed(struct request *q, const char *user_id);
/* It is answered now, whatever it has waited for. */
void request_resume(struct request *q);
void request_give_up(struct request *q);
/* Its timer has run down. */
void request_on_limit(void *arg);
/* A letter is back. */
void request_on_answered(struct post_lookup *l);
void request_on_published(struct post_publish *l);
void request_on_explained(struct post_explain *l);
void request_on_called(struct post_roll *l);
void request_on_chosen(struct post_choice *l);

/* request_refusal.c */

/* Counts a refusal, and logs where that begins and ends. */
void request_note(const struct request *q, enum tally_reason reason);
/* "Not now", in the form that makes this kind of client come back; request_limited() counts it. */
enum MHD_Result request_not_now(struct request *q, unsigned status, const char *why,
				const char *code);
enum MHD_Result request_limited(struct request *q, enum tally_reason reason, unsigned status,
				const char *why, uint64_t wait_ms);
enum MHD_Result request_no_database(struct request *q);
/* The route's function cannot be asked. */
enum MHD_Result request_no_permission(struct request *q);
enum MHD_Result request_too_many(struct request *q);
/* 401, in words for who has a token or a session. */
enum MHD_Result request_refuse(struct request *q, const char *no_token, const char *no_session);

/* 401, for who has shown one in the URL, where none is taken. */
enum MHD_Result request_refuse_url(struct request *q, const char *why);

/* request_credential.c */

/* A ticket: made and kept, then told. */
enum MHD_Result request_keep_ticket(struct request *q);
enum MHD_Result request_answer_ticket(struct request *q);
/* Its credential for a stream that is open: on its way there, and what became of it. */
enum MHD_Result request_renew(struct request *q);
enum MHD_Result request_answer_renewed(struct request *q);

/* request_verdict.c */

/* Whose limits count, once it is known who it is. */
struct quota_asker request_quota(const struct request *q);

/* The verdict is in, or what followed from it: the answer it leads to. */
enum MHD_Result request_answer_verdict(struct request *q);
/* The body is whole. */
enum MHD_Result request_body_has_come(struct request *q);

#endif
