/* SPDX-License-Identifier: PostgreSQL
 * See upgrade.h. */
#include "config.h"
#include "web/upgrade.h"

#include <string.h>
#include <strings.h>

#include "wire/negotiate.h"

#define HEADER_MAX (16 * 1024) /* bytes of all headers of a name together: a head has no more */

struct joined_header {
	const char *name;
	struct buf text;
};

static enum MHD_Result join(void *arg, enum MHD_ValueKind kind, const char *name, const char *value)
{
	struct joined_header *h = arg;

	(void)kind;
	if (value && !strcasecmp(name, h->name))
		buf_printf(&h->text, "%s%s", h->text.len ? "," : "", value);
	return MHD_YES;
}

struct buf upgrade_header_list(struct MHD_Connection *c, const char *name)
{
	struct joined_header h = {.name = name};

	buf_init(&h.text, HEADER_MAX);
	MHD_get_connection_values(c, MHD_HEADER_KIND, join, &h);
	return h.text;
}

static bool lists(struct MHD_Connection *c, const char *name, const char *item)
{
	autobuf list = upgrade_header_list(c, name);

	return negotiate_lists(buf_cstr(&list), item);
}

/* The client means WebSocket: what is wrong with its handshake. */
static unsigned check(struct upgrade *u, struct MHD_Connection *c, bool http10, struct buf *why)
{
	autobuf version = upgrade_header_list(c, "Sec-WebSocket-Version");
	autobuf key = upgrade_header_list(c, "Sec-WebSocket-Key");

	if (http10 || !lists(c, "Upgrade", "websocket") || !lists(c, "Connection", "Upgrade")) {
		buf_str(why, "A WebSocket begins with HTTP/1.1, \"Connection: Upgrade\" and "
			     "\"Upgrade: websocket\"; a proxy on the way has taken that away.");
		return MHD_HTTP_UPGRADE_REQUIRED;
	}
	if (strcmp(buf_cstr(&version), "13") != 0) {
		buf_str(why, "Only version 13 of WebSocket is spoken here.");
		return MHD_HTTP_UPGRADE_REQUIRED;
	}
	if (!handshake_accept(buf_cstr(&key), u->accept)) {
		buf_str(why, "Sec-WebSocket-Key must be 16 bytes in base64.");
		return MHD_HTTP_BAD_REQUEST;
	}
	u->websocket = true;
	u->protocol = lists(c, "Sec-WebSocket-Protocol", UPGRADE_PROTOCOL);
	return 0;
}

unsigned upgrade_read(struct upgrade *u, struct MHD_Connection *c, bool served, bool http10,
		      struct buf *why)
{
	autobuf upgrade = upgrade_header_list(c, "Upgrade");
	bool websocket = negotiate_lists(buf_cstr(&upgrade), "websocket") ||
			 MHD_lookup_connection_value(c, MHD_HEADER_KIND, "Sec-WebSocket-Key");

	if (served && websocket)
		return check(u, c, http10, why);
	if (!websocket && !negotiate_upgrades(buf_cstr(&upgrade)))
		return 0;
	buf_str(why, served ? "No other protocol is spoken here but WebSocket."
			    : "No other protocol is spoken here.");
	return MHD_HTTP_UPGRADE_REQUIRED;
}
