/* SPDX-License-Identifier: PostgreSQL
 * See forwarded.h. */
#include "config.h"
#include "auth/forwarded.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

bool forwarded_trust_parse(struct forwarded_trust *t, char *const *items, size_t n,
			   const char **ret_bad)
{
	*t = (struct forwarded_trust){.ranges = xcalloc(n, sizeof(*t->ranges))};
	for (size_t i = 0; i < n; i++) {
		if (!strcmp(items[i], "unix:"))
			t->local = true;
		else if (address_range_parse(&t->ranges[t->n], items[i]))
			t->n++;
		else {
			*ret_bad = items[i];
			forwarded_trust_free(t);
			return false;
		}
	}
	return true;
}

void forwarded_trust_free(struct forwarded_trust *t)
{
	free(t->ranges);
	*t = (struct forwarded_trust){0};
}

bool forwarded_trusts(const struct forwarded_trust *t, const struct address *peer)
{
	if (address_is_none(peer))
		return t->local;
	for (size_t i = 0; i < t->n; i++)
		if (address_in_range(peer, &t->ranges[i]))
			return true;
	return false;
}

static void add_hop(struct forwarded *f, struct address hop)
{
	if (f->n == FORWARDED_MAX)
		memmove(f->hops, f->hops + 1, --f->n * sizeof(f->hops[0]));
	f->hops[f->n++] = hop;
}

/* An address with or without a port: "192.0.2.1:80", "[2001:db8::1]:80", "2001:db8::1". */
static struct address hop_of(const char *s, size_t len)
{
	struct address a = {{0}};
	const char *end;

	if (len && *s == '[') {
		end = memchr(s, ']', len);
		if (end && (end + 1 == s + len || end[1] == ':'))
			(void)!address_parse(&a, s + 1, (size_t)(end - s) - 1);
		return a;
	}
	if (address_parse(&a, s, len))
		return a;
	end = memchr(s, ':', len); /* one colon: a port behind an IPv4 address */
	if (end && !memchr(end + 1, ':', len - (size_t)(end - s) - 1))
		(void)!address_parse(&a, s, (size_t)(end - s));
	return a;
}

static void trim(const char **s, size_t *len)
{
	while (*len && (**s == ' ' || **s == '\t')) {
		++*s;
		--*len;
	}
	while (*len && ((*s)[*len - 1] == ' ' || (*s)[*len - 1] == '\t'))
		--*len;
}

static void add_x_for(struct forwarded *f, const char *s)
{
	for (;;) {
		const char *item = s;
		size_t n = strcspn(s, ","), len = n;

		trim(&item, &len);
		if (len) /* empty elements of a list do not count (RFC 9110 section 5.6.1) */
			add_hop(f, hop_of(item, len));
		if (!s[n])
			return;
		s += n + 1;
	}
}

/* The end of a token or a quoted string (RFC 7239 section 4) that begins at `s`; NULL when it has
 * none, or something stands right behind it. */
static const char *value_end(const char *s)
{
	const char *end = s + strcspn(s, ",; \t\"");

	if (*s == '"') {
		for (end = s + 1; *end && *end != '"'; end++)
			if (*end == '\\' && end[1])
				end++;
		if (!*end++)
			return NULL;
	}
	return !*end || strchr(",; \t", *end) ? end : NULL;
}

/* One element, for=…;by=…;proto=…: the end of it. What has no for= is a hop of which nothing is
 * said; so is one with a quote too many, which a client may have written so that what its proxy
 * adds stands in quotes: that is read for itself, from the next comma behind the first quote on. */
static const char *add_element(struct forwarded *f, const char *s)
{
	static const char between[] = "; \t";
	struct address hop = {{0}};
	const char *quote = NULL;
	bool any = false;

	for (s += strspn(s, between); *s && *s != ','; s += strspn(s, between)) {
		size_t name = strcspn(s, "=,; \t\"");
		const char *value = s + name + (s[name] == '='), *end;
		size_t len;

		any = true;
		if (!quote && s[name] == '=' && *value == '"')
			quote = value;
		end = value_end(value);
		if (!end || s[name] == '"') {
			hop = (struct address){{0}};
			s = quote ? quote + 1 : value;
			s += strcspn(s, ",");
			break;
		}
		len = (size_t)(end - value);
		if (len >= 2 && *value == '"') {
			value++;
			len -= 2;
		}
		if (name == 3 && s[name] == '=' && !strncasecmp(s, "for", 3))
			hop = hop_of(value, len);
		s = end;
	}
	if (any)
		add_hop(f, hop);
	return s;
}

void forwarded_add(struct forwarded *f, enum forwarded_header kind, const char *value)
{
	if (kind == FORWARDED_X_FOR) {
		add_x_for(f, value);
		return;
	}
	while (*value) {
		value = add_element(f, value);
		value += *value == ',';
	}
}

struct address forwarded_client(const struct forwarded *f, const struct forwarded_trust *t,
				const struct address *peer)
{
	struct address client = *peer;

	if (!forwarded_trusts(t, peer))
		return client;
	for (size_t i = f->n; i-- > 0;) {
		if (address_is_none(&f->hops[i]))
			break;
		client = f->hops[i];
		if (!forwarded_trusts(t, &client))
			return client;
	}
	return (struct address){{0}};
}
