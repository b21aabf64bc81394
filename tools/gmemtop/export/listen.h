/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Where the exporter listens.
 */
#ifndef GMEMTOP_LISTEN_H
#define GMEMTOP_LISTEN_H

/**
 * export_listen() - open the socket to listen on
 * @address: "ADDRESS:PORT"; an IPv6 address is in brackets
 *
 * Return: a socket, or a negative exit code after one line of error.
 */
int export_listen(const char *address);

#endif /* GMEMTOP_LISTEN_H */
