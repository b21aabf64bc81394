/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The exporter as a server over HTTP.
 */
#ifndef GMEMTOP_HTTP_H
#define GMEMTOP_HTTP_H

#include "export/exposition.h"
#include "export/user.h"

/**
 * export_serve() - answer scrapes until SIGINT or SIGTERM comes
 * @exporter: what to answer with
 * @socket: from export_listen(), closed at the end
 * @user: whom this is run as, for the line that says so
 *
 * These and SIGHUP, which changes nothing, are blocked before this is called.
 *
 * Return: an exit code.
 */
int export_serve(struct exporter *exporter, int socket,
		 const struct export_user *user);

#endif /* GMEMTOP_HTTP_H */
