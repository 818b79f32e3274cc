/* SPDX-License-Identifier: PostgreSQL
 * See shape.h. A migration that renames a column, or drops a table and makes it again, says nothing
 * to us: nobody would notice that events have become empty, or have ended. */
#include "config.h"
#include "pg/shape.h"

#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/log.h"
#include "base/mem.h"
#include "sql/render_doc.h"

enum {
	AGAIN_MS = 1000, /* while the connection is away */
	HINT_MS = 2000,	 /* no look sooner than this after the last one, whatever hints at it */
	TEXT_MAX = 1 << 22,
	MAX_LINE = 400,
};

/* (unnest() of several arrays is only known without its schema; only pg_catalog is on the path.)
 * $1 to $4 are topics, schemas, tables and marks ("" for capture = notify) of the watches; $5 to $8
 * topics, schemas, tables and columns of everything that is read. By name and not by regclass,
 * which asks for rights on the schema. Rows of topic, problem, remedy; the gravest first. */
static const char look_sql[] =
	"WITH watch AS (SELECT w.*, r.oid FROM unnest($1::text[], $2::text[], "
	"$3::text[],"
	" $4::text[]) AS w (topic, nsp, rel, mark)"
	" LEFT JOIN (pg_catalog.pg_class AS r JOIN pg_catalog.pg_namespace AS n"
	" ON n.oid = r.relnamespace) ON n.nspname = w.nsp AND r.relname = w.rel"
	" AND r.relkind IN ('r', 'p')),"
	" col AS (SELECT DISTINCT c.* FROM unnest($5::text[], $6::text[], $7::text[],"
	" $8::text[]) AS c (topic, nsp, rel, col)),"
	" function AS (SELECT p.proname, p.oid, p.prosrc FROM pg_catalog.pg_proc AS p"
	" JOIN pg_catalog.pg_namespace AS n ON n.oid = p.pronamespace WHERE n.nspname = 'pgherald')"
	" SELECT found.topic, found.problem, found.remedy FROM ("
	" SELECT 1 AS place, c.topic, pg_catalog.format('there is no table %I.%I', c.nsp, c.rel) "
	"AS problem,"
	" 'correct [watch ' || c.topic || '], then pgherald sql install --apply' AS remedy"
	" FROM (SELECT DISTINCT topic, nsp, rel FROM col) AS c"
	" WHERE NOT EXISTS (SELECT FROM pg_catalog.pg_class AS r JOIN pg_catalog.pg_namespace AS n"
	" ON n.oid = r.relnamespace WHERE n.nspname = c.nsp AND r.relname = c.rel)"
	" UNION ALL"
	" SELECT 2, c.topic, pg_catalog.format('%I.%I has no column %I', c.nsp, c.rel, c.col),"
	" 'correct [watch ' || c.topic || '], then pgherald sql install --apply'"
	" FROM col AS c JOIN pg_catalog.pg_namespace AS n ON n.nspname = c.nsp"
	" JOIN pg_catalog.pg_class AS r ON r.relnamespace = n.oid AND r.relname = c.rel"
	" WHERE NOT EXISTS (SELECT FROM pg_catalog.pg_attribute AS a WHERE a.attrelid = r.oid"
	" AND a.attname = c.col AND a.attnum > 0 AND NOT a.attisdropped)"
	" UNION ALL"
	" SELECT 3, w.topic, pg_catalog.format(CASE WHEN f.oid IS NULL"
	" THEN 'nothing is installed for %I.%I' ELSE"
	" 'triggers on %I.%I are missing or disabled' END, w.nsp, w.rel),"
	" 'pgherald sql install --apply'"
	" FROM watch AS w LEFT JOIN function AS f ON f.proname = 'on_' || w.topic"
	" WHERE w.oid IS NOT NULL AND (SELECT pg_catalog.count(*) FROM pg_catalog.pg_trigger AS t"
	" WHERE t.tgrelid = w.oid AND t.tgfoid = f.oid AND t.tgenabled IN ('O', 'A')"
	" AND t.tgname IN ('zz_pgherald_i', 'zz_pgherald_u', 'zz_pgherald_d', 'zz_pgherald_t')) < 4"
	" UNION ALL"
	" SELECT 4, w.topic, 'what is installed is of another configuration',"
	" 'pgherald sql install --apply'"
	" FROM watch AS w JOIN function AS f ON f.proname = 'tell_' || w.topic"
	" WHERE w.mark <> '' AND pg_catalog.strpos(f.prosrc, w.mark) = 0) AS found"
	" ORDER BY found.topic, found.place, found.problem";

enum { N_PARAMS = 8, N_COLUMNS = 3 };

static void look(struct shape *s);

/* One more element of an array parameter: a name may hold anything. */
static void add(struct buf *b, const char *text)
{
	buf_str(b, b->len > 1 ? ",\"" : "\"");
	for (; *text; text++) {
		if (*text == '"' || *text == '\\')
			buf_char(b, '\\');
		buf_char(b, *text);
	}
	buf_char(b, '"');
}

static void add_column(struct buf *params, const struct watch *w, const char *schema,
		       const char *table, const char *column)
{
	add(&params[4], w->topic);
	add(&params[5], schema);
	add(&params[6], table);
	add(&params[7], column);
}

static void add_watch(struct buf *params, const struct watch *w)
{
	struct columns columns = {0};
	autobuf mark = {0};

	buf_init(&mark, 64);
	columns_of(w, &columns);
	if (!w->notify)
		columns_mark(w, &columns, &mark);
	add(&params[0], w->topic);
	add(&params[1], w->schema);
	add(&params[2], w->table);
	add(&params[3], buf_cstr(&mark));
	for (size_t i = 0; i < columns.n; i++)
		add_column(params, w, w->schema, w->table, columns.names[i]);
	for (size_t i = 0; i < w->n_fields; i++) {
		const struct watch_field *f = &w->fields[i];

		if (!f->join_table)
			continue;
		add_column(params, w, f->join_schema, f->join_table, f->join_key);
		add_column(params, w, f->join_schema, f->join_table, f->join_label);
	}
	for (size_t i = 0; i < w->n_owners; i++) {
		const struct watch_owner *o = &w->owners[i];

		if (!o->join_table)
			continue;
		add_column(params, w, o->join_schema, o->join_table, o->join_fk);
		add_column(params, w, o->join_schema, o->join_table, o->join_owner);
	}
	free(columns.names);
}

static void on_told(void *arg, const PGresult *r)
{
	(void)arg;
	if (r && PQresultStatus(r) != PGRES_TUPLES_OK)
		log_warn("clients are not told to fetch again: %s: is pgherald sql install up to "
			 "date?",
			 conn_error(r));
}

/* Through the journal, so that clients that are away now, and those of other daemons, hear it, too.
 */
static void tell_clients(struct shape *s, struct buf *topics, struct buf *found)
{
	const char *params[] = {buf_cstr(topics), buf_cstr(found)};

	if (topics->len > 2 && conn_up(s->conn))
		conn_query(s->conn, "SELECT pgherald.fetch_again($1::text[], $2::text[])", 2,
			   params, on_told, s);
}

static void tell_problems(const struct shape *s)
{
	autobuf lines = {0};

	buf_init(&lines, TEXT_MAX);
	for (size_t i = 0; i < s->conf->n_watches; i++)
		if (s->problems[i])
			buf_printf(&lines, "watch %s: %s\n", s->conf->watches[i].name,
				   s->problems[i]);
	s->changed(s->arg, buf_cstr(&lines));
}

/* The first problem of a topic, with its remedy, or NULL. */
static char *problem_of(const PGresult *r, const char *topic)
{
	for (int i = 0; i < PQntuples(r); i++)
		if (!strcmp(PQgetvalue(r, i, 0), topic))
			return xasprintf("%.*s (%s)", MAX_LINE, PQgetvalue(r, i, 1),
					 PQgetvalue(r, i, 2));
	return NULL;
}

static bool same(const char *a, const char *b)
{
	return a && b ? !strcmp(a, b) : a == b;
}

static void take(struct shape *s, const PGresult *r)
{
	bool changed = !s->looked;
	autobuf topics = {0}, found = {0};

	buf_init(&topics, TEXT_MAX);
	buf_init(&found, TEXT_MAX);
	buf_char(&topics, '{');
	buf_char(&found, '{');
	for (size_t i = 0; i < s->conf->n_watches; i++) {
		const char *topic = s->conf->watches[i].name;
		char *now = problem_of(r, topic);

		if (same(now, s->problems[i])) {
			free(now);
			continue;
		}
		changed = true;
		if (now)
			log_warn("watch %s: %s", topic, now);
		else
			log_info("watch %s: whole again", topic);
		if (s->looked) { /* before that nobody knows since when */
			add(&topics, topic);
			add(&found, now ? now : "whole again");
		}
		free(s->problems[i]);
		s->problems[i] = now;
	}
	buf_char(&topics, '}');
	buf_char(&found, '}');
	s->looked = true;
	tell_clients(s, &topics, &found);
	if (changed)
		tell_problems(s);
}

static void on_looked(void *arg, const PGresult *r)
{
	struct shape *s = arg;

	s->away = false;
	s->looked_ms = loop_now_ms(s->loop);
	if (r && PQresultStatus(r) == PGRES_TUPLES_OK && PQnfields(r) == N_COLUMNS && !s->again)
		take(s, r);
	else if (r && PQresultStatus(r) != PGRES_TUPLES_OK && !s->complained)
		log_warn("the watched tables cannot be looked at: %s", conn_error(r));
	s->complained = r && PQresultStatus(r) != PGRES_TUPLES_OK;
	loop_timer_set(s->loop, &s->timer, s->again ? 0 : s->conf->verify_ms);
	s->again = false;
}

static void look(struct shape *s)
{
	struct buf params[N_PARAMS];
	const char *texts[N_PARAMS];

	if (s->away) {
		s->again = true;
		return;
	}
	if (!s->conf->n_watches)
		return;
	if (!conn_up(s->conn)) {
		loop_timer_set(s->loop, &s->timer, AGAIN_MS);
		return;
	}
	for (size_t i = 0; i < N_PARAMS; i++) {
		buf_init(&params[i], TEXT_MAX);
		buf_char(&params[i], '{');
	}
	for (size_t i = 0; i < s->conf->n_watches; i++)
		add_watch(params, s->conf->watches[i].parsed);
	for (size_t i = 0; i < N_PARAMS; i++) {
		buf_char(&params[i], '}');
		texts[i] = buf_cstr(&params[i]);
	}
	s->away = true;
	conn_query(s->conn, look_sql, N_PARAMS, texts, on_looked, s);
	for (size_t i = 0; i < N_PARAMS; i++)
		buf_free(&params[i]);
}

static void on_timer(void *arg)
{
	struct shape *s = arg;

	loop_timer_set(s->loop, &s->timer, s->conf->verify_ms);
	look(s);
}

static void forget(struct shape *s)
{
	for (size_t i = 0; s->conf && i < s->conf->n_watches; i++)
		free(s->problems[i]);
	free(s->problems);
	s->problems = NULL;
	s->looked = false;
}

static void use(struct shape *s, struct conf *conf)
{
	forget(s);
	conf_unref(s->conf);
	s->conf = conf_ref(conf);
	s->problems = xcalloc(conf->n_watches + 1, sizeof(*s->problems));
}

void shape_start(struct shape *s, struct loop *loop, struct conn *conn, struct conf *conf,
		 void (*changed)(void *arg, const char *lines), void *arg)
{
	*s = (struct shape){.loop = loop, .conn = conn, .changed = changed, .arg = arg};
	s->timer = (struct loop_timer){.fire = on_timer, .arg = s};
	use(s, conf);
}

void shape_stop(struct shape *s)
{
	loop_timer_clear(s->loop, &s->timer);
	forget(s);
	conf_unref(s->conf);
	s->conf = NULL;
}

void shape_reload(struct shape *s, struct conf *conf)
{
	use(s, conf);
	look(s);
}

void shape_hint(struct shape *s)
{
	uint64_t now = loop_now_ms(s->loop), next = s->looked_ms + HINT_MS;

	if (now >= next)
		look(s);
	else if (!s->timer.place || s->timer.at_ms > next)
		loop_timer_set(s->loop, &s->timer, next - now);
}

void shape_up(struct shape *s)
{
	look(s);
}
