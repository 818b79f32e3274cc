/* SPDX-License-Identifier: PostgreSQL
 * conf: every complaint with its place, every setting settable, and a printed configuration that
 * reads back the same. */
#include "config.h"
#include "unit.h"

#include <dirent.h>
#include <sys/stat.h>
#include <unistd.h>

#include "conf.h"
#include "net/download.h"
#include "wire/dialect.h"
#include "wire/form.h"

/* The least there is, in three lines. */
#define LEAST "[role r]\nreceives = all\n[auth a]\n"
#define WATCH "[watch w]\ntable = public.t\nfields = id\n"

static struct conf *parse(const char *text, struct buf *error)
{
	buf_init(error, 100000);
	return conf_parse("f", text, strlen(text), error);
}

static void expect_error(const char *text, const char *want)
{
	struct buf error;
	struct conf *c = parse(text, &error);

	if (c || strcmp(buf_cstr(&error), want) != 0)
		fail_msg("%s\nsaid: %s\nnot:  %s", text, buf_cstr(&error), want);
	buf_free(&error);
}

TEST(complaints_of_lines)
{
	expect_error("x = 1\n", "f:1: x stands before the first section");
	expect_error("\n  x\n", "f:2: an indented line continues a value, and there is none "
				"above it");
	expect_error("[log]\n  x\n", "f:2: an indented line continues a value, and there is none "
				     "above it");
	expect_error("[log]\nlevel\n", "f:2: expected \"name = value\"");
	expect_error("# c\n[log]\nlevle = info\n", "f:3: unknown setting levle in [log]");
	expect_error("[log]\nlevel = info\n; c\nlevel = info\n",
		     "f:4: level is set twice, first in line 2");
	expect_error("[log]\nlevel = info\n[role r]\nreceives = all\n[log]\nlevel = info\n",
		     "f:6: level is set twice, first in line 2");
	expect_error("[lgo]\n", "f:1: unknown section [lgo]");
	expect_error("[log x]\n", "f:1: [log] takes no name");
	expect_error("[log\n", "f:1: a section is written [name] on a line of its own");
	expect_error("[log] x\n", "f:1: a section is written [name] on a line of its own");
	expect_error("[role]\n", "f:1: [role NAME] needs a name of letters, digits, - and _");
	expect_error("[role a b]\n", "f:1: [role NAME] needs a name of letters, digits, - and _");
	expect_error("[role r]\nreceives = all\n[role r]\n", "f:3: [role r] is there twice");
}

TEST(complaints_of_values)
{
	expect_error("[server]\nworkers = many\n", "f:2: workers must be a number, not \"many\"");
	expect_error("[server]\nworkers = -1\n", "f:2: workers must be a number, not \"-1\"");
	expect_error("[server]\nworkers = 257\n", "f:2: workers must be between 0 and 256");
	expect_error("[server]\nworkers =\n", "f:2: workers must be a number, not \"\"");
	expect_error("[server]\nring_events = 0\n",
		     "f:2: ring_events must be between 1 and 10000000");
	expect_error("[server]\nsend_buffer = 1KB\n",
		     "f:2: send_buffer must be a size such as 512KiB, not \"1KB\"");
	expect_error("[server]\nflush = 2s\n",
		     "f:2: flush must be between 0 and 1000 milliseconds");
	expect_error("[server]\ndrain = 1 s\n",
		     "f:2: drain must be a time such as 250ms, 30s or 24h, not \"1 s\"");
	expect_error("[server]\nlisten = a:1,,b:2\n", "f:2: listen: a comma without an item");
	expect_error("[server]\nlisten = a:1,\n", "f:2: listen: a comma without an item");
	expect_error("[server]\nlisten = a:1,\n  \n b:2,\n",
		     "f:2: listen: a comma without an item"); /* where the value begins */
	expect_error("[log]\nformat = xml\n", "f:2: format must be text or json, not \"xml\"");
	expect_error("[log]\nlevel = INFO\n",
		     "f:2: level must be error or warning or info or debug, not \"INFO\"");
	expect_error("[route r]\npath = /\nquery_token = true\n",
		     "f:3: query_token must be yes or no, not \"true\"");
	expect_error("[server]\nring_bytes = 1\n", "f:2: ring_bytes must be at least 65536");
}

#define JWT  "[auth j]\npreset = jwt\nkey_file = /k\n"
#define NONE "[auth n]\npreset = none\nrole = r\n"

TEST(complaints_of_doors)
{
	expect_error(
		LEAST "preset = jwt\n",
		"f:3: [auth a] preset = jwt needs key_file, a file with the key that verifies: "
		"PEM, a JWK set, or a secret; or jwks_url");
	expect_error(LEAST "token_table = public.users\nuser_table = public.users\n",
		     "f:3: [auth a] token_table and user_table are the same table");
	expect_error(LEAST "user_table = public.u\nrole_from = groups\ngroup_table = public.g\n"
			   "membership_table = public.u\n",
		     "f:3: [auth a] user_table and membership_table are the same table");
	expect_error(LEAST "preset = simplejwt\nkey_file = key\n",
		     "f:3: [auth a] key_file must begin with /");
	expect_error(LEAST "preset = jwt\nkey_file = /k\nalgorithm = none\n",
		     "f:3: [auth a] algorithm: none is none that is known here");
	expect_error(LEAST "preset = jwt\nkey_file = /k\nclaims = a\n",
		     "f:3: [auth a] claims: \"a\" is not NAME=VALUE");
	expect_error(LEAST "preset = jwt\nkey_file = /k\nuser_claim =\n",
		     "f:3: [auth a] user_claim is empty");
	expect_error(LEAST "places = authorisation\n",
		     "f:3: [auth a] places: \"authorisation\" is not authorization, query, "
		     "query:NAME, cookie:NAME, header:NAME or protocol");
	expect_error(LEAST "places = query, query:a, query:b, query:c, query:d, query:e, query:f\n",
		     "f:3: [auth a] places has more than 6");
	expect_error(LEAST "preset = none\nrole = r\nplaces = query\n",
		     "f:3: [auth a] places is not for preset = none");
	expect_error(LEAST "preset = session\nsecret_key_file = /key\nplaces = query\n",
		     "f:3: [auth a] places is not for preset = session");
	expect_error(LEAST "preset = apikey\nkey_file = keys\n",
		     "f:3: [auth a] key_file must begin with /");
	expect_error(LEAST "preset = apikey\nusers = claims\n",
		     "f:3: [auth a] users = claims needs a key_file, whose lines say who has which "
		     "role");
	expect_error(LEAST "[auth k]\npreset = apikey\nplaces = query\n[route r]\npath = /r\n"
			   "auth = a, k\n",
		     "f:7: [route r] auth: nothing is left for [auth k] behind [auth a]");
	expect_error(LEAST "[server]\ncors_origins = https://a.example, null\n",
		     "f:5: [server] cors_origins: \"null\" is what every page has that hides "
		     "where it is from");
	expect_error(LEAST "users = claims\n", "f:3: [auth a] users is not for preset = drf");
	expect_error(LEAST "preset = session\nsecret_key_file = /key\nusers = claims\n",
		     "f:3: [auth a] users is not for preset = session");
	expect_error(LEAST "preset = jwt\nkey_file = /k\nusers = claims\nuser_table = public.u\n",
		     "f:3: [auth a] user_table is not asked: users = claims");
	expect_error(LEAST "preset = supabase\nkey_file = /k\nuser_active = active\n",
		     "f:3: [auth a] user_active is not asked: users = claims");
	expect_error(LEAST "preset = apikey\nkey_file = /k\nusers = claims\nrole_from = staff\n",
		     "f:3: [auth a] role_from is not asked: users = claims");
	expect_error(LEAST "preset = jwt\nkey_file = /k\nrole_claim = roles\n",
		     "f:3: [auth a] role_claim is not asked: users = table");
	expect_error(LEAST "issuer = x\n", "f:3: [auth a] issuer is not for preset = drf");
	expect_error(LEAST "preset = none\n",
		     "f:3: [auth a] preset = none needs role = the name of a [role]");
	expect_error("[role r]\nreceives = own\n" NONE,
		     "f:3: [auth n] role: [role r] receives what is its user's own, and nobody is "
		     "known here");
	expect_error(LEAST NONE "[route x]\npath = /\nauth = n, a\n",
		     "f:7: [route x] auth: nothing is left for [auth a] behind [auth n]");
	expect_error(LEAST JWT "[route x]\npath = /\nauth = a, j\n",
		     "f:7: [route x] auth: nothing is left for [auth j] behind [auth a]");
	expect_error(LEAST JWT "[auth k]\npreset = jwt\nkey_file = /l\nissuer = i\n"
			       "[route x]\npath = /\nauth = j, k\n",
		     "f:11: [route x] auth: nothing is left for [auth k] behind [auth j]");
	expect_error(LEAST "[route x]\npath = /\nauth = a, a\n",
		     "f:4: [route x] auth: nothing is left for [auth a] behind [auth a]");
}

TEST(doors_in_order)
{
	struct buf error;
	struct conf *c = parse(LEAST JWT NONE "[auth k]\npreset = jwt\nkey_file = /l\nissuer = i\n"
					      "[route x]\npath = /\nauth = k, j, a, n\n",
			       &error);
	unsigned door;

	assert_non_null(c);
	assert_true(conf_find_door(&c->routes[0], "a", &door));
	assert_int_equal(door, 2);
	assert_false(conf_find_door(&c->routes[0], "z", &door));
	conf_unref(c);
	buf_free(&error);
}

#define ROUTE LEAST "[route x]\npath = /x\n"

TEST(what_a_route_cannot_carry)
{
	autobuf want = {.max = 1000};

	for (size_t i = 0; i < N_DIALECTS; i++)
		buf_printf(&want, "%s%s", i ? " or " : "f:6: dialect must be ", dialect_names[i]);
	buf_str(&want, ", not \"klingon\"");
	expect_error(ROUTE "dialect = klingon\n", buf_cstr(&want));
	buf_clear(&want);
	buf_str(&want, "f:4: [route x] transports: there is no telepathy; there are ");
	for (enum wire_transport t = 0; t < N_TRANSPORTS; t++)
		buf_printf(&want, "%s%s", t ? ", " : "", transport_name(t));
	expect_error(ROUTE "transports = sse, telepathy\n", buf_cstr(&want));
	expect_error(ROUTE "transports = sse, sse\n",
		     "f:4: [route x] transports: sse is there twice");
	expect_error(ROUTE "dialect = raw\ntransports = sse, ndjson\n",
		     "f:4: [route x] ndjson cannot carry the dialect raw: there is no place for an "
		     "id beside the document; ids = no would do");
	expect_error(
		ROUTE "ids = no\ntransports = poll\n",
		"f:4: [route x] poll cannot carry the dialect django: its clients come back with "
		"an id each time");
	expect_error(ROUTE "dialect = chat\ntxid = yes\n",
		     "f:4: [route x] txid: the dialect chat has no place for it");
	expect_error(ROUTE "transports = ndjson\ntest_mode = yes\n",
		     "f:4: [route x] test_mode is told in sse");
}

#define CHANNELS "channels = chat:{session_id}\n"
#define CHATTY	 "[role r]\nreceives = own\nchannels = *\n[auth a]\n"

/* A path with variables and the channels that they lead to: each contradiction has its words. */
TEST(what_a_route_leads_to)
{
	expect_error(CHATTY "[route x]\npath = /a/{b\n",
		     "f:5: [route x] path has a brace and no variable: that is a whole segment, "
		     "{name}, of at most 32 letters, digits and _");
	expect_error(CHATTY "[route x]\npath = /{session_id}\n" CHANNELS,
		     "f:5: [route x] path /healthz is the daemon's own");
	expect_error(CHATTY "[route x]\npath = /c/{session_id}/\n" CHANNELS
			    "[route y]\npath = /c/b/\n",
		     "f:8: [route y] path /c/b/ is [route x]'s");
	expect_error(CHATTY "[route x]\npath = /c/{session_id}/{session_id}\n" CHANNELS,
		     "f:5: [route x] path: {session_id} is there twice");
	expect_error(CHATTY "[route x]\npath = /c/{session_id}/{b}\n" CHANNELS,
		     "f:5: [route x] path: no channel uses {b}");
	expect_error(CHATTY "[route x]\npath = /c/{id}/\nchannels = c:{id}\n",
		     "f:5: [route x] path: {id} is the user's");
	expect_error(
		CHATTY "[route x]\npath = /c/{s}/\nchannels = c:{s}, {t}\n",
		"f:5: [route x] channels: nothing fills {t}: it is no variable of the path, none "
		"of the query ({?t}), and not id, user or role");
	expect_error(CHATTY "[route x]\npath = /c/\nchannels = c:{?token}\n",
		     "f:5: [route x] channels: {?token} means something else");
	expect_error(CHATTY "[route x]\npath = /c/\nchannels = a b\n",
		     "f:5: [route x] channels: \"a b\" is no name of a channel, which has letters, "
		     "digits, any of _.:@- and {variables}");
	expect_error(
		LEAST "[route x]\npath = /c/{session_id}/\n" CHANNELS,
		"f:4: [route x] channels: no role that may use it may hear any; see channels in "
		"[role]");
	expect_error(CHATTY "[route x]\npath = /c/\nkind = stats\ntypes = a\n",
		     "f:5: [route x] channels and types are for kind = events");
}

TEST(a_route_is_found_by_its_path)
{
	struct pattern_piece v[PATTERN_VARIABLES_MAX];
	struct buf error;
	struct conf *c = parse(CHATTY "[route x]\npath = /c/{session_id}/\n" CHANNELS
				      "[route y]\npath = /d/\nchannels = {id}, a.{?q}.{role}\n",
			       &error);

	assert_non_null(c);
	assert_ptr_equal(conf_route_at(c, "/c/7.a/", v), &c->routes[0]);
	assert_int_equal(v[0].len, 3);
	assert_ptr_equal(conf_route_at(c, "/d/", v), &c->routes[1]);
	assert_null(conf_route_at(c, "/c//", v));
	assert_true(c->routes[1].own_too && !c->routes[0].own_too);
	assert_true(conf_route_asks(&c->routes[1], "q") && !conf_route_asks(&c->routes[1], "id"));
	conf_unref(c);
	buf_free(&error);
}

/* What a route has when it does not say so: whatever can carry its dialect. */
TEST(what_a_route_carries)
{
	static const struct {
		const char *text;
		unsigned carried;
	} table[] = {
		{"", (1U << N_TRANSPORTS) - 1},
		{"dialect = raw\n", 1U << TRANSPORT_SSE | 1U << TRANSPORT_POLL},
		{"dialect = raw\nids = no\n", ((1U << N_TRANSPORTS) - 1) & ~(1U << TRANSPORT_POLL)},
		{"transports = poll, sse\n", 1U << TRANSPORT_SSE | 1U << TRANSPORT_POLL},
	};

	for (size_t i = 0; i < sizeof(table) / sizeof(*table); i++) {
		autobuf text = {.max = 1000};
		struct buf error;
		struct conf *c;

		buf_printf(&text, ROUTE "%s", table[i].text);
		c = parse(buf_cstr(&text), &error);
		assert_non_null(c);
		assert_int_equal(c->routes[0].carried, table[i].carried);
		assert_int_equal(c->routes[0].first,
				 strstr(table[i].text, "= poll") ? TRANSPORT_POLL : TRANSPORT_SSE);
		conf_unref(c);
		buf_free(&error);
	}
}

TEST(complaints_of_the_whole)
{
	expect_error("", "f:0: there is no [role] section: nobody would hear anything");
	expect_error("[role r]\nreceives = all\n",
		     "f:2: there is no [auth] section: nobody could connect");
	expect_error("[server]\nlisten =\n" LEAST, "f:5: [server] listen names no address");
	expect_error("[role r]\nevents = x\n[auth a]\n", "f:3: [role r] has no receives");
	expect_error(LEAST "[listen connected]\nchannel = c\n",
		     "f:4: [listen connected] that name is the daemon's own");
	expect_error(LEAST "[listen stream-error]\nchannel = c\n",
		     "f:4: [listen stream-error] that name is the daemon's own");
	expect_error(LEAST "[listen a]\nchannel = c\n[watch a]\ntable = public.t\nfields = id\n",
		     "f:4: [listen a] is the name of a [watch], whose types only its table's "
		     "changes have");
	expect_error(LEAST "[watch system]\ntable = public.t\nfields = id\n",
		     "f:4: [watch system] that name is the daemon's own");
	expect_error(LEAST "[route x]\nkind = stats\n", "f:5: [route x] has no path");
	expect_error(LEAST "[route x]\npath = x\n", "f:4: [route x] path must begin with /");
	expect_error(LEAST "[route x]\npath = /\nauth = b\n",
		     "f:4: [route x] auth: there is no [auth b]");
	expect_error(LEAST "[route x]\npath = /\nroles = r, q\n",
		     "f:4: [route x] roles: there is no [role q]");
	expect_error(LEAST "preset = session\n",
		     "f:3: [auth a] preset = session needs secret_key_file, a file with the "
		     "SECRET_KEY that Django signs with");
	expect_error(LEAST "preset = session\nsecret_key_file = key\n",
		     "f:3: [auth a] secret_key_file must begin with /");
	expect_error(LEAST "preset = session\nsecret_key_file = /key\ncookie = a b\n",
		     "f:3: [auth a] cookie is no name of a cookie");
	expect_error(LEAST "preset = session\nsecret_key_file = /key\ncookie =\n",
		     "f:3: [auth a] cookie is no name of a cookie");
	expect_error(LEAST "secret_key_file = /key\n",
		     "f:3: [auth a] secret_key_file is not for preset = drf");
	expect_error(LEAST "[watch w]\ntable = t\nfields = id\n",
		     "f:4: [watch w] table: expected \".\" after the schema (write schema.table), "
		     "at the end");
}

TEST(strange_bytes)
{
	static const char nul[] = "[log]\nlevel = info\0\n";
	struct buf error, text;
	struct conf *c;

	buf_init(&error, 1000);
	assert_null(conf_parse("f", nul, sizeof(nul) - 1, &error));
	assert_string_equal(buf_cstr(&error), "f:2: a NUL byte");
	buf_free(&error);
	buf_init(&text, 1 << 20);
	buf_str(&text, LEAST "[database]\nconninfo = ");
	for (int i = 0; i < 70000; i++)
		buf_char(&text, 'x');
	c = parse(buf_cstr(&text), &error);
	assert_null(c);
	assert_string_equal(buf_cstr(&error), "f:5: conninfo is longer than 65536 bytes");
	buf_free(&error);
	buf_free(&text);
	c = parse("[role r]\r\nreceives = all\r\n[auth a]\r\n", &error); /* from Windows */
	assert_non_null(c);
	assert_int_equal(c->roles[0].receives, RECEIVES_ALL);
	conf_unref(c);
	c = parse("\xef\xbb\xbf" LEAST, &error); /* with the mark that its editors begin with */
	assert_non_null(c);
	conf_unref(c);
	expect_error(LEAST "\xef\xbb\xbf[log]\n", "f:4: expected \"name = value\"");
	buf_free(&error);
}

/* The reason does not get lost in it. */
TEST(a_long_wrong_value)
{
	char text[2000];
	struct buf error;

	memset(text, 'x', sizeof(text));
	text[sizeof(text) - 1] = '\0';
	memcpy(text, "[server]\nworkers = ", 19);
	assert_null(parse(text, &error));
	assert_non_null(strstr(buf_cstr(&error), "f:2: workers must be a number, not \"xxxx"));
	assert_true(error.len < 200);
	buf_free(&error);
}

TEST(files)
{
	struct buf error;

	buf_init(&error, 1000);
	assert_null(conf_load("/nowhere/pgherald.conf", &error));
	assert_string_equal(buf_cstr(&error), "/nowhere/pgherald.conf: No such file or directory");
	buf_free(&error);
}

/* A directory for one configuration. */
static char place[] = "test_conf.XXXXXX";

static void put(const char *name, const char *text)
{
	autofree char *path = xasprintf("%s/%s", place, name);
	FILE *f = fopen(path, "w");

	assert_non_null(f);
	assert_true(fputs(text, f) >= 0);
	assert_int_equal(fclose(f), 0);
}

static void remove_all(const char *directory)
{
	DIR *d = opendir(directory);
	struct dirent *e;

	assert_non_null(d);
	while ((e = readdir(d))) {
		autofree char *path = xasprintf("%s/%s", directory, e->d_name);

		unlink(path);
	}
	closedir(d);
	assert_int_equal(rmdir(directory), 0);
}

static struct conf *load(const char *name, const char *want)
{
	autofree char *path = xasprintf("%s/%s", place, name);
	autobuf error = {0};
	struct conf *c;

	buf_init(&error, 10000);
	c = conf_load(path, &error);
	if (want)
		assert_null(c);
	else if (!c)
		fail_msg("%s", buf_cstr(&error));
	if (want && !strstr(buf_cstr(&error), want))
		fail_msg("said: %s\nnot:  %s", buf_cstr(&error), want);
	return c;
}

TEST(files_of_conf_d)
{
	autofree char *directory = NULL, *pipe_name = NULL;
	struct conf *c;
	char name[32];

	assert_non_null(mkdtemp(place));
	directory = xasprintf("%s/conf.d", place);
	put("pgherald.conf", LEAST "[server]\nlisten = 127.0.0.1:1\ndrain = 1s\n");
	conf_unref(load("pgherald.conf", NULL)); /* no conf.d */
	put("conf.d", "");
	load("pgherald.conf", "conf.d: Not a directory");
	assert_int_equal(unlink(directory), 0);
	assert_int_equal(mkdir(directory, 0700), 0);
	put("conf.d/20-b.conf", "[server]\nlisten = 127.0.0.1:3\n");
	put("conf.d/10-a.conf", "# first\n[server]\nlisten = 127.0.0.1:2\ndrain = 2s\n"
				"[role other]\nreceives = none\n");
	put("conf.d/.hidden.conf", "rubbish");
	put("conf.d/old.conf.bak", "rubbish");
	c = load("pgherald.conf", NULL);
	assert_string_equal(c->listen.items[0], "127.0.0.1:3"); /* the last one's */
	assert_int_equal(c->listen.n, 1);
	assert_int_equal(c->drain_ms, 2000);
	assert_int_equal(c->n_roles, 2);
	conf_unref(c);
	put("shop.conf", LEAST);
	c = load("shop.conf", NULL); /* another daemon's */
	assert_int_equal(c->n_roles, 1);
	conf_unref(c);

	put("conf.d/30-c.conf", "[role other]\nreceives = all\n");
	load("pgherald.conf", "/conf.d/30-c.conf:1: [role other] is there twice");
	put("conf.d/30-c.conf", "\n[server]\ndrain = 1s\ndrain = 1s\n");
	load("pgherald.conf", "/conf.d/30-c.conf:4: drain is set twice, first in line 3");
	put("conf.d/30-c.conf", "drain = 1s\n"); /* the section before it is of another file */
	load("pgherald.conf", "/conf.d/30-c.conf:1: drain stands before the first section");
	put("conf.d/30-c.conf", "\n[watch x]\ntable = public.x\nfields = a->b\n");
	load("pgherald.conf", "/conf.d/30-c.conf:2: [watch x] ");
	put("conf.d/30-c.conf", "[log]\nfile = relative\n");
	load("pgherald.conf", "/pgherald.conf:");
	put("conf.d/30-c.conf", "");
	pipe_name = xasprintf("%s/pipe.conf", directory);
	assert_int_equal(mkfifo(pipe_name, 0600), 0);
	load("pgherald.conf", "/conf.d/pipe.conf: not a regular file");
	assert_int_equal(unlink(pipe_name), 0);
	for (int i = 0; i < 98; i++) {
		snprintf(name, sizeof(name), "conf.d/x%d.conf", i);
		put(name, "");
	}
	load("pgherald.conf", "conf.d: more than 100 files");
	remove_all(directory);
	remove_all(place);
}

TEST(continued_values_and_lists)
{
	struct buf error;
	struct conf *c = parse("[server]\nlisten = 127.0.0.1:1,\n# comment\n\t127.0.0.1:2 ,\n"
			       "  ; indented comment\n\n  127.0.0.1:3\n" LEAST WATCH
			       "[database]\nconninfo =\n  host=/tmp\n  dbname=x\n",
			       &error);

	if (!c)
		fail_msg("%s", buf_cstr(&error));
	assert_int_equal(c->listen.n, 3);
	assert_string_equal(c->listen.items[0], "127.0.0.1:1");
	assert_string_equal(c->listen.items[1], "127.0.0.1:2");
	assert_string_equal(c->listen.items[2], "127.0.0.1:3");
	assert_string_equal(c->conninfo, "host=/tmp dbname=x");
	conf_unref(c);
	buf_free(&error);
}

TEST(defaults)
{
	struct buf error;
	struct conf *c = parse(LEAST WATCH, &error);
	char *topics = conf_topics(c);

	assert_int_equal(c->refs, 1);
	assert_int_equal(c->listen.n, 1);
	assert_string_equal(c->listen.items[0], "127.0.0.1:8080");
	assert_int_equal(c->ring_events, 20000);
	assert_int_equal(c->ring_bytes, 64 << 20);
	assert_int_equal(c->send_buffer, 32768);
	assert_int_equal(c->flush_ms, 5);
	assert_int_equal(c->drain_ms, 5000);
	assert_int_equal(c->request_ms, 10000);
	assert_int_equal(c->poll_ms, 1000);
	assert_int_equal(c->recheck_ms, 30000);
	assert_int_equal(c->retention_ms, 86400000);
	assert_string_equal(c->login, "pgherald");
	assert_int_equal(c->n_routes, 2);
	assert_string_equal(c->routes[0].path, "/api/v1/sse/events/");
	assert_int_equal(c->routes[0].kind, ROUTE_EVENTS);
	assert_string_equal(c->routes[0].auth.items[0], "a");
	assert_int_equal(c->routes[0].keepalive_ms, 30000);
	assert_string_equal(c->routes[1].path, "/api/v1/sse/stats/");
	assert_int_equal(c->routes[1].kind, ROUTE_STATS);
	assert_string_equal(c->watches[0].parsed->table, "t");
	assert_string_equal(topics, "[\"w\"]");
	assert_ptr_equal(conf_ref(c), c);
	conf_unref(c);
	conf_unref(c);
	conf_unref(NULL);
	free(topics);
	buf_free(&error);
}

static void print(const char *text, struct buf *out)
{
	struct buf error;
	struct conf *c = parse(text, &error);

	if (!c)
		fail_msg("%s\n%s", buf_cstr(&error), text);
	buf_init(out, 1 << 20);
	conf_print(c, out);
	assert_true(buf_ok(out));
	conf_unref(c);
	buf_free(&error);
}

static void expect_round_trip(const char *text)
{
	struct buf once, twice;

	print(text, &once);
	print(buf_cstr(&once), &twice);
	assert_string_equal(buf_cstr(&once), buf_cstr(&twice));
	buf_free(&once);
	buf_free(&twice);
}

TEST(printing_reads_back)
{
	expect_round_trip(LEAST);
	expect_round_trip(LEAST WATCH);
	expect_round_trip("[server]\nflush = 7ms\nlisten = a:1,\n b:2\n" LEAST WATCH
			  "owners = id, x<-public.t.a.b\nleave =\n id\n"
			  "[route x]\npath = /x\nroles = r\nkind = stats\nquery_token = no\n");
}

TEST(secrets_are_not_printed)
{
	struct buf out;

	print(LEAST "[database]\nconninfo = password=hunter2\n", &out);
	assert_null(strstr(buf_cstr(&out), "hunter2"));
	assert_non_null(strstr(buf_cstr(&out), "conninfo = \xe2\x80\xa6\n"));
	buf_free(&out);
	expect_round_trip(LEAST "[database]\nconninfo = password=secret\n");
}

/* Values that are not the default, tried in turn until one is taken. */
static const char *const candidates[] = {
	"{id}",	     "plain",	 "sse",	     "192.0.2.1", "forwarded",	 "0660",	 "7",
	"7s",	     "7ms",	 "128KiB",   "json",	  "debug",	 "stats",	 "groups",
	"no",	     "own",	 "/x/y",     "r",	  "a",		 "public.other", "id",
	"other",     "poll",	 "notify",   "knox",	  "z",		 "RS256",	 "a=b",
	"claims",    "yes",	 "header:K", "SSE",	  "https://h/k", "crlf",	 "pubsub",
	"redis://z", "beginning"};

static char *word(char **at)
{
	char *start = *at;

	*at += strcspn(*at, " \n");
	if (**at)
		*(*at)++ = '\0';
	return start;
}

/* Every setting of the table can be set, and its value is what is printed. */
TEST(every_setting_is_settable)
{
	struct buf list;
	char *line, *next;
	unsigned n = 0;

	buf_init(&list, 1 << 16);
	conf_list_settings(&list);
	for (line = list.data; *line; line = next) {
		char *end = strchr(line, '\n'), *section, *setting, *at = line;
		bool set = false;

		*end = '\0';
		next = end + 1;
		section = word(&at);
		setting = word(&at);
		if (!downloads_possible() && !strncmp(setting, "jwks_", 5))
			continue;
		for (size_t i = 0; i < sizeof(candidates) / sizeof(*candidates) && !set; i++) {
			static const struct {
				const char *section, *name, *rest;
			} named[] = {{"role", " z", "receives = all\n"},
				     {"auth", " z", ""},
				     {"watch", " z", "table = public.z\nfields = id\n"},
				     {"listen", " z", "channel = z\n"},
				     {"route", " z", "path = /z\n"}};
			static const struct {
				const char *setting, *rest;
			} at_home[] = {{"secret_key_file", "preset = session\n"},
				       {"key_file", "preset = jwt\n"},
				       {"algorithm", "preset = jwt\nkey_file = /k\n"},
				       {"issuer", "preset = jwt\nkey_file = /k\n"},
				       {"audience", "preset = jwt\nkey_file = /k\n"},
				       {"claims", "preset = jwt\nkey_file = /k\n"},
				       {"users", "preset = jwt\nkey_file = /k\n"},
				       {"channels_claim", "preset = jwt\nkey_file = /k\n"},
				       {"jwks_url", "preset = jwt\n"},
				       {"jwks_ca_file", "preset = jwt\njwks_url = https://h/k\n"},
				       {"role", "preset = none\n"}};
			/* of a [listen] that is not of the database */
			static const char *const elsewhere[] = {
				"server", "password_file", "ca_file",	 "from",   "to", "group",
				"start",  "payload_field", "type_field", "journal"};
			const char *name = "", *rest = "";
			char want[200], skip[40];
			struct buf text, error, out;
			struct conf *c;

			for (size_t k = 0; k < sizeof(named) / sizeof(*named); k++)
				if (!strcmp(named[k].section, section)) {
					name = named[k].name;
					rest = named[k].rest;
				}
			for (size_t k = 0; k < sizeof(at_home) / sizeof(*at_home); k++)
				if (!strcmp(section, "auth") &&
				    !strcmp(setting, at_home[k].setting))
					rest = at_home[k].rest;
			for (size_t k = 0; k < sizeof(elsewhere) / sizeof(*elsewhere); k++)
				if (!strcmp(section, "listen") && !strcmp(setting, elsewhere[k]))
					rest = "kind = stream\nserver = rediss://h\nfrom = a\n"
					       "[publish]\nroles = pgherald\n";
			if (!strcmp(setting, "properties_file"))
				rest = "kind = kafka\nserver = h\nfrom = a\n";
			if (!strcmp(section, "listen") && !strcmp(setting, "kind"))
				rest = "server = redis://h\nfrom = a\n";
			if (!strcmp(setting, "txid"))
				rest = "path = /z\ndialect = plain\n";
			if (!strcmp(setting, "opens"))
				rest = "path = /z\nkind = ticket\nauth = a\n[auth t]\n"
				       "preset = ticket\n[route r]\npath = /r\nauth = t, a\n";
			if (!strcmp(setting, "follow"))
				rest = "table = public.z\nowners = a<-public.b.c.d\nfields = id\n";
			buf_init(&text, 10000);
			buf_printf(&text, LEAST "[%s%s]\n%s = %s\n", section, name, setting,
				   candidates[i]);
			snprintf(skip, sizeof(skip), "%s = ", setting);
			while (*rest) { /* what is required besides */
				size_t len = strcspn(rest, "\n") + 1;

				if (strncmp(rest, skip, strlen(skip)) != 0)
					buf_add(&text, rest, len);
				rest += len;
			}
			c = parse(buf_cstr(&text), &error);
			if (c && strcmp(candidates[i], at) != 0) {
				buf_init(&out, 1 << 20);
				conf_print(c, &out);
				snprintf(want, sizeof(want), "\n%s = %s\n", setting,
					 !strcmp(setting, "conninfo") || !strcmp(setting, "server")
						 ? "\xe2\x80\xa6"
					 : !strcmp(candidates[i], "128KiB") ? "131072"
									    : candidates[i]);
				set = strstr(buf_cstr(&out), want) != NULL;
				buf_free(&out);
				if (set)
					expect_round_trip(buf_cstr(&text));
			}
			conf_unref(c);
			buf_free(&error);
			buf_free(&text);
		}
#if !defined(HAVE_HIREDIS) || !defined(HAVE_RDKAFKA)
		set |= !strcmp(section, "listen");
#endif
		if (!set)
			fail_msg("[%s] %s cannot be set to anything", section, setting);
		n++;
	}
	assert_true(n > 40);
	buf_free(&list);
}

TEST(what_a_restart_needs)
{
	struct buf error, names;
	struct conf *a = parse(LEAST, &error), *b, *c;

	buf_free(&error);
	b = parse(LEAST "[server]\nworkers = 3\nflush = 7ms\nring_events = 5\n", &error);
	buf_free(&error);
	c = parse(LEAST "[log]\nlevel = debug\n[database]\npoll = 2s\n", &error);
	buf_free(&error);
	buf_init(&names, 1000);
	conf_restart_needed(a, b, &names);
	assert_string_equal(buf_cstr(&names), "workers, ring_events");
	buf_clear(&names);
	conf_restart_needed(a, c, &names);
	assert_string_equal(buf_cstr(&names), "");
	buf_free(&names);
	conf_unref(a);
	conf_unref(b);
	conf_unref(c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(complaints_of_lines),
		cmocka_unit_test(complaints_of_values),
		cmocka_unit_test(complaints_of_doors),
		cmocka_unit_test(doors_in_order),
		cmocka_unit_test(what_a_route_cannot_carry),
		cmocka_unit_test(what_a_route_leads_to),
		cmocka_unit_test(a_route_is_found_by_its_path),
		cmocka_unit_test(what_a_route_carries),
		cmocka_unit_test(complaints_of_the_whole),
		cmocka_unit_test(strange_bytes),
		cmocka_unit_test(a_long_wrong_value),
		cmocka_unit_test(files),
		cmocka_unit_test(files_of_conf_d),
		cmocka_unit_test(continued_values_and_lists),
		cmocka_unit_test(defaults),
		cmocka_unit_test(printing_reads_back),
		cmocka_unit_test(secrets_are_not_printed),
		cmocka_unit_test(every_setting_is_settable),
		cmocka_unit_test(what_a_restart_needs),
	};

	return cmocka_run_group_tests_name("conf", tests, NULL, NULL);
}
