/* SPDX-License-Identifier: PostgreSQL
 * See text.h. */
#include "config.h"
#include "init/text.h"

#include <string.h>

#include "base/mem.h"
#include "base/shown.h"
#include "sql/ident.h"

#define PLACE SYSCONFDIR "/pgherald/"

char *text_instance(const char *path)
{
	static const char place[] = PLACE, end[] = ".conf";
	const char *name = path && !strncmp(path, place, strlen(place)) ? path + strlen(place) : "";
	size_t len = strlen(name);

	if (len <= strlen(end) || strcmp(name + len - strlen(end), end) != 0)
		return NULL;
	len -= strlen(end);
	if (strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-.") < len)
		return NULL;
	return xstrndup(name, len);
}

/* Each project has its own. */
static void add_secret_place(struct buf *out, const struct guess *g)
{
	autofree char *instance = text_instance(g->path);

	buf_printf(out, PLACE "secret_key%s%s", instance ? "." : "", instance ? instance : "");
}

bool text_names_role(const char *name)
{
	size_t len =
		strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-");

	return len && len <= 40 && !name[len];
}

static void add_table(struct buf *out, const struct table *t)
{
	ident_add_table(out, t->schema, t->name);
}

static bool usable(const struct guess *g)
{
	for (size_t i = 0; g->roles && g->roles[i]; i++)
		if (text_names_role(g->roles[i]))
			return true;
	return false;
}

/* A role for each value, with what its name suggests. */
static void add_roles(struct buf *out, const struct guess *g)
{
	buf_str(out, "# Who may hear what: receives = all, own (what \"owners\" of a watch say) or "
		     "none.\n");
	if (!usable(g)) {
		buf_str(out, "[role staff]\nreceives = all\n\n[role user]\nreceives = own\n\n");
		return;
	}
	for (size_t i = 0; g->roles[i]; i++) {
		if (text_names_role(g->roles[i])) {
			buf_printf(out, "[role %s]\nreceives = %s\n\n", g->roles[i],
				   django_role_sees_all(g->roles[i]) ? "all" : "own");
			continue;
		}
		buf_str(out, "# There is also \"");
		shown_add(out, g->roles[i]);
		buf_str(out,
			"\", which cannot be a role's name here: such users hear nothing.\n\n");
	}
}

static void add_users(struct buf *out, const struct guess *g)
{
	const struct django *d = g->django;

	buf_str(out, "user_table = ");
	add_table(out, &g->catalog->tables[d->users]);
	if (strcmp(d->key, "id") != 0)
		buf_printf(out, "\nuser_key = %s", d->key);
	if (!*d->active)
		buf_str(out,
			"\n# There is no is_active: every user counts as active.\nuser_active =");
	if (!usable(g) && !d->staff) {
		buf_str(out,
			"\n# The user table has neither is_staff nor a column that names a role: "
			"say where roles come from.\nrole_from = column\nrole_column = role\n");
	} else if (!usable(g)) {
		buf_str(out, "\nrole_from = staff\nstaff_role = staff\nother_role = user\n");
	} else if (g->groups) {
		buf_str(out, "\nrole_from = groups\ngroup_table = ");
		add_table(out, &g->catalog->tables[d->groups]);
		buf_str(out, "\nmembership_table = ");
		add_table(out, &g->catalog->tables[d->members]);
		buf_printf(out, "\nmembership_user = %s\nmembership_group = %s\n", d->member_user,
			   d->member_group);
	} else {
		buf_printf(out, "\nrole_from = column\nrole_column = %s\n", d->role);
	}
}

static void add_tokens(struct buf *out, const struct guess *g)
{
	const struct django *d = g->django;

	if (d->tokens != NO_TABLE) {
		buf_str(out, "# Tokens of Django REST framework.\n[auth drf]\ntoken_table = ");
		add_table(out, &g->catalog->tables[d->tokens]);
	} else if (d->knox != NO_TABLE) {
		buf_str(out, "# Tokens of django-rest-knox.\n[auth knox]\npreset = "
			     "knox\ntoken_table = ");
		add_table(out, &g->catalog->tables[d->knox]);
	} else {
		buf_str(out,
			"# Django's own sessions. SECRET_KEY stays out of this file: it stands, "
			"alone in a line,\n# in a file that only the daemon may read; the "
			"first command at the end puts it there.\n[auth session]\n"
			"preset = session\nsecret_key_file = ");
		add_secret_place(out, g);
		buf_str(out, "\ntoken_table = ");
		add_table(out, &g->catalog->tables[d->sessions]);
	}
	buf_char(out, '\n');
	add_users(out, g);
	if (d->sessions != NO_TABLE && (d->tokens != NO_TABLE || d->knox != NO_TABLE))
		buf_str(out,
			"# Pages that log in with Django's sessions can use the cookie instead: "
			"preset = session\n# in pgherald.conf(5).\n");
	buf_char(out, '\n');
}

static void add_watch(struct buf *out, const struct guess *g, const struct proposal *p)
{
	const struct table *t = &g->catalog->tables[p->table];

	buf_printf(out, "# %s\n[watch %s]\ntable = ", p->why, p->topic);
	add_table(out, t);
	if (t->n_key != 1 || strcmp(t->key[0], "id") != 0) {
		buf_str(out, "\nkey = ");
		for (size_t i = 0; i < t->n_key; i++) {
			buf_str(out, i ? ", " : "");
			ident_add(out, t->key[i]);
		}
	}
	if (*p->owners)
		buf_printf(out, "\nowners = %s", p->owners);
	if (p->follow)
		buf_str(out, "\nfollow = yes");
	if (p->no_index)
		buf_printf(out,
			   "\n# follow = yes tells who gains or loses a row by a change of another "
			   "table. First it needs\n# CREATE INDEX CONCURRENTLY ON %s;",
			   p->no_index);
	buf_printf(out, "\nfields = %s\n\n", p->fields);
}

static void add_others(struct buf *out, const struct guess *g)
{
	const struct proposals *p = g->watches;

	if (!p->n_others)
		return;
	buf_str(out, "# Not watched, since nothing says whose their rows are, the key is of a type "
		     "that is "
		     "not\n# PostgreSQL's own, or there were too many:\n");
	for (size_t i = 0; i < p->n_others; i++) {
		buf_str(out, "#   ");
		add_table(out, &g->catalog->tables[p->others[i]]);
		buf_char(out, '\n');
	}
	buf_str(out, "# A watch without owners is heard by roles that receive all.\n\n");
}

/* As a word that a shell takes for what it is. */
static void add_word(struct buf *out, const char *text)
{
	static const char safe[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
				   "_./:=@%+,-";

	if (*text && !text[strspn(text, safe)]) {
		buf_str(out, text);
	} else if (!text[strcspn(text, "\"$`\\!")]) {
		buf_printf(out, "\"%s\"", text);
	} else {
		buf_char(out, '\'');
		for (; *text; text++) {
			if (*text == '\'')
				buf_str(out, "'\\'");
			buf_char(out, *text);
		}
		buf_char(out, '\'');
	}
}

static void add_path(struct buf *out, const struct guess *g)
{
	if (!g->path)
		return;
	buf_str(out, " -c ");
	add_word(out, g->path);
}

/* Which service reads the file, or what takes it by hand. */
static void add_start(struct buf *out, const struct guess *g)
{
	autofree char *instance = text_instance(g->path);

	if (!g->path) {
		buf_str(out, "sudo systemctl restart pgherald");
	} else if (instance) {
		buf_printf(out, "sudo systemctl enable --now pgherald@%s", instance);
	} else {
		buf_str(out, "sudo -u pgherald pgherald");
		add_path(out, g);
		buf_str(out, " serve");
	}
}

void text_commands(struct buf *out, const struct guess *g, const char *before)
{
	const struct django *d = g->django;

	if (d->tokens == NO_TABLE && d->knox == NO_TABLE) {
		buf_str(out, before);
		buf_str(out, "python3 manage.py shell -v 0 -c \"from django.conf import settings; "
			     "print(settings.SECRET_KEY)\" |");
		buf_str(out, "\n");
		buf_str(out, before);
		buf_str(out, "  sudo install -m 0640 -g pgherald /dev/stdin ");
		add_secret_place(out, g);
		buf_char(out, '\n');
	}
	buf_printf(out, "%ssudo pgherald -t", before);
	add_path(out, g);
	buf_printf(out, "\n%ssudo pgherald sql install --apply", before);
	add_path(out, g);
	buf_str(out, " --dsn ");
	add_word(out, g->dsn);
	buf_printf(out, "\n%s", before);
	add_start(out, g);
	buf_char(out, '\n');
}

static void add_end(struct buf *out, const struct guess *g)
{
	const struct django *d = g->django;

	buf_str(out, "# What to do next:\n");
	text_commands(out, g, "#   ");
	if (d->tokens != NO_TABLE || d->knox != NO_TABLE)
		buf_str(out, "#   curl -N -H \"Authorization: Token $TOKEN\"");
	else
		buf_str(out, "#   curl -N -b \"sessionid=$SESSION\"");
	buf_printf(out, " http://127.0.0.1:%u/api/v1/sse/events/\n", g->port);
}

void text_write(struct buf *out, const struct guess *g)
{
	buf_str(out,
		"# pgherald.conf, as `pgherald init` has guessed it from the database: look at "
		"who hears what\n# (roles and owners) and at what is told (fields). Every setting "
		"is in pgherald.conf(5).\n\n"
		"[server]\n");
	buf_printf(out, "listen = 127.0.0.1:%u\n", g->port);
	buf_str(out,
		"# Web pages of other origins than the proxy's that may open a stream.\n"
		"#cors_origins = https://app.example.org\n\n"
		"# The daemon connects as the role that the installation makes; no password when "
		"it "
		"runs as\n# the system user of that name on the same machine.\n[database]\n"
		"conninfo = ");
	buf_str(out, g->conninfo);
	buf_str(out, " user=pgherald\nlogin = pgherald\n\n");
	add_roles(out, g);
	add_tokens(out, g);
	for (size_t i = 0; i < g->watches->n; i++)
		add_watch(out, g, &g->watches->items[i]);
	add_others(out, g);
	add_end(out, g);
}
