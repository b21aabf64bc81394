// SPDX-License-Identifier: GPL-2.0-only
/*
 * Metrics over HTTP.  One connection is one request, and what it may take of
 * time, memory and company is bounded, as anybody may be at the other end: who
 * dawdles makes room for who comes.
 *
 * MHD runs all of a request in one thread of its own; the main thread ends
 * those whose time is over.  Both know the visitors, under a lock.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <malloc.h>
#include <microhttpd.h>
#include <netdb.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "export/http.h"
#include "gmem_clock.h"
#include "gmem_common.h"
#include "gmem_daemon.h"

/* Beyond these, each that comes is a reason to end one that dawdles. */
#define VISITORS_MAX		32
/* MHD stops to take any at this many; those that are ended go at once. */
#define CONNECTIONS_MAX		64
/* For the head of a request, and for taking the answer. */
#define HEAD_MS			2000
#define ANSWER_MS		10000
/* An answer of this age may be given up for another, if nobody reads it. */
#define FRESH_MS		1000
/* And if somebody does, but slowly. */
#define SLOW_MS			3000
/* How often the main thread looks for those whose time is over. */
#define TICK_MS			250
/* Looks at which somebody had read nothing, until that is no chance. */
#define UNREAD_TICKS		3
/* Expositions on loan at a time, of each format. */
#define LOANS_MAX		2
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

/**
 * struct exposition - an answer, and those who take it
 * @text: it
 * @len: its bytes
 * @room: bytes that @text has memory for
 * @loans: answers that are being sent from it
 * @since: when it was sampled
 * @dropped: nobody else gets it, and it goes with the last loan
 */
struct exposition {
	char *text;
	size_t len;
	size_t room;
	int loans;
	uint64_t since;
	bool dropped;
};

/**
 * struct visitor - a connection that is open
 * @fd: its socket, -1 for none
 * @since: when it came; once it has asked, when it did
 * @asked: the head of its request is complete
 * @ended: it was told to go
 * @unread: for how many ticks there was no room to send it more
 * @hurried: others wait for the memory of what it takes
 * @taken: what it takes, or NULL
 * @addr: whose it is
 */
struct visitor {
	int fd;
	uint64_t since;
	bool asked;
	bool ended;
	int unread;
	bool hurried;
	const struct exposition *taken;
	struct in6_addr addr;
};

struct server {
	struct exporter *exporter;
	struct exposition *expositions[2][LOANS_MAX];
	pthread_mutex_t lock;
	struct visitor visitors[CONNECTIONS_MAX];
};

static uint64_t now_ms(void)
{
	return gmem_now_ns() / 1000000;
}

/* MHD finds its end closed, and forgets it. */
static void end_visitor(struct visitor *visitor)
{
	shutdown(visitor->fd, SHUT_RDWR);
	visitor->ended = true;
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

static void end_loan(void *arg)
{
	struct exposition *e = arg;

	if (--e->loans || !e->dropped)
		return;
	free(e->text);
	free(e);
}

/* Does it leave what was sent to it unread?  Busy machines pause, too. */
static bool is_stuck(const struct visitor *visitor)
{
	return visitor->unread >= UNREAD_TICKS;
}

/* Nobody else gets it, and those who take it have to make haste. */
static void drop(struct server *server, struct exposition *e)
{
	size_t i;

	pthread_mutex_lock(&server->lock);
	for (i = 0; i < CONNECTIONS_MAX; i++) {
		struct visitor *visitor = &server->visitors[i];

		if (visitor->fd < 0 || visitor->ended || visitor->taken != e)
			continue;
		visitor->hurried = true;
		if (is_stuck(visitor))
			end_visitor(visitor);
	}
	pthread_mutex_unlock(&server->lock);
	e->dropped = true;
}

static void forget(struct exposition **place)
{
	if (*place)
		free((*place)->text);
	free(*place);
	*place = NULL;
}

/* When one is enough again, so is the memory of one. */
static void forget_spare(struct exposition **places, int used)
{
	int i;

	for (i = used + 1; i < LOANS_MAX; i++)
		if (places[i] && !places[i]->loans)
			forget(&places[i]);
}

/*
 * The place of an exposition to write, or of one that is fresh enough.  An
 * exposition can have megabytes: those who do not read theirs may not have
 * one each, and may not keep others from having one.
 */
static struct exposition **choose(struct server *server,
				  enum export_format format)
{
	struct exposition **places = server->expositions[format];
	struct exposition **newest = &places[0], **oldest = &places[0];
	int i;

	for (i = 0; i < LOANS_MAX; i++) {
		if (places[i] && places[i]->loans)
			continue;
		forget_spare(places, i);
		return &places[i];
	}
	for (i = 1; i < LOANS_MAX; i++) {
		if (places[i]->since > (*newest)->since)
			newest = &places[i];
		if (places[i]->since < (*oldest)->since)
			oldest = &places[i];
	}
	if (now_ms() - (*newest)->since < FRESH_MS)
		return newest;
	drop(server, *oldest);
	*oldest = NULL;
	return oldest;
}

/* Writes into the memory that @e has, which the exporter makes greater. */
static int sample(struct exporter *exporter, enum export_format format,
		  struct exposition *e)
{
	int err;

	exporter->text.data = e->text;
	exporter->text.room = e->room;
	err = exporter_sample(exporter, format);
	e->text = exporter->text.data;
	e->len = exporter->text.len;
	e->room = exporter->text.room;
	e->since = now_ms();
	exporter->text.data = NULL;
	exporter->text.room = 0;
	return err;
}

/* What MHD keeps for us of a connection. */
static struct visitor *visitor_of(struct MHD_Connection *connection)
{
	const union MHD_ConnectionInfo *info =
		MHD_get_connection_info(connection,
					MHD_CONNECTION_INFO_SOCKET_CONTEXT);

	return info ? info->socket_context : NULL;
}

static enum MHD_Result answer_metrics(struct server *server,
				      struct MHD_Connection *connection)
{
	struct visitor *visitor = visitor_of(connection);
	struct MHD_Response *response;
	enum export_format format;
	struct exposition **place, *e;

	format = export_accepts(MHD_lookup_connection_value(connection,
							    MHD_HEADER_KIND,
							    MHD_HTTP_HEADER_ACCEPT));
	place = choose(server, format);
	if (!*place)
		*place = calloc(1, sizeof(**place));
	e = *place;
	if (!e)
		return MHD_NO;
	if (!e->loans && sample(server->exporter, format, e))
		return answer_text(connection, MHD_HTTP_SERVICE_UNAVAILABLE,
				   TYPE_PLAIN,
				   "The host cannot be sampled; gmemtop's standard error says why.\n");
	response = MHD_create_response_from_buffer_with_free_callback_cls(e->len,
									  e->text,
									  end_loan,
									  e);
	if (response) {
		e->loans++;
		if (visitor) {
			pthread_mutex_lock(&server->lock);
			visitor->taken = e;
			pthread_mutex_unlock(&server->lock);
		}
	}
	return answer(connection, MHD_HTTP_OK,
		      format == EXPORT_OPENMETRICS ? TYPE_OPEN : TYPE_TEXT,
		      response);
}

/* Its head is complete; now it has time to take the answer. */
static void note_asked(struct server *server, struct MHD_Connection *connection)
{
	struct visitor *visitor = visitor_of(connection);

	if (!visitor)
		return;
	pthread_mutex_lock(&server->lock);
	visitor->asked = true;
	visitor->since = now_ms();
	pthread_mutex_unlock(&server->lock);
}

static enum MHD_Result on_request(void *arg, struct MHD_Connection *connection,
				  const char *url, const char *method,
				  const char *version, const char *data,
				  size_t *len, void **context)
{
	struct server *server = arg;

	note_asked(server, connection);
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

static void set_address(struct visitor *visitor, const struct sockaddr *addr)
{
	visitor->addr = in6addr_any;
	if (addr->sa_family == AF_INET6)
		visitor->addr = ((const struct sockaddr_in6 *)addr)->sin6_addr;
	else if (addr->sa_family == AF_INET)
		memcpy(&visitor->addr, &((const struct sockaddr_in *)addr)->sin_addr,
		       sizeof(struct in_addr));
}

/* How many visitors this one's address has. */
static int company(const struct server *server, const struct visitor *of)
{
	int i, n = 0;

	for (i = 0; i < CONNECTIONS_MAX; i++)
		n += server->visitors[i].fd >= 0 && !server->visitors[i].ended &&
		     !memcmp(&server->visitors[i].addr, &of->addr,
			     sizeof(of->addr));
	return n;
}

/* How much it is missed: 1 is least, 0 is to be left alone. */
static int rank(const struct visitor *visitor, uint64_t now)
{
	uint64_t age = now - visitor->since;

	if (!visitor->asked)
		return age < TICK_MS ? 0 : 1;
	if (age < FRESH_MS)
		return 0;
	if (is_stuck(visitor))
		return 2;
	return age < SLOW_MS ? 0 : 3;
}

/*
 * Ends those that are too many: who has not asked goes first, then who does not
 * read, then who reads slowly.  Of them it is one of the address that has the
 * most visitors, and the oldest; on the loopback all have the same address.
 */
static void make_room(struct server *server)
{
	uint64_t now = now_ms();
	struct visitor *victim;
	int i, n, r, most, least, nr;

	do {
		victim = NULL;
		least = most = nr = 0;
		for (i = 0; i < CONNECTIONS_MAX; i++) {
			struct visitor *visitor = &server->visitors[i];

			if (visitor->fd < 0 || visitor->ended)
				continue;
			nr++;
			r = rank(visitor, now);
			if (!r || (victim && r > least))
				continue;
			n = company(server, visitor);
			if (victim && r == least &&
			    (n < most || (n == most &&
					  visitor->since >= victim->since)))
				continue;
			victim = visitor;
			least = r;
			most = n;
		}
		if (nr < VISITORS_MAX || !victim)
			return;
		end_visitor(victim);
	} while (nr > VISITORS_MAX);
}

static void add_visitor(struct server *server,
			struct MHD_Connection *connection, void **context)
{
	const union MHD_ConnectionInfo *info;
	const struct sockaddr *addr;
	size_t i;
	int fd;

	/* MHD 1.0 answers all that it is asked of a connection in one place. */
	info = MHD_get_connection_info(connection,
				       MHD_CONNECTION_INFO_CONNECTION_FD);
	fd = info ? info->connect_fd : -1;
	info = MHD_get_connection_info(connection,
				       MHD_CONNECTION_INFO_CLIENT_ADDRESS);
	addr = info ? info->client_addr : NULL;
	make_room(server);
	for (i = 0; fd >= 0 && addr && i < CONNECTIONS_MAX; i++) {
		struct visitor *visitor = &server->visitors[i];

		if (visitor->fd >= 0)
			continue;
		*visitor = (struct visitor) {
			.fd = fd,
			.since = now_ms(),
		};
		set_address(visitor, addr);
		*context = visitor;
		break;
	}
}

static void on_connection(void *arg, struct MHD_Connection *connection,
			  void **context, enum MHD_ConnectionNotificationCode code)
{
	struct server *server = arg;
	struct visitor *visitor = *context;

	pthread_mutex_lock(&server->lock);
	/* Called before the descriptor is closed and used again. */
	if (code == MHD_CONNECTION_NOTIFY_STARTED)
		add_visitor(server, connection, context);
	else if (visitor)
		visitor->fd = -1;
	pthread_mutex_unlock(&server->lock);
}

static uint64_t time_of(const struct visitor *visitor)
{
	if (!visitor->asked)
		return HEAD_MS;
	return visitor->hurried ? SLOW_MS : ANSWER_MS;
}

/* MHD's own timeout is for those who say nothing, not for those who dawdle. */
static void end_dawdlers(struct server *server)
{
	uint64_t now = now_ms();
	size_t i;

	pthread_mutex_lock(&server->lock);
	for (i = 0; i < CONNECTIONS_MAX; i++) {
		struct visitor *visitor = &server->visitors[i];
		struct pollfd fd = { .fd = visitor->fd, .events = POLLOUT };

		if (visitor->fd < 0 || visitor->ended)
			continue;
		visitor->unread = poll(&fd, 1, 0) ? 0 : visitor->unread + 1;
		if (now - visitor->since > time_of(visitor))
			end_visitor(visitor);
	}
	/* Nobody comes any more when MHD has all that it takes. */
	make_room(server);
	pthread_mutex_unlock(&server->lock);
}

static void wait_for_end(struct server *server)
{
	const struct timespec tick = { .tv_nsec = TICK_MS * 1000000 };
	sigset_t signals;
	int sig;

	sigemptyset(&signals);
	sigaddset(&signals, SIGINT);
	sigaddset(&signals, SIGTERM);
	sigaddset(&signals, SIGHUP);
	for (;;) {
		sig = sigtimedwait(&signals, NULL, &tick);
		if (sig < 0) {
			end_dawdlers(server);
		} else if (sig != SIGHUP || gmem_hangup_ends()) {
			break;
		} else {
			/* There is no file to read again. */
			gmem_notify_reloading();
			gmem_notify("READY=1");
		}
	}
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

static void forget_expositions(struct server *server)
{
	int format, i;

	for (format = 0; format < 2; format++)
		for (i = 0; i < LOANS_MAX; i++)
			forget(&server->expositions[format][i]);
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
	size_t i;

	/* An exposition that is given back is given back to the system. */
	mallopt(M_MMAP_THRESHOLD, 1 << 20);
	for (i = 0; i < CONNECTIONS_MAX; i++)
		server.visitors[i].fd = -1;
	daemon = MHD_start_daemon(MHD_USE_AUTO_INTERNAL_THREAD | MHD_USE_ERROR_LOG,
				  0, NULL, NULL, on_request, &server,
				  MHD_OPTION_EXTERNAL_LOGGER, be_silent, NULL,
				  MHD_OPTION_LISTEN_SOCKET, socket,
				  MHD_OPTION_CONNECTION_LIMIT,
				  (unsigned int)CONNECTIONS_MAX,
				  MHD_OPTION_CONNECTION_TIMEOUT,
				  (unsigned int)(ANSWER_MS / 1000),
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
	/* Scrapes are answered whether or not somebody reads that line. */
	if (fflush(stdout))
		clearerr(stdout);
	gmem_notify("READY=1");
	wait_for_end(&server);
	gmem_notify("STOPPING=1");
	MHD_stop_daemon(daemon);
	forget_expositions(&server);
	return GMEM_EXIT_OK;
}
