/* SPDX-License-Identifier: PostgreSQL
 * See auth.h: JSON Web Tokens, and who they say it is. Must not log a token. */
#include "config.h"
#include "pg/auth.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "auth/jwt.h"
#include "base/log.h"
#include "hub/subscription.h"

#define COMPLAIN_EVERY_MS 10000
#define USER_ID_MAX	  255 /* bytes */
#define ROLE_MAX	  255

/* Keys or settings that do not fit refuse everybody: that must be seen, though not once for each.
 * That a token has ended is nobody's mistake. */
static void complain(struct auth *a, const struct conf_auth *section, const char *what)
{
	uint64_t now = loop_now_ms(a->conn.loop);

	if (now < a->complain_at_ms)
		return;
	a->complain_at_ms = now + COMPLAIN_EVERY_MS;
	log_warn("auth %s: a token is %s", section->name, what);
}

/* "NAME=VALUE", each of which must be so. */
static bool claims_hold(const struct jwt *t, const struct conf_auth *section)
{
	for (size_t i = 0; i < section->claims.n; i++) {
		const char *item = section->claims.items[i], *value = strrchr(item, '=');
		autofree char *path = xstrndup(item, (size_t)(value - item));
		autobuf text = {0};

		buf_init(&text, JWT_MAX);
		if (!jwt_claim_text(t, path, &text) || strcmp(buf_cstr(&text), value + 1) != 0)
			return false;
	}
	return true;
}

/* A name that can stand in the log and be compared with owners. */
static char *user_of(const struct jwt *t, const struct conf_auth *section)
{
	autobuf text = {0};

	buf_init(&text, USER_ID_MAX);
	if (!jwt_claim_text(t, section->user_claim, &text) || !text.len ||
	    strlen(text.data) != text.len)
		return NULL;
	return buf_steal(&text);
}

static bool is_role(struct scan value, const char *role)
{
	autobuf text = {0};

	buf_init(&text, ROLE_MAX);
	return scan_string(value, &text) && buf_ok(&text) && !strcmp(buf_cstr(&text), role);
}

/* The first of the configuration's roles that the claim is, or has in its list; "" for none. */
static const char *role_of(const struct auth *a, const struct jwt *t,
			   const struct conf_auth *section)
{
	struct scan claim;

	if (!jwt_claim(t, section->role_claim, &claim))
		return "";
	for (size_t i = 0; i < a->conf->n_roles; i++) {
		struct scan list = claim, one;

		if (is_role(claim, a->conf->roles[i].name))
			return a->conf->roles[i].name;
		while (*claim.at == '[' && scan_next(&list, &one))
			if (is_role(one, a->conf->roles[i].name))
				return a->conf->roles[i].name;
	}
	return "";
}

/* The claim's strings, one after the other. */
static bool add_channels(struct scan claim, struct buf *out)
{
	struct scan list = claim, one;

	if (*claim.at == '"')
		return scan_string(claim, out) && buf_ok(out);
	while (*claim.at == '[' && scan_next(&list, &one)) {
		buf_char(out, ' ');
		if (!scan_string(one, out))
			return false;
	}
	return *claim.at == '[' && buf_ok(out);
}

/* Who has a claim for channels hears those; who lacks it, none. False when it is no list of them.
 */
static bool grant(struct principal *who, const struct jwt *t, const struct conf_auth *section)
{
	autobuf text = {.max = JWT_MAX};
	struct scan claim;

	if (!*section->channels_claim)
		return true;
	if (jwt_claim(t, section->channels_claim, &claim) && !add_channels(claim, &text))
		return false;
	if (strlen(buf_cstr(&text)) == text.len)
		who->granted = subscription_grants(buf_cstr(&text));
	return who->granted != NULL;
}

static struct principal *principal_of(const struct auth *a, const struct jwt *t,
				      const struct conf_auth *section, const struct timespec *now)
{
	char *user = claims_hold(t, section) ? user_of(t, section) : NULL;
	int64_t end_ms = (t->exp + (int64_t)(section->leeway_ms / 1000)) * 1000;
	int64_t now_ms = (int64_t)now->tv_sec * 1000 + now->tv_nsec / 1000000;
	struct principal *who;

	if (!user)
		return NULL;
	who = xcalloc(1, sizeof(*who));
	who->user_id = user;
	who->role = xstrdup(section->users == USERS_CLAIMS ? role_of(a, t, section) : "");
	principal_expires(who, end_ms > now_ms ? (uint64_t)(end_ms - now_ms) : 1);
	if (grant(who, t, section))
		return who;
	principal_free(who);
	return NULL;
}

enum auth_verified auth_verify_jwt(struct auth *a, const struct conf_auth *section,
				   const char *token, struct principal **ret)
{
	const struct jwt_rule rule = {
		.issuer = *section->issuer ? section->issuer : NULL,
		.audience = *section->audience ? section->audience : NULL,
		.leeway_s = section->leeway_ms / 1000,
	};
	struct timespec now;
	struct jwt t = {0};
	enum jwt_verdict v;
	enum jwks_answer answer = JWKS_VERDICT;

	clock_gettime(CLOCK_REALTIME, &now);
	if (*section->jwks_url)
		answer = auth_keys_verify(&a->keys, section, &rule, token, now.tv_sec, &t, &v);
	else if (section->jwks)
		v = jwt_verify(section->jwks, &rule, token, strlen(token), now.tv_sec, &t);
	else
		return VERIFIED_NOT;
	if (answer != JWKS_VERDICT)
		return answer == JWKS_AWAY ? VERIFIED_AWAY : VERIFIED_LATER;
	if (v != JWT_OK) {
		if (v != JWT_EXPIRED && v != JWT_MALFORMED)
			complain(a, section, jwt_verdict_name(v));
		return VERIFIED_NOT;
	}
	*ret = principal_of(a, &t, section, &now);
	if (!*ret)
		complain(a, section, "signed, and without the claims that are wanted");
	jwt_clear(&t);
	return *ret ? VERIFIED : VERIFIED_NOT;
}
