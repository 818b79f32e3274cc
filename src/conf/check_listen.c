/* SPDX-License-Identifier: PostgreSQL
 * See parser.h: what a [listen] section says about where it listens. */
#include "config.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "conf/parser.h"
#include "conf/value.h"
#include "wire/dialect.h"
#include "wire/pattern.h"
#include "wire/redis_url.h"

#define FROM_MAX      16  /* names */
#define FROM_NAME_MAX 249 /* bytes, as Kafka has it */
#define GROUP_MAX     200
#define LISTENS_MAX   16 /* threads */

/* The first setting that means nothing for this kind, and is set all the same; or NULL. */
static const char *meaningless(const struct conf_listen *l)
{
	bool notify = l->kind == LISTEN_NOTIFY, pubsub = l->kind == LISTEN_PUBSUB;
	const struct {
		bool set;
		const char *name;
	} all[] = {
		{!notify && *l->channel, "channel"},
		{notify && *l->server, "server"},
		{notify && *l->password_file, "password_file"},
		{notify && *l->ca_file, "ca_file"},
		{l->kind != LISTEN_KAFKA && *l->properties_file, "properties_file"},
		{notify && l->from.n, "from"},
		{notify && *l->to, "to"},
		{notify && l->journal, "journal"},
		{(notify || pubsub) && l->start != LISTEN_END, "start"},
		{(notify || pubsub) && strcmp(l->group, "pgherald") != 0, "group"},
		{l->kind != LISTEN_STREAM && strcmp(l->payload_field, "data") != 0,
		 "payload_field"},
		{(notify || pubsub) && strcmp(l->type_field, "type") != 0, "type_field"},
	};

	for (size_t i = 0; i < sizeof(all) / sizeof(*all); i++)
		if (all[i].set)
			return all[i].name;
	return NULL;
}

/* Without the library that speaks to it this program cannot listen there. */
static const char *missing_library(int kind)
{
#ifndef HAVE_HIREDIS
	if (kind == LISTEN_PUBSUB || kind == LISTEN_STREAM)
		return "hiredis";
#endif
#ifndef HAVE_RDKAFKA
	if (kind == LISTEN_KAFKA)
		return "librdkafka";
#endif
	(void)kind;
	return NULL;
}

/* What the files must be called, and a URL of Redis must say; in words that quote nothing, or NULL.
 */
static const char *server_complaint(const struct conf_listen *l, struct redis_url *url)
{
	const char *why;

	if (*l->password_file && *l->password_file != '/')
		return "has a password_file, which must begin with /";
	if (*l->ca_file && *l->ca_file != '/')
		return "has a ca_file, which must begin with /";
	if (*l->properties_file && *l->properties_file != '/')
		return "has a properties_file, which must begin with /";
	if (l->kind == LISTEN_KAFKA || !strcmp(l->server, VALUE_CROSSED_OUT))
		return NULL;
	why = redis_url_parse(url, l->server);
	if (!why && !url->tls && *l->ca_file)
		why = "is without TLS (rediss://), and ca_file means nothing";
	if (!why && *url->password && *l->password_file)
		why = "has a password, and there is a password_file";
	return why;
}

static bool check_server(struct parser *p, struct conf_listen *l, unsigned line)
{
	struct redis_url url;
	const char *why;

	if (!*l->server && l->kind != LISTEN_KAFKA && getenv("REDIS_URL")) {
		free(l->server);
		l->server = xstrdup(getenv("REDIS_URL"));
	}
	if (!*l->server)
		return parser_fail(p, line, "[listen %s] has no server%s", l->name,
				   l->kind != LISTEN_KAFKA ? ", and REDIS_URL is not set" : "");
	why = server_complaint(l, &url);
	explicit_bzero(&url, sizeof(url));
	return !why || parser_fail(p, line, "[listen %s] server %s", l->name, why);
}

static bool check_from(struct parser *p, const struct conf_listen *l, unsigned line)
{
	if (!l->from.n || l->from.n > FROM_MAX)
		return parser_fail(p, line, "[listen %s] from must have 1 to %d names", l->name,
				   FROM_MAX);
	for (size_t i = 0; i < l->from.n; i++)
		if (strlen(l->from.items[i]) > FROM_NAME_MAX)
			return parser_fail(p, line,
					   "[listen %s] from: \"%.80s…\" has more than %d bytes",
					   l->name, l->from.items[i], FROM_NAME_MAX);
	return true;
}

static bool check_to(struct parser *p, struct conf_listen *l, unsigned line)
{
	const char *why = NULL;

	if (*l->to && l->owner_keys.n)
		return parser_fail(p, line,
				   "[listen %s] has both to and owner_keys: a message goes to a "
				   "channel or to users",
				   l->name);
	if (!*l->to && !l->owner_keys.n) {
		free(l->to);
		l->to = xstrdup("{channel}");
	}
	if (*l->to && strcmp(l->to, "*") != 0)
		why = strstr(l->to, "{?") ? "there is no query here"
					  : pattern_channel_complaint(l->to);
	return !why || parser_fail(p, line, "[listen %s] to: %s", l->name, why);
}

static bool check_group(struct parser *p, const struct conf_listen *l, unsigned line)
{
	size_t len = strspn(l->group, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
				      "0123456789._:-");

	return (len && len <= GROUP_MAX && !l->group[len]) ||
	       parser_fail(p, line, "[listen %s] group must be 1 to %d letters, digits and ._:-",
			   l->name, GROUP_MAX);
}

/* Or each message would be refused. */
static bool check_journal(struct parser *p, const struct conf_listen *l, unsigned line)
{
	const struct conf_list *roles = &p->conf->publishers;

	if (!l->journal)
		return true;
	for (size_t i = 0; i < roles->n; i++)
		if (!strcmp(roles->items[i], p->conf->login))
			return true;
	return parser_fail(p, line,
			   "[listen %s] publishes as %s, which [publish] roles does not name",
			   l->name, p->conf->login);
}

static bool is_watch(const struct conf *c, const char *name)
{
	for (size_t i = 0; i < c->n_watches; i++)
		if (!strcmp(c->watches[i].name, name))
			return true;
	return false;
}

bool check_listen(struct parser *p, struct conf_listen *l, unsigned line)
{
	static const char *const kinds[] = {"notify", "pubsub", "stream", "kafka"};
	const char *name = meaningless(l), *library = missing_library(l->kind);

	if (dialect_reserves(l->name))
		return parser_fail(p, line, "[listen %s] that name is the daemon's own", l->name);
	if (is_watch(p->conf, l->name))
		return parser_fail(p, line,
				   "[listen %s] is the name of a [watch], whose types only its "
				   "table's changes have",
				   l->name);
	if (name)
		return parser_fail(p, line, "[listen %s] %s means nothing with kind = %s", l->name,
				   name, kinds[l->kind]);
	if (library)
		return parser_fail(p, line, "[listen %s] this pgherald is built without %s",
				   l->name, library);
	if (l->kind == LISTEN_NOTIFY)
		return (*l->channel && strlen(l->channel) <= 63) ||
		       parser_fail(p, line, "[listen %s] channel must have 1 to 63 bytes", l->name);
	if (p->conf->n_listens > LISTENS_MAX)
		return parser_fail(p, line, "there are more than %d [listen] sections",
				   LISTENS_MAX);
	return check_server(p, l, line) && check_from(p, l, line) && check_to(p, l, line) &&
	       check_group(p, l, line) && check_journal(p, l, line);
}
