/* SPDX-License-Identifier: PostgreSQL
 * What was found out about a question as a document: the rows of the journal, what each door says
 * about the user, what the functions of routes say of him, and for each route whether he is told of
 * each row, and why. Decides nothing: hub/reason.h does. */
#ifndef PGHERALD_PG_EXPLANATION_H
#define PGHERALD_PG_EXPLANATION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "conf.h"
#include "hub/event.h"
#include "hub/post.h"
#include "hub/question.h"

struct json_object;

/* A row of the journal. */
struct explained_row {
	uint64_t txid, id;
	int64_t at;
	char *topic, *key; /* key: NULL when it is about no row */
	char op;
	struct event *event; /* as clients are told of it; a reference */
	bool told;	     /* false: PostgreSQL could not say it, and `event` is a stand-in */
};

enum explained_state {
	DOOR_NOT_ASKED,
	DOOR_ROLE,	   /* he has `role` */
	DOOR_NO_ROLE,	   /* he has none */
	DOOR_NO_USER,	   /* nobody is called so */
	DOOR_INACTIVE,	   /* he is deactivated */
	DOOR_TWICE,	   /* several rows are called so, and do not say the same */
	DOOR_SAYS_ITSELF,  /* the credential says who he is and what he may */
	DOOR_KNOWS_NOBODY, /* everybody comes in */
	DOOR_OUTDATED,	   /* what is installed cannot be asked */
	DOOR_FAILED,	   /* it could not be asked: `error` */
	N_DOOR_STATES,
};

/* An [auth] section. */
struct explained_door {
	const struct conf_auth *auth;
	enum explained_state state;
	char *user; /* as its table spells him; or NULL */
	char *role;
	char error[6]; /* SQLSTATE */
};

/* What the function of a route (authorize) says of somebody who comes there. */
struct explained_permission {
	const struct conf_route *route;
	char *user, *role;
	struct keys *channels; /* that every stream of the route has; or NULL */
	bool asked;
	enum lookup_verdict verdict;
};

struct explanation {
	const struct conf *conf;
	const struct question *question;
	struct explained_row *rows; /* the oldest first */
	size_t n_rows;
	struct explained_door *doors; /* of conf->auths, one each */
	struct json_object *notes;    /* an array of sentences */
	struct explained_permission *permissions;
	size_t n_permissions;
};

void explanation_begin(struct explanation *x, const struct conf *conf, const struct question *q);
/* One more sentence about what is not known, or why nothing was found. */
void explanation_note(struct explanation *x, const char *fmt, ...) PRINTF(2, 3);
/* Finds whom the functions of routes have to be asked about before there is a document: where all
 * else says that he is told. */
void explanation_plan(struct explanation *x);
/* The whole document; the caller's. */
struct json_object *explanation_document(struct explanation *x);
void explanation_end(struct explanation *x);

#endif
