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
#include "sql/render_way.h"

enum {
	AGAIN_MS = 1000, /* while the connection is away */
	HINT_MS = 2000,	 /* no look sooner than this after the last one, whatever hints at it */
	TEXT_MAX = 1 << 22,
	MAX_LINE = 400,
};

/* (unnest() of several arrays is only known without its schema; only pg_catalog is on the path.)
 * $1 to $4 are topics, schemas, tables and marks ("" for capture = notify) of the watches; $5 to $8
 * topics, schemas, tables and columns of everything that is read; $9 to $12 topics, schemas, tables
 * and trigger functions of what is followed. By name and not by regclass,
 * which asks for rights on the schema. Rows of topic, problem, remedy; the gravest first. */
static const char look_sql[] =
	"WITH RECURSIVE watch AS (SELECT w.*, r.oid FROM unnest($1::text[], $2::text[], "
	"$3::text[],"
	" $4::text[]) AS w (topic, nsp, rel, mark)"
	" LEFT JOIN (pg_catalog.pg_class AS r JOIN pg_catalog.pg_namespace AS n"
	" ON n.oid = r.relnamespace) ON n.nspname = w.nsp AND r.relname = w.rel"
	" AND r.relkind IN ('r', 'p')),"
	" col AS (SELECT DISTINCT c.* FROM unnest($5::text[], $6::text[], $7::text[],"
	" $8::text[]) AS c (topic, nsp, rel, col)),"
	" part AS (SELECT w.topic, w.oid FROM watch AS w UNION"
	" SELECT part.topic, i.inhrelid FROM part JOIN pg_catalog.pg_inherits AS i"
	" ON i.inhparent = part.oid),"
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
	" SELECT 3, y.topic, pg_catalog.format('triggers on %I.%I are missing or disabled', y.nsp, "
	"y.rel),"
	" 'pgherald sql install --apply'"
	" FROM unnest($9::text[], $10::text[], $11::text[], $12::text[]) AS y (topic, nsp, rel, fn)"
	" WHERE (SELECT pg_catalog.count(*) FROM function AS f JOIN pg_catalog.pg_trigger AS t"
	" ON t.tgfoid = f.oid JOIN pg_catalog.pg_class AS r ON r.oid = t.tgrelid"
	" JOIN pg_catalog.pg_namespace AS n ON n.oid = r.relnamespace"
	" WHERE f.proname = y.fn AND n.nspname = y.nsp AND r.relname = y.rel"
	" AND t.tgenabled IN ('O', 'A')) < 4"
	" UNION ALL"
	" SELECT 4, w.topic, 'what is installed is of another configuration',"
	" 'pgherald sql install --apply'"
	" FROM watch AS w JOIN function AS f ON f.proname = 'tell_' || w.topic"
	" WHERE w.mark <> '' AND pg_catalog.strpos(f.prosrc, w.mark) = 0"
	" UNION ALL"
	/* what it is made of: the files and types of the table and of its parts */
	" SELECT 9, w.topic, pg_catalog.md5((SELECT pg_catalog.string_agg(r.oid || ' ' || "
	"r.relfilenode"
	" || ' ' || (SELECT pg_catalog.string_agg(a.atttypid || '.' || a.atttypmod, ' '"
	" ORDER BY a.attnum) FROM pg_catalog.pg_attribute AS a WHERE a.attrelid = r.oid"
	" AND a.attnum > 0 AND NOT a.attisdropped AND a.attname IN"
	" (SELECT c.col FROM col AS c WHERE c.topic = w.topic)), ',' ORDER BY r.oid)"
	" FROM part AS p JOIN pg_catalog.pg_class AS r ON r.oid = p.oid WHERE p.topic = w.topic)),"
	" NULL FROM watch AS w WHERE w.oid IS NOT NULL) AS found"
	" ORDER BY found.topic, found.place, found.problem";

enum { N_PARAMS = 12, N_COLUMNS = 3 };

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

static void add_way(void *arg, const struct way *way)
{
	struct buf *params = arg;
	autofree char *function = xasprintf("way_%s_%zu", way->watch->topic, way->n);

	add(&params[8], way->watch->topic);
	add(&params[9], way->hop->schema);
	add(&params[10], way->hop->table);
	add(&params[11], function);
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

		for (size_t k = 0; k < o->n_hops; k++) {
			const struct watch_hop *h = &o->hops[k];

			add_column(params, w, h->schema, h->table, h->key);
			add_column(params, w, h->schema, h->table, h->value);
		}
	}
	if (w->follow)
		ways_of(w, add_way, params);
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

static void tell_problems(struct shape *s)
{
	autobuf lines = {0};

	buf_init(&lines, TEXT_MAX);
	for (size_t i = 0; i < s->conf->n_watches; i++)
		if (s->watches[i].problem)
			buf_printf(&lines, "watch %s: %s\n", s->conf->watches[i].name,
				   s->watches[i].problem);
	if (s->told && !strcmp(s->told, buf_cstr(&lines)))
		return;
	free(s->told);
	s->told = xstrdup(buf_cstr(&lines));
	s->changed(s->arg, s->told);
}

/* The first problem of a topic, with its remedy, or NULL. */
static char *problem_of(const PGresult *r, const char *topic)
{
	for (int i = 0; i < PQntuples(r); i++)
		if (!PQgetisnull(r, i, 2) && !strcmp(PQgetvalue(r, i, 0), topic))
			return xasprintf("%.*s (%s)", MAX_LINE, PQgetvalue(r, i, 1),
					 PQgetvalue(r, i, 2));
	return NULL;
}

/* What a topic's table is made of, or NULL while it is not there. */
static char *print_of(const PGresult *r, const char *topic)
{
	for (int i = 0; i < PQntuples(r); i++)
		if (PQgetisnull(r, i, 2) && !strcmp(PQgetvalue(r, i, 0), topic))
			return xstrdup(PQgetvalue(r, i, 1));
	return NULL;
}

static bool same(const char *a, const char *b)
{
	return a && b ? !strcmp(a, b) : a == b;
}

static void watch_clear(struct shape_watch *w)
{
	free(w->problem);
	free(w->print);
	*w = (struct shape_watch){0};
}

/* Whether the table is another one than before, and not because of a TRUNCATE, which clients have
 * been told of. That may not have been read from the journal yet: so it must be seen twice. */
static bool is_rewritten(struct shape_watch *was, struct shape_watch *now)
{
	bool differs = was->known && !now->problem && was->print && !same(now->print, was->print);

	if (!differs || was->emptied || was->suspect) {
		now->emptied = was->emptied && !differs;
		return differs && !was->emptied;
	}
	free(now->print);
	now->print = was->print;
	was->print = NULL;
	now->suspect = true;
	return false;
}

/* What was found of one watch, for the log and for the clients. True when these are to fetch again,
 * because of *ret_why. */
static bool take_watch(struct shape_watch *w, const PGresult *r, const char *topic, char **ret_why)
{
	struct shape_watch now = {
		.problem = problem_of(r, topic), .print = print_of(r, topic), .known = true};
	bool other = !same(now.problem, w->problem), known = w->known;
	bool rewritten = is_rewritten(w, &now);

	if (other && now.problem)
		log_warn("watch %s: %s", topic, now.problem);
	else if (other)
		log_info("watch %s: whole again", topic);
	else if (rewritten)
		log_info("watch %s: its table was rewritten, or has other partitions", topic);
	*ret_why = now.problem ? xstrdup(now.problem)
			       : xasprintf("whole %s", now.print ? now.print : "");
	watch_clear(w);
	*w = now;
	/* A problem at the first look may have come a moment ago, too. */
	return known ? other || rewritten : w->problem != NULL;
}

static void take(struct shape *s, const PGresult *r)
{
	autobuf topics = {0}, found = {0};

	buf_init(&topics, TEXT_MAX);
	buf_init(&found, TEXT_MAX);
	buf_char(&topics, '{');
	buf_char(&found, '{');
	for (size_t i = 0; i < s->conf->n_watches; i++) {
		const char *topic = s->conf->watches[i].name;
		autofree char *why = NULL;

		if (!take_watch(&s->watches[i], r, topic, &why))
			continue;
		add(&topics, topic);
		add(&found, why);
	}
	buf_char(&topics, '}');
	buf_char(&found, '}');
	tell_clients(s, &topics, &found);
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
		watch_clear(&s->watches[i]);
	free(s->watches);
	s->watches = NULL;
	conf_unref(s->conf);
	s->conf = NULL;
}

/* What is known of a watch of the same name and table outlives a reload: a change may just have
 * been made that nobody has seen yet. */
static void use(struct shape *s, struct conf *conf)
{
	struct shape_watch *watches = xcalloc(conf->n_watches + 1, sizeof(*watches));

	for (size_t i = 0; i < conf->n_watches; i++)
		for (size_t k = 0; s->conf && k < s->conf->n_watches; k++)
			if (!strcmp(conf->watches[i].name, s->conf->watches[k].name) &&
			    !strcmp(conf->watches[i].table, s->conf->watches[k].table)) {
				watches[i] = s->watches[k];
				s->watches[k] = (struct shape_watch){0};
			}
	conf = conf_ref(conf);
	forget(s);
	s->conf = conf;
	s->watches = watches;
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
	free(s->told);
	s->told = NULL;
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

void shape_emptied(struct shape *s, const char *topic)
{
	for (size_t i = 0; i < s->conf->n_watches; i++)
		if (!strcmp(s->conf->watches[i].name, topic))
			s->watches[i].emptied = true;
}

void shape_up(struct shape *s)
{
	look(s);
}
