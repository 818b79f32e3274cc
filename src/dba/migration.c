/* SPDX-License-Identifier: PostgreSQL
 * See migration.h. */
#include "config.h"
#include "dba/migration.h"

#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "dba/install.h"
#include "dba/uninstall.h"
#include "sql/ident.h"
#include "sql/render.h"
#include "sql/template.h"
#include "sql/text.h"

/* A line of the templates, and what stands there in a migration. Indented, it is within a
 * function's text in PL/pgSQL. */
static const struct {
	const char *line, *outside, *within;
} exchanged[] = {
	{"BEGIN;", "", NULL},
	{"COMMIT;", "", NULL},
	/* That of the session may not be the one that the tool has chosen. */
	{"RESET ROLE;", "SELECT set_config('role', current_setting('pgherald.was_role'), true);",
	 "PERFORM set_config('role', current_setting('pgherald.was_role'), true);"},
};

static void add_line(struct buf *out, const char *line, size_t len)
{
	size_t indent = strspn(line, " ");

	for (size_t i = 0; i < sizeof(exchanged) / sizeof(*exchanged); i++) {
		const char *instead = indent ? exchanged[i].within : exchanged[i].outside;

		if (!instead || strlen(exchanged[i].line) != len - indent ||
		    memcmp(exchanged[i].line, line + indent, len - indent) != 0)
			continue;
		if (*instead) {
			buf_add(out, line, indent);
			buf_str(out, instead);
			buf_char(out, '\n');
		}
		return;
	}
	buf_add(out, line, len);
	buf_char(out, '\n');
}

static char *exchange_lines(const char *sql)
{
	autobuf out = {0};

	buf_init(&out, RENDER_MAX);
	while (*sql) {
		size_t len = strcspn(sql, "\n");

		add_line(&out, sql, len);
		sql += len + (sql[len] == '\n');
	}
	return buf_steal(&out);
}

static struct step fixed(const char *title, const char *text)
{
	autobuf sql = {0};
	const struct slot slots[] = {{"version", PACKAGE_VERSION}, {NULL, NULL}};

	buf_init(&sql, RENDER_MAX);
	template_fill(&sql, text, slots);
	return (struct step){xstrdup(title), buf_steal(&sql)};
}

/* Makes of steps, each a transaction, text for one that is under way. */
static void put_within(struct script *s)
{
	struct script all = {0};
	struct step begin = fixed("begin", sql_migration_begin),
		    end = fixed("end", sql_migration_end);

	script_add(&all, begin.title, begin.sql);
	for (size_t i = 0; i < s->n; i++)
		script_add(&all, xstrdup(s->items[i].title), exchange_lines(s->items[i].sql));
	script_add(&all, end.title, end.sql);
	script_free(s);
	*s = all;
}

bool migration_install(struct script *s, const struct conf *conf, const char *only)
{
	if (!install_without_dump(s, conf, only))
		return false;
	put_within(s);
	return true;
}

bool migration_uninstall(struct script *s, const struct conf *conf, const char *only)
{
	if (!uninstall_script(s, conf, only))
		return false;
	put_within(s);
	return true;
}

bool migration_roles(struct script *s, const struct conf *conf, const char *installer)
{
	autobuf sql = {0}, role = {0}, literal = {0}, comment = {0}, login = {0},
		login_literal = {0};
	bool asks = false;

	for (size_t i = 0; i < conf->n_routes; i++)
		asks |= *conf->routes[i].authorize != '\0';
	/* Names of 64 bytes and more PostgreSQL cuts; these two quote texts in which the name
	 * stands. */
	if (!installer || !*installer || strlen(installer) >= 64 ||
	    strstr(installer, "$pgherald$") || strstr(installer, "$give_back$")) {
		fprintf(stderr, "pgherald: sql roles needs --for with the name of a role\n");
		return false;
	}
	buf_init(&sql, RENDER_MAX);
	buf_init(&role, RENDER_MAX);
	buf_init(&literal, RENDER_MAX);
	buf_init(&comment, RENDER_MAX);
	buf_init(&login, RENDER_MAX);
	buf_init(&login_literal, RENDER_MAX);
	ident_add(&role, installer);
	ident_add_literal(&literal, installer);
	render_comment(&comment, installer);
	ident_add(&login, conf->login);
	ident_add_literal(&login_literal, conf->login);
	template_fill(&sql, sql_roles,
		      (const struct slot[]){
			      {"version", PACKAGE_VERSION},
			      {"installer", buf_cstr(&role)},
			      {"installer_literal", buf_cstr(&literal)},
			      {"installer_comment", buf_cstr(&comment)},
			      {"login", buf_cstr(&login)},
			      {"login_literal", buf_cstr(&login_literal)},
			      {"authorize_literal", asks ? ", 'pgherald_authorize'" : ""},
			      {"authorize_name", asks ? ", pgherald_authorize" : ""},
			      {NULL, NULL},
		      });
	script_add(s, xstrdup("roles"), buf_steal(&sql));
	return true;
}
