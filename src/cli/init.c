/* SPDX-License-Identifier: PostgreSQL
 * See init.h: options, the conversation in a terminal, and where the file goes. */
#include "config.h"
#include "cli/init.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
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

enum {
	MAX_WATCHES = NAMED_MAX,
	TEXT_MAX = 1 << 20,
	ANSWER_MAX = 200,
	SHOWN_TABLES = 20,
	PLACE_MAX = 4096,
	FIRST_PORT = 8080,
	LAST_PORT = 8180
};

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
	struct buf conninfo, dsn; /* the daemon's, and for the commands at the end */
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

static bool say_no(const char *what)
{
	fprintf(stderr, "pgherald: %s\n", what);
	return false;
}

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

	return cli_options(argc, argv, names, &rest) && cli_no_more(argc, argv, rest) &&
	       (o->help || o->dsn || say_no("--dsn says which database to look at"));
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

/* Whether what was typed has a value for this. */
static bool is_typed(const char *dsn, const char *keyword)
{
	PQconninfoOption *all = PQconninfoParse(dsn, NULL);
	bool yes = false;

	for (PQconninfoOption *p = all; p && p->keyword; p++)
		yes = yes || (!strcmp(p->keyword, keyword) && p->val && *p->val);
	PQconninfoFree(all);
	return yes;
}

/* Where the database is: what was typed, and what the environment or a service's file has said
 * besides, which the daemon and sudo do not see. Passwords never. False when the configuration
 * could not hold it. */
static bool add_place(PGconn *db, const char *user, struct buf *out)
{
	PQconninfoOption *all = PQconninfo(db);

	for (PQconninfoOption *p = all; p && p->keyword; p++)
		if (p->val && *p->val && (!p->compiled || strcmp(p->val, p->compiled) != 0) &&
		    word_in(p->keyword, "host hostaddr port dbname sslmode sslrootcert sslcrl "
					"sslnegotiation gssencmode target_session_attrs"))
			add_value(out, p->keyword, p->val);
	PQconninfoFree(all);
	if (user)
		add_value(out, "user", user);
	for (const char *p = buf_cstr(out); *p; p++)
		if ((unsigned char)*p < ' ' || *p == 0x7f)
			return say_no("--dsn: there is a control character in it");
	return buf_ok(out) || say_no("--dsn: that is too long");
}

/* The daemon's way there, and the administrator's. Over the socket the latter is postgres, unless
 * he said who; elsewhere root is nobody. */
static bool find_place(struct work *w, PGconn *db)
{
	const char *host = PQhost(db);
	bool named = is_typed(w->o->dsn, "user") || is_typed(w->o->dsn, "host") ||
		     (host && *host && *host != '/');

	return add_place(db, NULL, &w->conninfo) &&
	       add_place(db, named ? PQuser(db) : NULL, &w->dsn);
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
	fprintf(stderr, " as \"%s\". %s\n  owners: %s%s\n  fields: %s\n", p->topic, p->why,
		*p->owners ? p->owners : "nobody", p->follow ? ", followed" : "", p->fields);
}

/* 'y' or 'n'; 0 when nobody answers any more. */
static int ask(void)
{
	char answer[ANSWER_MAX];

	for (;;) {
		fputs("Watch it? [Y/n] ", stderr);
		if (!fgets(answer, sizeof(answer), stdin)) {
			fputc('\n', stderr);
			return 0;
		}
		answer[strcspn(answer, "\n")] = '\0';
		if (!*answer || word_in(answer, "y Y yes Yes YES"))
			return 'y';
		if (word_in(answer, "n N no No NO"))
			return 'n';
	}
}

static bool converse(struct work *w)
{
	size_t left;

	for (size_t i = 0; i < w->watches.n && i < NAMED_MAX;) {
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
	left = proposals_limit(&w->watches, NAMED_MAX);
	if (left)
		fprintf(stderr,
			"\nA configuration holds %d tables: %zu more could be watched, and stand "
			"at "
			"its end.\nName those that you want with --watch, or answer no to "
			"others.\n",
			NAMED_MAX, left);
	return w->watches.n || say_no("no table is left to watch: nothing is written");
}

/* --- the file ------------------------------------------------------------------------------ */

/* Whether a line of a file begins with this word; -1 with errno when it cannot be read. */
static int has_line(const char *path, const char *word)
{
	FILE *f = fopen(path, "re");
	char line[ANSWER_MAX];
	int yes = 0, error;

	if (!f)
		return -1;
	while (!yes && fgets(line, sizeof(line), f))
		yes = !strncmp(line, word, strlen(word));
	if (ferror(f))
		yes = -1;
	error = errno;
	fclose(f);
	errno = error;
	return yes;
}

static bool failed(const char *what, const char *path)
{
	fprintf(stderr, "pgherald: cannot %s %s: %s\n", what, path, strerror(errno));
	return false;
}

/* Says so, when a file has a line of this word, or cannot be read. */
static bool is_in_the_way(const char *path, const char *word, bool may_be_missing, const char *so)
{
	int has = has_line(path, word);

	if (has > 0)
		fprintf(stderr, "pgherald: %s %s\n", path, so);
	else if (has < 0 && !(may_be_missing && errno == ENOENT))
		failed("look into", path);
	else
		return false;
	return true;
}

/* Whether what stands there says more than what a package brings: it names a table, or another
 * file. Or a table is named by what is read after it. */
static bool is_edited(const char *path)
{
	static const char so[] = "is there already; --force replaces it";
	autobuf error = {0};
	char **after = NULL;
	bool edited =
		is_in_the_way(path, "[watch", true, so) || is_in_the_way(path, "include", true, so);

	buf_init(&error, 1024);
	if (!edited && !(after = conf_files_after(path, &error)))
		edited = !say_no(buf_cstr(&error));
	for (size_t i = 0; after && after[i]; i++) {
		edited = edited || is_in_the_way(after[i], "[watch", false,
						 "names tables too; --force writes beside it");
		free(after[i]);
	}
	free(after);
	return edited;
}

/* All of it, or false with errno. */
static bool write_all(int fd, const char *data, size_t len)
{
	while (len) {
		ssize_t n = write(fd, data, len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return false;
		data += n;
		len -= (size_t)n;
	}
	return true;
}

/* Owner and mode of the file that it replaces. A new one is, of root's, for the group of its
 * directory: so the daemon can read it. */
static bool dress(int fd, const char *path, const struct stat *was)
{
	autofree char *copy = xstrdup(path);
	struct stat directory;
	mode_t mask;

	if (was)
		return fchown(fd, was->st_uid, was->st_gid) == 0 &&
		       fchmod(fd, was->st_mode & 0777) == 0;
	mask = umask(0);
	umask(mask);
	if (geteuid() == 0 && stat(dirname(copy), &directory) == 0 &&
	    fchown(fd, 0, directory.st_gid) != 0)
		return false;
	return fchmod(fd, 0640 & ~mask) == 0;
}

/* Beside the old one and then in its place, so that at no moment there is half a file. */
static bool put_file(const char *path, const struct buf *text)
{
	autofree char *new = xasprintf("%s.XXXXXX", path), *old = xasprintf("%s.old", path);
	struct stat was;
	bool replaces = stat(path, &was) == 0, ok;
	int fd = mkostemp(new, O_CLOEXEC), error;

	if (fd < 0)
		return failed("write", path);
	ok = write_all(fd, text->data, text->len) && dress(fd, path, replaces ? &was : NULL) &&
	     fsync(fd) == 0;
	error = errno;
	close(fd); /* fsync has said what there is to say */
	errno = error;
	if (ok && replaces)
		ok = (unlink(old) == 0 || errno == ENOENT) && link(path, old) == 0;
	if (ok && rename(new, path) == 0)
		return true;
	failed("write", path);
	unlink(new);
	return false;
}

/* What comes out must be what the daemon takes, with what is read after it. */
static bool is_sound(const struct buf *text, const char *path)
{
	autobuf error = {0};
	struct conf *conf;

	buf_init(&error, 1024);
	conf = conf_load_with(path, text->data, text->len, &error);
	if (!conf)
		fprintf(stderr, "pgherald: the proposal would not be read: %s\n", buf_cstr(&error));
	conf_unref(conf);
	return conf != NULL;
}

static bool write_out(const struct work *w, const struct guess *g)
{
	const char *path = w->o->config;
	autobuf text = {0};

	buf_init(&text, TEXT_MAX);
	text_write(&text, g);
	if (!buf_ok(&text))
		return say_no("more tables than a configuration holds: name yours with --watch");
	if (!is_sound(&text, path))
		return false;
	if (strcmp(path, "-") != 0)
		return put_file(path, &text);
	if (fwrite(text.data, 1, text.len, stdout) == text.len && !fflush(stdout))
		return true;
	return failed("write", "standard output");
}

static void say_next(const struct options *o, const struct guess *g)
{
	autobuf text = {0};

	if (!strcmp(o->config, "-"))
		return;
	buf_init(&text, TEXT_MAX);
	text_commands(&text, g, "  ");
	fprintf(stderr, "\n%s is written. Look at it, and then:\n%s", o->config, buf_cstr(&text));
	if (strstr(buf_cstr(&text), "manage.py"))
		fputs("The first one belongs into the project's directory.\n", stderr);
}

/* Where nobody listens, for a daemon beside the first one. */
static unsigned free_port(void)
{
	unsigned port = FIRST_PORT + 1;

	for (; port < LAST_PORT; port++) {
		struct sockaddr_in address = {.sin_family = AF_INET,
					      .sin_port = htons((uint16_t)port),
					      .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
		int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), on = 1;
		bool ok = fd >= 0 &&
			  setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) == 0 &&
			  bind(fd, (struct sockaddr *)&address, sizeof(address)) == 0;

		if (fd >= 0)
			close(fd);
		if (ok)
			break;
	}
	return port;
}

/* The conversation, and what comes of it. */
static bool settle(struct work *w)
{
	const char *path = w->o->config;
	struct guess g = {.catalog = &w->catalog,
			  .django = &w->django,
			  .watches = &w->watches,
			  .roles = w->roles,
			  .groups = w->groups,
			  .conninfo = buf_cstr(&w->conninfo),
			  .dsn = buf_cstr(&w->dsn),
			  .path = word_in(path, "- " DEFAULT_CONF) ? NULL : path};

	autofree char *instance = text_instance(g.path);

	g.port = instance ? free_port() : FIRST_PORT;
	if (!converse(w) || !write_out(w, &g))
		return false;
	say_next(w->o, &g);
	return true;
}

static bool work(struct work *w)
{
	const char *path = w->o->config;
	PGconn *db;
	bool ok;

	if (!w->o->yes && !isatty(STDIN_FILENO))
		return say_no("nobody is there to ask: say --yes to take every proposal");
	if (strcmp(path, "-") != 0 && !w->o->force && is_edited(path))
		return false;
	for (const char *p = path; *p; p++)
		if ((unsigned char)*p < ' ')
			return say_no("--config: there is a control character in it");
	db = connection_open_admin(w->o->dsn);
	ok = db && find_place(w, db) && look(w, db);
	PQfinish(db);
	if (!ok || !choose(w))
		return false;
	report(w);
	return settle(w);
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
	buf_init(&w.conninfo, PLACE_MAX);
	buf_init(&w.dsn, PLACE_MAX);
	ok = work(&w);
	buf_free(&w.conninfo);
	buf_free(&w.dsn);
	for (size_t i = 0; w.roles && w.roles[i]; i++)
		free(w.roles[i]);
	free(w.roles);
	proposals_free(&w.watches);
	catalog_free(&w.catalog);
	return ok ? 0 : 1;
}
