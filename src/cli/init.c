/* SPDX-License-Identifier: PostgreSQL
 * See init.h: options, the conversation in a terminal, and where the file goes. */
#include "config.h"
#include "cli/init.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "cli/options.h"
#include "conf.h"
#include "dba/connection.h"
#include "init/look.h"
#include "init/proposal.h"
#include "init/text.h"
#include "sql/ident.h"

enum { MAX_WATCHES = 200, TEXT_MAX = 1 << 20, ANSWER_MAX = 200, SHOWN_TABLES = 20 };

struct options {
	const char *config, *dsn;
	const char *watches[MAX_WATCHES];
	size_t n_watches;
	bool yes, force, help;
};

/* What has been found, and what is to be written. */
struct work {
	const struct options *o;
	struct catalog catalog;
	struct django django;
	struct proposals watches;
	char **roles;
	bool groups;
};

static const char usage_text[] =
	"usage: pgherald init --dsn CONNINFO [OPTION]...\n"
	"Looks at a database, in which nothing is written, and writes a configuration.\n"
	"  -c, --config FILE   where it goes (" DEFAULT_CONF "), - for standard output\n"
	"      --dsn CONNINFO  the database, as libpq understands it\n"
	"      --watch SCHEMA.TABLE[:OWNERS]\n"
	"                      this table instead of those found; may be given again\n"
	"      --yes           take all proposals without asking\n"
	"      --force         replace a configuration that has been edited; it is kept as "
	"FILE.old\n"
	"Manual page: pgherald-init(8).\n";

static bool read_options(int argc, char **argv, struct options *o)
{
	const struct cli_option names[] = {
		{"config", .text = &o->config},
		{"dsn", .text = &o->dsn},
		{"watch", .text = o->watches, .n = &o->n_watches, .max = MAX_WATCHES},
		{"yes", .flag = &o->yes},
		{"force", .flag = &o->force},
		{"help", .flag = &o->help},
		{0},
	};
	int rest;

	return cli_options(argc, argv, names, &rest) && rest == argc && (o->help || o->dsn);
}

static bool say_no(const char *what)
{
	fprintf(stderr, "pgherald: %s\n", what);
	return false;
}

/* --- the connection ------------------------------------------------------------------------ */

/* A value of a conninfo, quoted where libpq wants it. */
static void add_value(struct buf *out, const char *key, const char *value)
{
	buf_printf(out, "%s%s=", out->len ? " " : "", key);
	if (*value && !value[strcspn(value, " \t'\\")]) {
		buf_str(out, value);
		return;
	}
	buf_char(out, '\'');
	for (; *value; value++) {
		if (*value == '\'' || *value == '\\')
			buf_char(out, '\\');
		buf_char(out, *value);
	}
	buf_char(out, '\'');
}

/* Where the database is, of what was typed; passwords never, the user only when wanted. False when
 * libpq does not understand it or the configuration could not hold it. */
static bool clean_dsn(const char *dsn, bool with_user, struct buf *out)
{
	char *why = NULL;
	PQconninfoOption *all = PQconninfoParse(dsn, &why);

	if (!all) {
		fprintf(stderr, "pgherald: --dsn: %s", why ? why : "out of memory\n");
		PQfreemem(why);
		return false;
	}
	for (PQconninfoOption *p = all; p->keyword; p++)
		if (p->val && *p->val &&
		    (word_in(p->keyword, "host hostaddr port dbname sslmode sslrootcert") ||
		     (with_user && !strcmp(p->keyword, "user"))))
			add_value(out, p->keyword, p->val);
	PQconninfoFree(all);
	for (const char *p = buf_cstr(out); *p; p++)
		if ((unsigned char)*p < ' ')
			return say_no("--dsn: there is a control character in it");
	return true;
}

/* --- what is there ------------------------------------------------------------------------- */

static void print_table(const struct table *t)
{
	autobuf name = {0};

	buf_init(&name, 1024);
	ident_add_table(&name, t->schema, t->name);
	fputs(buf_cstr(&name), stderr);
}

/* For a database that is not Django's. */
static void explain(const struct work *w)
{
	const struct catalog *c = &w->catalog;
	size_t shown = 0;

	fprintf(stderr,
		"pgherald: no tables of Django's users and of tokens or sessions found, among %zu "
		"tables:\n",
		c->n);
	for (size_t i = 0; i < c->n && shown < SHOWN_TABLES; i++, shown++) {
		fputs("  ", stderr);
		print_table(&c->tables[i]);
		fputc('\n', stderr);
	}
	if (c->n > shown)
		fprintf(stderr, "  and %zu more\n", c->n - shown);
	fputs("What is needed: a table of users with a key and, best, a column that names a role; "
	      "a\n"
	      "table of tokens with a column that refers to a user; and for each table to watch a\n"
	      "column that says whose a row is. Write [auth NAME] with preset = custom, [role "
	      "NAME]\n"
	      "and [watch NAME] into the configuration: pgherald.conf(5) has an example of each.\n",
	      stderr);
}

static bool look(struct work *w, PGconn *db)
{
	const struct django *d = &w->django;

	if (!look_begin(db) || !look_tables(db, &w->catalog))
		return false;
	look_apps(db, &w->catalog);
	django_find(&w->catalog, &w->django);
	if (d->users == NO_TABLE ||
	    (d->tokens == NO_TABLE && d->knox == NO_TABLE && d->sessions == NO_TABLE)) {
		explain(w);
		return false;
	}
	if (d->role)
		w->roles = look_roles(db, &w->catalog, d, false);
	if (!w->roles && d->groups != NO_TABLE && d->members != NO_TABLE) {
		w->roles = look_roles(db, &w->catalog, d, true);
		w->groups = w->roles != NULL;
	}
	return true;
}

static bool choose(struct work *w)
{
	const struct options *o = w->o;
	autobuf error = {0};

	buf_init(&error, 1024);
	if (!o->n_watches)
		proposals_make(&w->watches, &w->catalog, &w->django);
	for (size_t i = 0; i < o->n_watches; i++) {
		size_t len = strcspn(o->watches[i], ":");
		autofree char *table = xstrndup(o->watches[i], len);
		const char *owners = o->watches[i][len] ? o->watches[i] + len + 1 : "";

		if (!proposals_add(&w->watches, &w->catalog, &w->django, table, owners, &error)) {
			fprintf(stderr, "pgherald: --watch %s: %s\n", o->watches[i],
				buf_cstr(&error));
			return false;
		}
	}
	return w->watches.n || say_no("no table refers to a user, directly or by another one: name "
				      "those to watch with --watch SCHEMA.TABLE:OWNERS");
}

/* --- the conversation ---------------------------------------------------------------------- */

static void report(const struct work *w)
{
	const struct catalog *c = &w->catalog;
	const struct django *d = &w->django;

	fputs("Found Django's users in ", stderr);
	print_table(&c->tables[d->users]);
	fprintf(stderr, ", %s; roles from %s.\n",
		d->tokens != NO_TABLE ? "tokens of Django REST framework"
		: d->knox != NO_TABLE ? "tokens of django-rest-knox"
				      : "sessions",
		w->groups  ? "groups"
		: w->roles ? d->role
		: d->staff ? "is_staff"
			   : "nowhere");
}

static void describe(const struct work *w, const struct proposal *p)
{
	fputs("\n", stderr);
	print_table(&w->catalog.tables[p->table]);
	fprintf(stderr, " as \"%s\". %s\n  owners: %s\n  fields: %s\n", p->topic, p->why,
		*p->owners ? p->owners : "nobody", p->fields);
}

/* 'y' or 'n'; 0 when nobody answers any more. */
static int ask(void)
{
	char answer[ANSWER_MAX];

	for (;;) {
		fputs("Watch it? [Y/n] ", stderr);
		if (!fgets(answer, sizeof(answer), stdin))
			return 0;
		answer[strcspn(answer, "\n")] = '\0';
		if (!*answer || word_in(answer, "y Y yes Yes YES"))
			return 'y';
		if (word_in(answer, "n N no No NO"))
			return 'n';
	}
}

static bool converse(struct work *w)
{
	for (size_t i = 0; i < w->watches.n;) {
		int answer = 'y';

		describe(w, &w->watches.items[i]);
		if (!w->o->yes)
			answer = ask();
		if (!answer)
			return say_no("nothing is written");
		if (answer == 'y')
			i++;
		else
			proposals_drop(&w->watches, i);
	}
	return w->watches.n || say_no("no table is left to watch: nothing is written");
}

/* --- the file ------------------------------------------------------------------------------ */

/* Whether there is a file at `path` that says more than what a package puts there: a section for a
 * table, or one that cannot be read. */
static bool is_edited(const char *path)
{
	FILE *f = fopen(path, "re");
	char line[ANSWER_MAX];
	bool edited = false;

	if (!f)
		return errno != ENOENT;
	while (!edited && fgets(line, sizeof(line), f))
		edited = !strncmp(line, "[watch", strlen("[watch"));
	edited = edited || ferror(f);
	fclose(f);
	return edited;
}

static bool failed(const char *what, const char *path)
{
	fprintf(stderr, "pgherald: cannot %s %s: %s\n", what, path, strerror(errno));
	return false;
}

/* Beside the old one and then in its place, with the old one's owner and mode, so that at no moment
 * there is half a file. */
static bool put_file(const char *path, const struct buf *text)
{
	autofree char *new = xasprintf("%s.new", path), *old = xasprintf("%s.old", path);
	struct stat was;
	bool replaces = stat(path, &was) == 0, ok;
	int fd = open(new, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0640);

	if (fd < 0)
		return failed("write", new);
	ok = write(fd, text->data, text->len) == (ssize_t)text->len;
	if (ok && replaces)
		ok = fchown(fd, was.st_uid, was.st_gid) == 0 && fchmod(fd, was.st_mode & 0777) == 0;
	ok = fsync(fd) == 0 && ok;
	ok = close(fd) == 0 && ok;
	if (ok && replaces) {
		unlink(old);
		ok = link(path, old) == 0;
	}
	if (ok && rename(new, path) == 0)
		return true;
	failed("write", path);
	unlink(new);
	return false;
}

/* What comes out must be what the daemon takes. */
static bool is_sound(const struct buf *text, const char *path)
{
	autobuf error = {0};
	struct conf *conf;

	buf_init(&error, 1024);
	conf = conf_parse(path, text->data, text->len, &error);
	if (!conf)
		fprintf(stderr, "pgherald: the proposal is no configuration: %s\n",
			buf_cstr(&error));
	conf_unref(conf);
	return conf != NULL;
}

static bool write_out(const struct work *w)
{
	const char *path = w->o->config;
	bool to_stdout = !strcmp(path, "-");
	autobuf text = {0}, conninfo = {0}, dsn = {0};
	struct guess g = {.catalog = &w->catalog,
			  .django = &w->django,
			  .watches = &w->watches,
			  .roles = w->roles,
			  .groups = w->groups,
			  .path = to_stdout ? DEFAULT_CONF : path};

	buf_init(&text, TEXT_MAX);
	buf_init(&conninfo, 4096);
	buf_init(&dsn, 4096);
	if (!clean_dsn(w->o->dsn, false, &conninfo) || !clean_dsn(w->o->dsn, true, &dsn))
		return false;
	g.conninfo = buf_cstr(&conninfo);
	g.dsn = buf_cstr(&dsn);
	text_write(&text, &g);
	if (!buf_ok(&text))
		return say_no("more tables than a configuration holds: name yours with --watch");
	if (!is_sound(&text, g.path))
		return false;
	if (to_stdout)
		return fwrite(text.data, 1, text.len, stdout) == text.len && !fflush(stdout);
	return put_file(path, &text);
}

static void say_next(const struct options *o)
{
	autobuf dsn = {0};

	buf_init(&dsn, 4096);
	if (!strcmp(o->config, "-") || !clean_dsn(o->dsn, true, &dsn))
		return;
	fprintf(stderr,
		"\n%s is written. Look at it, and then:\n"
		"  sudo pgherald -t -c %s\n"
		"  sudo pgherald sql install --apply -c %s --dsn \"%s\"\n"
		"  sudo systemctl restart pgherald\n",
		o->config, o->config, o->config, buf_cstr(&dsn));
}

static bool work(struct work *w)
{
	const char *path = w->o->config;
	PGconn *db;
	bool ok;

	if (!w->o->yes && !isatty(STDIN_FILENO))
		return say_no("nobody is there to ask: say --yes to take every proposal");
	if (strcmp(path, "-") != 0 && !w->o->force && is_edited(path)) {
		fprintf(stderr, "pgherald: %s is there already; --force replaces it\n", path);
		return false;
	}
	db = connection_open_admin(w->o->dsn);
	ok = db && look(w, db);
	PQfinish(db);
	if (!ok || !choose(w))
		return false;
	report(w);
	if (!converse(w) || !write_out(w))
		return false;
	say_next(w->o);
	return true;
}

int cli_init(int argc, char **argv)
{
	struct options o = {.config = DEFAULT_CONF};
	struct work w = {.o = &o};
	bool ok;

	if (!read_options(argc, argv, &o)) {
		fputs(usage_text, stderr);
		return 2;
	}
	if (o.help) {
		fputs(usage_text, stdout);
		return 0;
	}
	ok = work(&w);
	for (size_t i = 0; w.roles && w.roles[i]; i++)
		free(w.roles[i]);
	free(w.roles);
	proposals_free(&w.watches);
	catalog_free(&w.catalog);
	return ok ? 0 : 1;
}
