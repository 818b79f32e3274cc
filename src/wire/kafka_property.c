/* SPDX-License-Identifier: PostgreSQL
 * See kafka_property.h. */
#include "config.h"
#include "wire/kafka_property.h"

#include <string.h>

static const char *const allowed[] = {
	"broker.address.family",
	"client.id",
	"client.rack",
	"connections.max.idle.ms",
	"heartbeat.interval.ms",
	"isolation.level",
	"metadata.max.age.ms",
	"partition.assignment.strategy",
	"reconnect.backoff.max.ms",
	"reconnect.backoff.ms",
	"sasl.kerberos.keytab",
	"sasl.kerberos.principal",
	"sasl.kerberos.service.name",
	"sasl.mechanism",
	"sasl.mechanisms",
	"sasl.password",
	"sasl.username",
	"security.protocol",
	"session.timeout.ms",
	"socket.keepalive.enable",
	"socket.timeout.ms",
	"ssl.ca.location",
	"ssl.certificate.location",
	"ssl.cipher.suites",
	"ssl.crl.location",
	"ssl.endpoint.identification.algorithm",
	"ssl.key.location",
	"ssl.key.password",
};

/* Of the line at `text`, without the space around it. */
static bool copy(char *to, size_t room, const char *text, size_t len)
{
	while (len && strchr(" \t\r", *text)) {
		text++;
		len--;
	}
	while (len && strchr(" \t\r", text[len - 1]))
		len--;
	if (!len || len >= room)
		return false;
	memcpy(to, text, len);
	to[len] = '\0';
	return true;
}

static const char *read_line(struct kafka_property *ret, const char *text, size_t len)
{
	const char *equals = memchr(text, '=', len);
	size_t name = equals ? (size_t)(equals - text) : len;

	if (!equals || !copy(ret->name, sizeof(ret->name), text, name) ||
	    !copy(ret->value, sizeof(ret->value), equals + 1, len - name - 1))
		return "a line is not name = value, of at most 63 and 2047 bytes";
	for (size_t i = 0; i < sizeof(allowed) / sizeof(*allowed); i++)
		if (!strcmp(allowed[i], ret->name))
			return NULL;
	return "a property is none of those that pgherald.conf(5) lists";
}

bool kafka_property_next(const char **text, struct kafka_property *ret, const char **ret_why)
{
	*ret_why = NULL;
	while (**text) {
		const char *line = *text;
		size_t len = strcspn(line, "\n");
		size_t space = strspn(line, " \t\r");

		*text += len + (line[len] == '\n');
		if (space >= len || line[space] == '#')
			continue;
		*ret_why = read_line(ret, line, len);
		return !*ret_why;
	}
	return false;
}
