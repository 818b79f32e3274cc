/* SPDX-License-Identifier: PostgreSQL
 * What a result says of an error. See conn.h. */
#include "config.h"
#include "pg/conn_parts.h"

#include <string.h>

const char *conn_first_line(const char *message, char *buf, size_t size)
{
	size_t len = message ? strcspn(message, "\n") : 0;

	if (!len)
		return "no reason given";
	if (len >= size)
		len = size - 1;
	memcpy(buf, message, len);
	buf[len] = '\0';
	return buf;
}

static const char *first_line(const PGresult *r, const char *message)
{
	static _Thread_local char line[256];

	return r ? conn_first_line(message, line, sizeof(line)) : "connection lost";
}

const char *conn_error(const PGresult *r)
{
	return first_line(r, PQresultErrorMessage(r));
}

const char *conn_words(const PGresult *r)
{
	return first_line(r, PQresultErrorField(r, PG_DIAG_MESSAGE_PRIMARY));
}

bool conn_error_is(const PGresult *r, const char *states)
{
	const char *state = PQresultErrorField(r, PG_DIAG_SQLSTATE);

	while (state && *states) {
		size_t len = strcspn(states, " ");

		if (!strncmp(state, states, len))
			return true;
		states += len + (states[len] == ' ');
	}
	return false;
}

bool conn_lost_statement(const PGresult *r)
{
	const char *state = PQresultErrorField(r, PG_DIAG_SQLSTATE);

	return state && (!strcmp(state, "26000") || !strcmp(state, "42P05"));
}

bool conn_ends(const PGresult *r)
{
	const char *severity = PQresultErrorField(r, PG_DIAG_SEVERITY_NONLOCALIZED);

	return severity && (!strcmp(severity, "FATAL") || !strcmp(severity, "PANIC"));
}
