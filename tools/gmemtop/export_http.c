// SPDX-License-Identifier: GPL-2.0-only
/*
 * Metrics over HTTP.  One connection is one request, and what it may take of
 * time, memory and company is bounded, as anybody may be at the other end.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <microhttpd.h>
#include <netdb.h>
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "export.h"

#define CONNECTIONS_MAX		32
/* Seconds for a whole request, its answer included. */
#define CONNECTION_SECONDS	10
/* Bytes for the head of a request and of its answer. */
#define CONNECTION_MEMORY	16384

#define TYPE_TEXT	"text/plain; version=0.0.4; charset=utf-8"
#define TYPE_OPEN	"application/openmetrics-text; version=1.0.0; charset=utf-8"
#define TYPE_PLAIN	"text/plain; charset=utf-8"
#define TYPE_HTML	"text/html; charset=utf-8"

static const char index_page[] =
	"<!DOCTYPE html>\n<html lang=\"en\">\n<head><title>gmemtop</title></head>\n"
	"<body>\n<h1>gmemtop " GMEM_VERSION "</h1>\n"
	"<p>Private memory of this host's KVM guests, for Prometheus.</p>\n"
	"<p><a href=\"/metrics\">Metrics</a></p>\n</body>\n</html>\n";

/* A connection that is open, so that the main thread can end it. */
struct visitor {
	int fd;
	time_t since;
};

struct server {
	struct exporter *exporter;
	pthread_mutex_t lock;
	struct visitor visitors[CONNECTIONS_MAX];
};

static time_t now_seconds(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec;
}

/* Takes over @response, which is NULL if memory ran out. */
static enum MHD_Result answer(struct MHD_Connection *connection,
			      unsigned int status, const char *type,
			      struct MHD_Response *response)
{
	enum MHD_Result result;

	if (!response)
		return MHD_NO;
	MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, type);
	MHD_add_response_header(response, MHD_HTTP_HEADER_CONNECTION, "close");
	MHD_add_response_header(response, MHD_HTTP_HEADER_CACHE_CONTROL,
				"no-store");
	if (status == MHD_HTTP_METHOD_NOT_ALLOWED)
		MHD_add_response_header(response, MHD_HTTP_HEADER_ALLOW,
					"GET, HEAD");
	result = MHD_queue_response(connection, status, response);
	MHD_destroy_response(response);
	return result;
}

static enum MHD_Result answer_text(struct MHD_Connection *connection,
				   unsigned int status, const char *type,
				   const char *text)
{
	return answer(connection, status, type,
		      MHD_create_response_from_buffer(strlen(text),
						      (void *)text,
						      MHD_RESPMEM_PERSISTENT));
}

/*
 * An exposition while it is sent.  It can have megabytes: neither copy it, nor
 * give the memory back and ask for it again at each scrape.
 */
struct loan {
	struct exporter *exporter;
	char *text;
	size_t room;
};

static void end_loan(void *arg)
{
	struct loan *loan = arg;
	struct exporter *exporter = loan->exporter;

	if (exporter->text) {
		free(loan->text);
	} else {
		exporter->text = loan->text;
		exporter->room = loan->room;
	}
	free(loan);
}

static struct MHD_Response *lend(struct exporter *exporter)
{
	struct loan *loan = malloc(sizeof(*loan));
	struct MHD_Response *response;

	if (!loan)
		return NULL;
	*loan = (struct loan) {
		.exporter = exporter,
		.text = exporter->text,
		.room = exporter->room,
	};
	response = MHD_create_response_from_buffer_with_free_callback_cls(exporter->len,
									  loan->text,
									  end_loan,
									  loan);
	if (response)
		exporter->text = NULL;
	else
		free(loan);
	return response;
}

static enum MHD_Result answer_metrics(struct server *server,
				      struct MHD_Connection *connection)
{
	struct exporter *exporter = server->exporter;
	enum export_format format;

	format = export_accepts(MHD_lookup_connection_value(connection,
							    MHD_HEADER_KIND,
							    MHD_HTTP_HEADER_ACCEPT));
	if (exporter_sample(exporter, format))
		return answer_text(connection, MHD_HTTP_SERVICE_UNAVAILABLE,
				   TYPE_PLAIN,
				   "The host cannot be sampled; gmemtop's standard error says why.\n");
	return answer(connection, MHD_HTTP_OK,
		      format == EXPORT_OPENMETRICS ? TYPE_OPEN : TYPE_TEXT,
		      lend(exporter));
}

static enum MHD_Result on_request(void *arg, struct MHD_Connection *connection,
				  const char *url, const char *method,
				  const char *version, const char *data,
				  size_t *len, void **context)
{
	struct server *server = arg;

	if (strcmp(method, MHD_HTTP_METHOD_GET) &&
	    strcmp(method, MHD_HTTP_METHOD_HEAD))
		return answer_text(connection, MHD_HTTP_METHOD_NOT_ALLOWED,
				   TYPE_PLAIN, "GET and HEAD only.\n");
	if (!strcmp(url, "/metrics"))
		return answer_metrics(server, connection);
	if (!strcmp(url, "/"))
		return answer_text(connection, MHD_HTTP_OK, TYPE_HTML,
				   index_page);
	return answer_text(connection, MHD_HTTP_NOT_FOUND, TYPE_PLAIN,
			   "Not found; metrics are at /metrics.\n");
}

static void on_connection(void *arg, struct MHD_Connection *connection,
			  void **context, enum MHD_ConnectionNotificationCode code)
{
	const union MHD_ConnectionInfo *info;
	struct server *server = arg;
	struct visitor *visitor;
	size_t i;

	pthread_mutex_lock(&server->lock);
	if (code == MHD_CONNECTION_NOTIFY_CLOSED) {
		/* Called before the descriptor is closed and used again. */
		visitor = *context;
		if (visitor)
			visitor->fd = -1;
	} else {
		info = MHD_get_connection_info(connection,
					       MHD_CONNECTION_INFO_CONNECTION_FD);
		for (i = 0; info && i < CONNECTIONS_MAX; i++) {
			visitor = &server->visitors[i];
			if (visitor->fd >= 0)
				continue;
			visitor->fd = info->connect_fd;
			visitor->since = now_seconds();
			*context = visitor;
			break;
		}
	}
	pthread_mutex_unlock(&server->lock);
}

/* MHD's own timeout is for those who say nothing, not for those who dawdle. */
static void end_dawdlers(struct server *server)
{
	time_t now = now_seconds();
	size_t i;

	pthread_mutex_lock(&server->lock);
	for (i = 0; i < CONNECTIONS_MAX; i++) {
		struct visitor *visitor = &server->visitors[i];

		if (visitor->fd >= 0 &&
		    now - visitor->since > CONNECTION_SECONDS)
			shutdown(visitor->fd, SHUT_RDWR);
	}
	pthread_mutex_unlock(&server->lock);
}

static void wait_for_end(struct server *server)
{
	const struct timespec second = { .tv_sec = 1 };
	sigset_t ends;

	sigemptyset(&ends);
	sigaddset(&ends, SIGINT);
	sigaddset(&ends, SIGTERM);
	while (sigtimedwait(&ends, NULL, &second) < 0)
		end_dawdlers(server);
}

/* "127.0.0.1:9753" or "[::1]:9753", as it is after the socket is bound. */
static void bound_address(int fd, char *dst, size_t size)
{
	struct sockaddr_storage addr;
	socklen_t len = sizeof(addr);
	char host[64], port[16];

	snprintf(dst, size, "?");
	if (getsockname(fd, (struct sockaddr *)&addr, &len) ||
	    getnameinfo((struct sockaddr *)&addr, len, host, sizeof(host), port,
			sizeof(port), NI_NUMERICHOST | NI_NUMERICSERV))
		return;
	snprintf(dst, size, addr.ss_family == AF_INET6 ? "[%s]:%s" : "%s:%s",
		 host, port);
}

static void be_silent(void *arg, const char *fmt, va_list ap)
{
}

int export_serve(struct exporter *exporter, int socket,
		 const struct export_user *user)
{
	struct server server = {
		.exporter = exporter,
		.lock = PTHREAD_MUTEX_INITIALIZER,
	};
	struct MHD_Daemon *daemon;
	char address[96];
	int status = GMEM_EXIT_OK;
	size_t i;

	for (i = 0; i < CONNECTIONS_MAX; i++)
		server.visitors[i].fd = -1;
	daemon = MHD_start_daemon(MHD_USE_AUTO_INTERNAL_THREAD | MHD_USE_ERROR_LOG,
				  0, NULL, NULL, on_request, &server,
				  MHD_OPTION_EXTERNAL_LOGGER, be_silent, NULL,
				  MHD_OPTION_LISTEN_SOCKET, socket,
				  MHD_OPTION_CONNECTION_LIMIT,
				  (unsigned int)CONNECTIONS_MAX,
				  MHD_OPTION_CONNECTION_TIMEOUT,
				  (unsigned int)CONNECTION_SECONDS,
				  MHD_OPTION_CONNECTION_MEMORY_LIMIT,
				  (size_t)CONNECTION_MEMORY,
				  MHD_OPTION_NOTIFY_CONNECTION, on_connection,
				  &server, MHD_OPTION_END);
	if (!daemon) {
		gmem_err("cannot start the HTTP server: %s; check the limits of processes and open files",
			 strerror(errno));
		close(socket);
		return GMEM_EXIT_FAIL;
	}
	bound_address(socket, address, sizeof(address));
	printf("Serving http://%s/metrics as user %s, without capabilities.\n",
	       address, user->name);
	if (gmem_flush(stdout))
		status = GMEM_EXIT_FAIL;
	else
		wait_for_end(&server);
	MHD_stop_daemon(daemon);
	return status;
}
