/* SPDX-License-Identifier: PostgreSQL
 * See tls.h. */
#include "config.h"
#include "source/tls.h"

#include <errno.h>
#include <limits.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/address.h"

struct tls {
	SSL_CTX *context;
	SSL *ssl;
};

static void say(char *why, size_t room, const char *what)
{
	unsigned long code = ERR_peek_last_error();
	const char *reason = code ? ERR_reason_error_string(code) : NULL;

	snprintf(why, room, "TLS: %s%s%s", what, reason ? ": " : "", reason ? reason : "");
}

static bool trust(SSL_CTX *context, const char *ca_file)
{
	SSL_CTX_set_verify(context, SSL_VERIFY_PEER, NULL);
	return SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION) &&
	       (*ca_file ? SSL_CTX_load_verify_locations(context, ca_file, NULL)
			 : SSL_CTX_set_default_verify_paths(context)) == 1;
}

/* The certificate must be this host's. */
static bool name(SSL *ssl, const char *host)
{
	struct address address;
	autofree char *copy = xstrdup(host); /* OpenSSL's macro wants it writable */

	if (address_parse(&address, host, strlen(host)))
		return X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), host) == 1;
	return SSL_set_tlsext_host_name(ssl, copy) == 1 && SSL_set1_host(ssl, host) == 1;
}

struct tls *tls_new(int fd, const char *host, const char *ca_file, char *why, size_t room)
{
	struct tls *t = xcalloc(1, sizeof(*t));

	ERR_clear_error();
	t->context = SSL_CTX_new(TLS_client_method());
	if (!t->context || !trust(t->context, ca_file)) {
		say(why, room, *ca_file ? ca_file : "no certificates to trust");
	} else if (!(t->ssl = SSL_new(t->context)) || !SSL_set_fd(t->ssl, fd) ||
		   !name(t->ssl, host)) {
		say(why, room, "no connection can be made");
	} else {
		SSL_set_mode(t->ssl,
			     SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
		return t;
	}
	tls_free(t);
	return NULL;
}

int tls_handshake(struct tls *t, char *why, size_t room)
{
	int n, error;
	long verdict;

	ERR_clear_error();
	n = SSL_connect(t->ssl);
	if (n == 1)
		return 0;
	error = SSL_get_error(t->ssl, n);
	if (error == SSL_ERROR_WANT_READ)
		return TLS_WANTS_READ;
	if (error == SSL_ERROR_WANT_WRITE)
		return TLS_WANTS_WRITE;
	verdict = SSL_get_verify_result(t->ssl);
	if (verdict != X509_V_OK)
		snprintf(why, room, "TLS: the server's certificate: %s",
			 X509_verify_cert_error_string(verdict));
	else
		say(why, room, "no handshake");
	return -1;
}

/* A result of OpenSSL as one of the socket. */
static ssize_t result(struct tls *t, int n)
{
	int error = n > 0 ? SSL_ERROR_NONE : SSL_get_error(t->ssl, n);

	if (n > 0)
		return n;
	if (error == SSL_ERROR_ZERO_RETURN)
		return 0;
	errno = error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE ? EAGAIN : ECONNRESET;
	return -1;
}

ssize_t tls_read(struct tls *t, void *data, size_t room)
{
	ERR_clear_error();
	return result(t, SSL_read(t->ssl, data, room > INT_MAX ? INT_MAX : (int)room));
}

ssize_t tls_write(struct tls *t, const void *data, size_t len)
{
	ERR_clear_error();
	return result(t, SSL_write(t->ssl, data, len > INT_MAX ? INT_MAX : (int)len));
}

bool tls_pending(const struct tls *t)
{
	return SSL_has_pending(t->ssl);
}

void tls_free(struct tls *t)
{
	if (!t)
		return;
	SSL_free(t->ssl);
	SSL_CTX_free(t->context);
	free(t);
}
