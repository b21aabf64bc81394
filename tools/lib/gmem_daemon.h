/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What programs that stay owe to those who start and stop them: a shell, a
 * service manager, a container.
 */
#ifndef GMEM_DAEMON_H
#define GMEM_DAEMON_H

#include <stdbool.h>

/**
 * gmem_start() - make up for what a program may be started without
 *
 * Called first.  Closed standard descriptors are opened, so that nothing else
 * gets their numbers; output to one still fails.  As process 1 of a container,
 * SIGINT, SIGTERM, SIGQUIT and SIGHUP end the program, as elsewhere: the kernel
 * gives process 1 no signal that has no handler.
 */
void gmem_start(void);

/**
 * gmem_on_end() - have a program that prints say the rest when it is to end
 * @handler: called at SIGINT, SIGTERM and, but under nohup(1), SIGHUP
 *
 * A reader that is gone is an error of what writes, and no signal.
 */
void gmem_on_end(void (*handler)(int sig));

/**
 * gmem_notify() - tell the service manager how it stands
 * @state: as in sd_notify(3), e.g. "READY=1"
 *
 * Does nothing if there is none: it is where NOTIFY_SOCKET says.  A failure is
 * one line of error and no reason to end.
 */
void gmem_notify(const char *state);

/**
 * gmem_notify_reloading() - tell it that files are read again
 *
 * "READY=1" has to follow.
 */
void gmem_notify_reloading(void);

/**
 * gmem_hangup_ends() - is this SIGHUP the end of the terminal?
 *
 * Otherwise somebody asks a daemon to open its files again.  Under nohup(1) it
 * never is.
 *
 * Return: true if the program had a terminal and has it no more.
 */
bool gmem_hangup_ends(void);

#endif /* GMEM_DAEMON_H */
