/* SPDX-License-Identifier: PostgreSQL
 * See explain.h: options, the question, and the answer in words. It is found as the daemon finds
 * its own (pg/explainer.h), in a loop of this command's. */
#include "config.h"
#include "cli/explain.h"

#include <errno.h>
#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/inbox.h"
#include "base/log.h"
#include "base/loop.h"
#include "base/shown.h"
#include "base/utf8.h"
#include "cli/options.h"
#include "conf.h"
#include "dba/connection.h"
#include "dba/script.h"
#include "pg/explainer.h"

enum { LIMIT_MS = 60000, LOOK_MS = 50 };

struct options {
	const char *config, *dsn, *user, *role, *event, *row;
	bool json, help;
};

static const char usage_text[] =
	"usage: pgherald explain --user USER --event ID | --row TOPIC:KEY [OPTION]...\n"
	"Says why a user is told of a row, or not: by which door he comes, his role, whom the row\n"
	"is for, and which rule decides.\n"
	"      --user USER        whose view is explained\n"
	"      --event ID         a row of the journal by its number, or an id as clients get it\n"
	"      --row TOPIC:KEY    what was told of this row of a watched table lately\n"
	"      --role ROLE        as if he had this role, whatever the doors say\n"
	"  -c, --config FILE      configuration (" DEFAULT_CONF ")\n"
	"      --dsn CONNINFO     ask by this connection instead of the daemon's\n"
	"      --json             the answer as JSON\n"
	"Manual page: pgherald-explain(8).\n";

static bool read_options(int argc, char **argv, struct options *o)
{
	const struct cli_option names[] = {
		{"user", .text = &o->user},
		{"event", .text = &o->event},
		{"row", .text = &o->row},
		{"role", .text = &o->role},
		{"config", .text = &o->config},
		{"dsn", .text = &o->dsn},
		{"json", .flag = &o->json},
		{"help", .flag = &o->help},
		{0},
	};
	int rest;

	return cli_options(argc, argv, names, &rest) && cli_no_more(argc, argv, rest);
}

static const char *text(struct json_object *o, const char *name)
{
	return json_object_get_string(json_object_object_get(o, name));
}

/* What comes from the database may hold what a terminal would obey. */
static void put(const char *s)
{
	size_t left = strlen(s), n;

	for (; left; s += n, left -= n) {
		n = utf8_len(s, left);
		if (n && !utf8_unseen(utf8_code(s, n))) {
			fwrite(s, 1, n, stdout);
			continue;
		}
		printf("\\x%02x", (unsigned char)*s);
		n = 1;
	}
}

static void put_keys(const char *what, struct json_object *row, const char *name, const char *count)
{
	struct json_object *keys = json_object_object_get(row, name);
	size_t n = json_object_array_length(keys);
	int64_t all = json_object_get_int64(json_object_object_get(row, count));

	printf("  %s ", what);
	for (size_t i = 0; i < n; i++) {
		printf("%s", i ? ", " : "");
		put(json_object_get_string(json_object_array_get_idx(keys, i)));
	}
	if (!n)
		printf("nobody in particular");
	if ((uint64_t)all > n)
		printf(" and %lld more", (long long)all - (long long)n);
	putchar('\n');
}

static void put_verdict(struct json_object *v)
{
	const char *key = text(v, "key");

	printf("  [%s] by %s as ", text(v, "route"), text(v, "door"));
	put(text(v, "role"));
	printf(": %s. ", text(v, "told"));
	printf("%s", text(v, "why"));
	if (key) {
		printf(" Key: ");
		put(key);
		putchar('.');
	}
	printf(" (%s)\n", text(v, "rule"));
}

static void put_row(struct json_object *row)
{
	struct json_object *verdicts = json_object_object_get(row, "verdicts");
	const char *reason = text(row, "reason"), *key = text(row, "key"), *at = text(row, "at");

	printf("\nRow %s of transaction %s, %s: ", text(row, "row"), text(row, "txid"),
	       at ? at : "at an unknown time");
	put(text(row, "type"));
	printf(" of ");
	put(text(row, "topic"));
	if (key) {
		putchar(':');
		put(key);
	}
	if (reason)
		printf(", told as \"fetch again\" (%s)", reason);
	putchar('\n');
	put_keys("before, for", row, "before", "n_before");
	put_keys("after, for ", row, "after", "n_after");
	for (size_t i = 0; i < json_object_array_length(verdicts); i++)
		put_verdict(json_object_array_get_idx(verdicts, i));
}

static void put_door(struct json_object *d)
{
	const char *why = text(d, "why"), *role = text(d, "role"), *state = text(d, "sqlstate");

	printf("  [%s] (%s): ", text(d, "door"), text(d, "preset"));
	if (role) {
		printf("as ");
		put(role);
	}
	if (role && text(d, "receives"))
		printf(", who receives %s", text(d, "receives"));
	printf("%s%s%s", role ? "." : "", role && why ? " " : "", why ? why : "");
	if (state)
		printf(" SQLSTATE %s.", state);
	putchar('\n');
}

static void put_answer(struct json_object *answer)
{
	struct json_object *doors = json_object_object_get(answer, "doors"),
			   *events = json_object_object_get(answer, "events"),
			   *notes = json_object_object_get(answer, "notes");

	printf("User ");
	put(text(answer, "user"));
	printf(", at the doors:\n");
	for (size_t i = 0; i < json_object_array_length(doors); i++)
		put_door(json_object_array_get_idx(doors, i));
	for (size_t i = 0; i < json_object_array_length(events); i++)
		put_row(json_object_array_get_idx(events, i));
	if (json_object_array_length(notes))
		putchar('\n');
	for (size_t i = 0; i < json_object_array_length(notes); i++) {
		printf("Note: ");
		put(json_object_get_string(json_object_array_get_idx(notes, i)));
		putchar('\n');
	}
}

/* The command's side of the letter. */
struct desk {
	struct loop *loop;
	struct inbox inbox;
	struct authorizer authorizer;
	struct explainer explainer;
	struct loop_timer look;
	struct post_explain *answer;
};

static void on_post(void *arg, struct list *letters)
{
	struct desk *d = arg;

	LIST_EACH (letters, node, tmp) {
		list_remove(node);
		d->answer = LIST_ENTRY(node, struct post_explain, letter.node);
	}
	loop_stop(d->loop);
}

/* The daemon tries for ever; whoever sits before a terminal wants to know. */
static void on_look(void *arg)
{
	struct desk *d = arg;

	if (d->explainer.conn.n_failures)
		loop_stop(d->loop);
	else
		loop_timer_set(d->loop, &d->look, LOOK_MS);
}

/* Sends the letter and waits for it; NULL when there is no connection. */
static struct post_explain *ask(struct desk *d, struct conf *conf, struct post_explain *l)
{
	d->loop = loop_new();
	if (!d->loop || !inbox_init(&d->inbox, d->loop, on_post, d) ||
	    !explainer_init(&d->explainer, d->loop, conf, &d->authorizer)) {
		fprintf(stderr, "pgherald: %s\n", strerror(errno));
		exit(EXIT_FAILURE);
	}
	d->look = (struct loop_timer){.fire = on_look, .arg = d};
	authorizer_init(&d->authorizer, d->loop, conf, NULL);
	l->letter.kind = POST_EXPLAIN;
	l->reply_to = &d->inbox;
	l->until_ms = loop_now_ms(d->loop) + LIMIT_MS;
	loop_timer_set(d->loop, &d->look, LOOK_MS);
	explainer_ask(&d->explainer, l);
	loop_run(d->loop);
	loop_timer_clear(d->loop, &d->look);
	return d->answer;
}

static void drop(struct letter *l)
{
	post_explain_free((struct post_explain *)l);
}

/* Whether this connection asks nobody else's functions, and with no more rights than it needs: a
 * schema by our name may be somebody's, and a member of our roles may have altered a function, to
 * run as whoever calls it. The daemon's own role has nothing that these do not have. */
static bool may_ask(const char *dsn)
{
	PGconn *db = connection_open(dsn);
	autobuf sql = {.max = 65536};
	const char *why = NULL;
	PGresult *r;

	if (!db)
		return false;
	script_begin(&sql);
	buf_str(&sql, "SELECT FROM pg_roles AS r"
		      " WHERE r.rolsuper AND r.rolname IN (session_user, current_user)");
	r = PQexec(db, buf_cstr(&sql));
	if (PQresultStatus(r) != PGRES_TUPLES_OK) {
		why = PQresultErrorField(r, PG_DIAG_MESSAGE_PRIMARY);
		why = why ? why : PQerrorMessage(db);
	} else if (PQntuples(r)) {
		why = "is a superuser's, and would run what is asked with all his rights: let it "
		      "be "
		      "the daemon's role";
	}
	if (why) {
		fputs("pgherald: --dsn: ", stderr);
		shown_print(stderr, why, strcspn(why, "\n"));
		fputc('\n', stderr);
	}
	PQclear(r);
	PQfinish(db);
	return !why;
}

static int explain(const struct options *o, struct conf *conf, struct post_explain *l)
{
	struct desk d = {0};
	int status = EXIT_FAILURE;

	l = ask(&d, conf, l);
	if (!l) {
		fprintf(stderr, "pgherald: the database cannot be asked\n");
	} else if (l->verdict != EXPLAINED) {
		fputs("pgherald: ", stderr);
		shown_print(stderr, l->why, strlen(l->why));
		fputc('\n', stderr);
	} else if (o->json) {
		printf("%s\n",
		       json_object_to_json_string_ext(l->answer, JSON_C_TO_STRING_PRETTY |
									 JSON_C_TO_STRING_SPACED));
		status = EXIT_SUCCESS;
	} else {
		put_answer(l->answer);
		status = EXIT_SUCCESS;
	}
	if (status == EXIT_SUCCESS && fflush(stdout)) {
		perror("pgherald: standard output");
		status = EXIT_FAILURE;
	}
	post_explain_free(l);
	authorizer_stop(&d.authorizer);
	explainer_stop(&d.explainer); /* what waits for a connection goes into the inbox */
	inbox_close(&d.inbox, drop);
	loop_free(d.loop);
	return status;
}

int cli_explain(int argc, char **argv)
{
	struct options o = {.config = DEFAULT_CONF};
	struct post_explain *l;
	struct conf *conf;
	autobuf why = {.max = 65536};
	int status;

	if (!read_options(argc, argv, &o)) {
		fputs(usage_text, stderr);
		return 2;
	}
	if (o.help) {
		fputs(usage_text, stdout);
		return EXIT_SUCCESS;
	}
	log_setup(LOG_L_WARN, LOG_F_TEXT);
	l = xcalloc(1, sizeof(*l));
	if (!question_read(&l->question, o.user, o.role, o.event, o.row, &why)) {
		fprintf(stderr, "pgherald: %s\n", buf_cstr(&why));
		post_explain_free(l);
		return 2;
	}
	conf = conf_load(o.config, &why);
	if (!conf) {
		fprintf(stderr, "pgherald: %s\n", buf_cstr(&why));
		post_explain_free(l);
		return EXIT_FAILURE;
	}
	conf_load_api_keys(conf, &why);
	if (why.len)
		fprintf(stderr, "pgherald: %s\n", buf_cstr(&why));
	if (o.dsn) {
		free(conf->conninfo);
		conf->conninfo = xstrdup(o.dsn);
	}
	if (o.dsn && !may_ask(o.dsn)) {
		post_explain_free(l);
		status = EXIT_FAILURE;
	} else {
		status = explain(&o, conf, l);
	}
	conf_unref(conf);
	return status;
}
