/* SPDX-License-Identifier: PostgreSQL
 * See admin.h. */
#include "config.h"
#include "web/admin.h"

#include <json-c/json.h>
#include <string.h>

#include "hub/registry.h"
#include "web/answer.h"
#include "web/worker.h"

struct stats {
	struct json_object *users;
	size_t n_users, n_connections;
};

static void add_user(void *arg, const char *user_id, size_t n)
{
	struct stats *s = arg;

	json_object_object_add(s->users, user_id, json_object_new_int64((int64_t)n));
	s->n_users++;
	s->n_connections += n;
}

/* Who was turned away since the start, by the reason. */
static void add_refused(struct tally *t, struct json_object *all)
{
	struct json_object *refused = json_object_new_object();

	for (size_t i = 0; i < N_TALLIES; i++) {
		const char *name = tally_name((enum tally_reason)i);
		uint64_t n = name ? tally_total(t, (enum tally_reason)i) : 0;

		if (n)
			json_object_object_add(refused, name, json_object_new_int64((int64_t)n));
	}
	if (json_object_object_length(refused))
		json_object_object_add(all, "refused", refused);
	else
		json_object_put(refused);
}

/* Once it is worth a word: others read this shape as well. */
static void add_memory(struct worker *w, struct json_object *all)
{
	uint64_t used = budget_used(&w->commons->budget);
	struct json_object *memory;

	if (!w->conf->client_memory || used <= w->conf->client_memory / 2)
		return;
	memory = json_object_new_object();
	json_object_object_add(memory, "bytes", json_object_new_int64((int64_t)used));
	json_object_object_add(memory, "limit",
			       json_object_new_int64((int64_t)w->conf->client_memory));
	json_object_object_add(all, "client_memory", memory);
}

enum MHD_Result admin_stats(struct worker *w, struct MHD_Connection *c)
{
	struct json_object *all = json_object_new_object();
	struct stats s = {.users = json_object_new_object()};
	enum MHD_Result result;

	registry_each(w->registry, add_user, &s);
	json_object_object_add(all, "total_users", json_object_new_int64((int64_t)s.n_users));
	json_object_object_add(all, "total_connections",
			       json_object_new_int64((int64_t)s.n_connections));
	json_object_object_add(all, "users", s.users);
	add_refused(&w->commons->tally, all);
	add_memory(w, all);
	result = answer_text(c, w->conf, MHD_HTTP_OK, "application/json",
			     json_object_to_json_string_ext(all, JSON_C_TO_STRING_SPACED));
	json_object_put(all);
	return result;
}

enum MHD_Result admin_healthz(struct worker *w, struct MHD_Connection *c)
{
	return answer_text(c, w->conf, MHD_HTTP_OK, "application/json", "{\"status\": \"ok\"}\n");
}

/* Ready, although not all of it is as it should be: streams of the other topics are served. */
static enum MHD_Result ready_but(struct worker *w, struct MHD_Connection *c)
{
	struct json_object *all = json_object_new_object(), *problems = json_object_new_array();
	enum MHD_Result result;

	for (const char *line = w->problems; *line;) {
		size_t len = strcspn(line, "\n");

		json_object_array_add(problems, json_object_new_string_len(line, (int)len));
		line += len + (line[len] != '\0');
	}
	json_object_object_add(all, "status", json_object_new_string("ready"));
	json_object_object_add(all, "problems", problems);
	result = answer_text(c, w->conf, MHD_HTTP_OK, "application/json",
			     json_object_to_json_string_ext(all, JSON_C_TO_STRING_SPACED));
	json_object_put(all);
	return result;
}

enum MHD_Result admin_readyz(struct worker *w, struct MHD_Connection *c)
{
	if (w->draining)
		return answer_busy(c, w->conf, MHD_HTTP_SERVICE_UNAVAILABLE, "shutting down",
				   "shutdown", 5);
	if (!w->database_up)
		return answer_busy(c, w->conf, MHD_HTTP_SERVICE_UNAVAILABLE,
				   "the database is away or still being read",
				   tally_name(TALLY_DATABASE), 1);
	if (w->problems)
		return ready_but(w, c);
	return answer_text(c, w->conf, MHD_HTTP_OK, "application/json",
			   "{\"status\": \"ready\"}\n");
}
