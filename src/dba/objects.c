/* SPDX-License-Identifier: PostgreSQL
 * See objects.h. */
#include "config.h"
#include "dba/objects.h"

#include <stdlib.h>
#include <string.h>

#include "base/num.h"
#include "dba/statement.h"

/* A name as it stands in the catalog. */
static char *unquote(const char *name)
{
	autobuf out = {0};

	if (*name != '"')
		return xstrdup(name);
	buf_init(&out, STATEMENT_MAX);
	for (name++; *name && (*name != '"' || name[1] == '"'); name++) {
		if (*name == '"')
			name++;
		buf_char(&out, *name);
	}
	return buf_steal(&out);
}

/* "(moment text, n int DEFAULT 1)" without the names: "(text, int)". */
static void add_types(struct buf *out, const char *args)
{
	const char *separator = "";
	char *arg;

	buf_char(out, '(');
	while ((arg = words_item(&args))) {
		char *type = strchr(arg, ' '), *def = strstr(arg, " DEFAULT ");

		if (def)
			*def = '\0';
		buf_str(out, separator);
		buf_str(out, type ? type + 1 : arg);
		separator = ", ";
		free(arg);
	}
	buf_char(out, ')');
}

/* "SET a = 'b'" of a function's head as "a=b". */
static void add_setting(struct buf *out, const char *text)
{
	autofree char *flat = words_squeeze(text, text + strcspn(text, "\n"));
	const char *equals = strstr(flat, " = "), *value = equals ? equals + 3 : "";
	size_t len = strlen(value);

	if (!equals)
		return;
	while (len && value[len - 1] == ' ')
		len--;
	if (*value == '\'' && len >= 2) {
		value++;
		len -= 2;
	}
	if (out->len)
		buf_char(out, '\n');
	buf_add(out, flat, (size_t)(equals - flat));
	buf_char(out, '=');
	buf_add(out, value, len);
}

static void read_function(struct objects *r, const struct statement *s)
{
	static const char create[] = "CREATE OR REPLACE FUNCTION ";
	const char *name = s->bare.p + strlen(create), *open = words_find(name, '('), *close;
	const char *body = strstr(open, "AS " STATEMENT_DOLLAR), *end;
	struct object_function f = {.volatility = 'v'};
	autobuf signature = {0}, settings = {0};
	autofree char *args = NULL;

	close = *open ? words_find(open + 1, ')') : open;
	if (!body || !*close ||
	    !(end = strstr(body + strlen("AS " STATEMENT_DOLLAR), STATEMENT_DOLLAR)))
		return;
	buf_init(&signature, STATEMENT_MAX);
	buf_init(&settings, STATEMENT_MAX);
	buf_add(&signature, name, (size_t)(open - name));
	args = words_squeeze(open + 1, close);
	add_types(&signature, args);
	for (const char *line = close; line < body; line += strcspn(line, "\n") + 1) {
		if (words_starts(line, "SET "))
			add_setting(&settings, line + 4);
		if (words_starts(line, "LANGUAGE ")) {
			autofree char *head = xstrndup(line, strcspn(line, "\n"));

			f.definer |= strstr(head, "SECURITY DEFINER") != NULL;
			if (strstr(head, " STABLE"))
				f.volatility = 's';
			if (strstr(head, " IMMUTABLE"))
				f.volatility = 'i';
		}
	}
	f.owner = xstrdup(r->role ? r->role : "pgherald_owner");
	f.signature = buf_steal(&signature);
	f.settings = buf_steal(&settings);
	body += strlen("AS " STATEMENT_DOLLAR);
	f.body = xstrndup(body, (size_t)(end - body));
	r->functions = xrealloc(r->functions, r->n_functions + 1, sizeof(f));
	r->functions[r->n_functions++] = f;
}

static void add_trigger(struct objects *r, struct object_trigger t)
{
	r->triggers = xrealloc(r->triggers, r->n_triggers + 1, sizeof(t));
	r->triggers[r->n_triggers++] = t;
}

/* What stands between the quotes after `before`; the caller frees. NULL when it is not there. */
static char *literal_after(const char *text, const char *before)
{
	const char *p = strstr(text, before);

	if (!p)
		return NULL;
	p += strlen(before);
	return xstrndup(p, strcspn(p, "'"));
}

/* Those of an [auth] are made in a loop over rows ('table'::regclass, 'holds', 'udt'). */
static void read_auth_triggers(struct objects *r, const char *text)
{
	static const char *const events[][3] = {
		{"i", "INSERT", " REFERENCING NEW TABLE AS new_rows"},
		{"u", "UPDATE", " REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows"},
		{"d", "DELETE", " REFERENCING OLD TABLE AS old_rows"},
		{"t", "TRUNCATE", ""},
	};
	autofree char *auth = literal_after(text, "'zz_pgherald_auth_' || '");
	autofree char *function = literal_after(text, "to_regprocedure('");
	const char *end = strstr(text, ") AS w(watched, holds, events)");
	const char *p = strstr(text, "(VALUES");

	if (!auth || !function || !end || !p)
		return;
	function[strcspn(function, "(")] = '\0';
	while ((p = strstr(p, "('")) && p < end) {
		autofree char *table = literal_after(p, "('"), *holds = literal_after(p, ", '");
		const char *last = strstr(p, "', '");
		autofree char *letters = literal_after(last ? last : p, "', '");

		for (size_t i = 0; letters && i < sizeof(events) / sizeof(*events); i++) {
			char *name = xasprintf("zz_pgherald_auth_%s_%s", auth, events[i][0]);

			if (!strstr(letters, events[i][0])) {
				free(name);
				continue;
			}
			add_trigger(r, (struct object_trigger){
					       .name = name,
					       .table = xstrdup(table),
					       .def = xasprintf(
						       "CREATE TRIGGER \"%s\" AFTER %s ON %s%s FOR "
						       "EACH STATEMENT EXECUTE FUNCTION %s('%s')",
						       name, events[i][1], table, events[i][2],
						       function, holds),
				       });
		}
		p = last + 1;
	}
}

/* They stand inside of DO blocks, each a statement of its own. */
static void read_triggers(struct objects *r, const struct statement *s)
{
	static const char create[] = "CREATE TRIGGER ";
	autofree char *text = xstrndup(s->bare.p, s->bare.len);
	const char *p = text;

	read_auth_triggers(r, text);
	while ((p = strstr(p, create))) {
		const char *end = words_find(p, ';'), *on;
		struct object_trigger t = {.def = words_squeeze(p, end)};

		on = strstr(t.def, " ON ");
		if (on && !words_starts(t.def, "CREATE TRIGGER %")) {
			const char *name = t.def + strlen(create);

			t.name = xstrndup(name, strcspn(name, " "));
			t.table = xstrndup(on + 4, (size_t)(words_find(on + 4, ' ') - on - 4));
			add_trigger(r, t);
		} else {
			free(t.def);
		}
		p = end;
	}
}

static bool same(const char *a, const char *b)
{
	return a == b || (a && b && strcmp(a, b) == 0);
}

bool objects_has_right(const struct objects *r, const struct object_right *right)
{
	for (size_t i = 0; i < r->n_rights; i++) {
		const struct object_right *have = &r->rights[i];

		if (same(have->role, right->role) && same(have->kind, right->kind) &&
		    same(have->privilege, right->privilege) && same(have->object, right->object) &&
		    same(have->column, right->column))
			return true;
	}
	return false;
}

static void right_free(struct object_right *right)
{
	free(right->role);
	free(right->kind);
	free(right->privilege);
	free(right->object);
	free(right->column);
}

static void add_right(struct objects *r, struct object_right right)
{
	if (objects_has_right(r, &right)) {
		right_free(&right);
		return;
	}
	r->rights = xrealloc(r->rights, r->n_rights + 1, sizeof(right));
	r->rights[r->n_rights++] = right;
}

/* GRANT SELECT (a, b) ON x TO pgherald_owner; GRANT EXECUTE ON FUNCTION f(), g(int) TO ... */
static void read_grant(struct objects *r, const struct statement *s)
{
	static const char *const kinds[] = {"SCHEMA", "FUNCTION", "SEQUENCE", "TABLE"};
	autofree char *text = words_squeeze(s->bare.p, s->bare.p + s->bare.len);
	char *privilege = text + strlen("GRANT "), *on = strstr(text, " ON "), *to = NULL, *columns;
	const char *kind = "table", *objects;
	char *object;

	for (char *p = on; p && (p = strstr(p, " TO ")); p++)
		to = p;
	if (!to)
		return;
	*on = *to = '\0';
	objects = on + 4;
	columns = strchr(privilege, '(');
	if (columns) {
		columns[-1] = '\0';
		columns[strlen(columns) - 1] = '\0';
	}
	for (size_t i = 0; i < sizeof(kinds) / sizeof(*kinds); i++)
		if (words_starts(objects, kinds[i]) && objects[strlen(kinds[i])] == ' ') {
			objects += strlen(kinds[i]) + 1;
			kind = i == 0 ? "schema" : i == 1 ? "function" : "table";
		}
	while ((object = words_item(&objects))) {
		const char *list = columns ? columns + 1 : "";
		char *column = columns ? words_item(&list) : NULL;

		do {
			add_right(r, (struct object_right){
					     .role = xstrdup(to + 4),
					     .kind = xstrdup(columns ? "column" : kind),
					     .privilege = xstrdup(privilege),
					     .object = xstrdup(object),
					     .column = column ? unquote(column) : NULL,
				     });
			free(column);
		} while (columns && (column = words_item(&list)));
		free(object);
	}
}

static void read_role(struct objects *r, const struct statement *s)
{
	size_t words = strlen("SET LOCAL ROLE ");

	free(r->role);
	r->role = xstrndup(s->bare.p + words, s->bare.len - words);
}

static void read_version(struct objects *r, const struct statement *s)
{
	static const char values[] = "VALUES (";
	autofree char *text = xstrndup(s->bare.p, s->bare.len);
	const char *p = strstr(text, values);
	uint64_t version;

	if (!p)
		return;
	p += strlen(values);
	if (num_u64(p, strspn(p, "0123456789"), &version))
		r->schema_version = (unsigned)version;
}

void objects_read(struct objects *r, const char *text)
{
	struct statement s;

	while (statement_next(&text, &s)) {
		if (statement_begins(&s, "CREATE OR REPLACE FUNCTION "))
			read_function(r, &s);
		else if (statement_begins(&s, "SET LOCAL ROLE "))
			read_role(r, &s);
		else if (statement_begins(&s, "GRANT CREATE "))
			; /* for as long as the functions are made */
		else if (statement_begins(&s, "GRANT "))
			read_grant(r, &s);
		else if (statement_begins(&s, "INSERT INTO pgherald.meta "))
			read_version(r, &s);
		else if (statement_begins(&s, "DO ") || statement_begins(&s, "CREATE TRIGGER "))
			read_triggers(r, &s);
	}
}

void objects_free(struct objects *r)
{
	for (size_t i = 0; i < r->n_functions; i++) {
		free(r->functions[i].signature);
		free(r->functions[i].body);
		free(r->functions[i].settings);
		free(r->functions[i].owner);
	}
	for (size_t i = 0; i < r->n_triggers; i++) {
		free(r->triggers[i].name);
		free(r->triggers[i].table);
		free(r->triggers[i].def);
	}
	for (size_t i = 0; i < r->n_rights; i++)
		right_free(&r->rights[i]);
	free(r->functions);
	free(r->triggers);
	free(r->rights);
	free(r->role);
	*r = (struct objects){0};
}
