// SPDX-License-Identifier: GPL-2.0-only
/*
 * The live view: runs the terminal, the clock and the signals.  What is on the
 * screen is up to the panels.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "gmem_clock.h"
#include "gmem_common.h"
#include "terminal/cursor.h"
#include "terminal/foot.h"
#include "terminal/keys.h"
#include "terminal/live.h"
#include "terminal/panel.h"
#include "terminal/screen.h"
#include "terminal/table.h"

/* The first rates come early; before that the screen has none. */
#define FIRST_INTERVAL_NS	500000000ULL

static volatile sig_atomic_t caught, asked_to_stop, continued;

static void on_signal(int sig)
{
	caught = sig;
}

static void on_stop(int sig)
{
	asked_to_stop = true;
}

static void on_continue(int sig)
{
	continued = true;
}

static void give_terminal_back(void)
{
	if (!isendwin())
		endwin();
}

static void draw(struct tui *tui)
{
	erase();
	panel_shown(tui)->draw(tui);
	foot_draw(tui);
	refresh();
}

/*
 * Waits for a key, a signal or the time @until.  Signals get through here
 * only, so none is lost between a look at @caught and the wait.
 */
static int wait_for_input(uint64_t until, const sigset_t *unblocked)
{
	struct pollfd fd = { .fd = STDIN_FILENO, .events = POLLIN };
	uint64_t now = gmem_now_ns();
	struct timespec ts = {};

	if (until > now) {
		ts.tv_sec = (until - now) / NSEC_PER_SEC;
		ts.tv_nsec = (until - now) % NSEC_PER_SEC;
	}
	if (ppoll(&fd, 1, &ts, unblocked) < 0 && errno != EINTR) {
		gmem_err("cannot wait for keys: %s", strerror(errno));
		return -1;
	}
	if (fd.revents & (POLLHUP | POLLERR | POLLNVAL)) {
		gmem_err("the terminal is gone");
		return -1;
	}
	return 0;
}

/* The view, and what the panel shows beside it. */
static int refresh_all(struct tui *tui)
{
	const struct panel *panel = panel_shown(tui);

	/* The frame before it gives a frame its rates. */
	if (tui->seeking && tui->seek) {
		tui->view->source->seek(tui->view->source, tui->seek - 1);
		if (view_refresh(tui->view))
			return -1;
	} else if (tui->seeking) {
		tui->view->source->seek(tui->view->source, 0);
	}
	tui->seeking = false;
	if (view_refresh(tui->view))
		return -1;
	cursor_follow(tui);
	/* All of it is printed when the screen is gone. */
	if (!tui->told && tui->view->source->notice[0]) {
		complain(tui, "%s", tui->view->source->notice);
		tui->told = true;
	}
	tui->refreshes++;
	return panel->read ? panel->read(tui) : 0;
}

/*
 * Stops as the shell expects it, with the terminal as it was before.  What the
 * panel has attached goes meanwhile: it would go on costing the guest.
 */
static void stop(struct tui *tui)
{
	struct sigaction action = { .sa_handler = SIG_DFL }, before;
	sigset_t stops;

	asked_to_stop = false;
	if (panel_shown(tui)->hide)
		panel_shown(tui)->hide(tui);
	give_terminal_back();
	sigemptyset(&stops);
	sigaddset(&stops, SIGTSTP);
	sigaction(SIGTSTP, &action, &before);
	raise(SIGTSTP);
	sigprocmask(SIG_UNBLOCK, &stops, NULL);
	/* Here again once somebody says so. */
	sigprocmask(SIG_BLOCK, &stops, NULL);
	sigaction(SIGTSTP, &before, NULL);
	continued = true;
}

/* Others had the terminal meanwhile, however this process was stopped. */
static int go_on(struct tui *tui)
{
	const struct panel *panel = panel_shown(tui);

	continued = false;
	if (!isendwin())
		reset_prog_mode();
	clearok(curscr, TRUE);
	return panel->read ? panel->read(tui) : 0;
}

static int loop(struct tui *tui, uint64_t frames, const sigset_t *unblocked)
{
	uint64_t next = gmem_now_ns(), drawn;
	int key;

	while (!tui->quit && !caught) {
		if (tui->seeking || (!tui->frozen && gmem_now_ns() >= next &&
				     !tui->view->source->ended)) {
			if (refresh_all(tui))
				return GMEM_EXIT_FAIL;
		}
		draw(tui);
		if (frames && tui->refreshes >= frames)
			break;

		/* The wait ends early at a key; the refresh comes in time. */
		drawn = gmem_now_ns();
		if (drawn >= next) {
			next = drawn + tui->interval_ns;
			if (tui->refreshes == 1 &&
			    tui->interval_ns > FIRST_INTERVAL_NS)
				next = drawn + FIRST_INTERVAL_NS;
		}
		if (wait_for_input(next, unblocked))
			return GMEM_EXIT_FAIL;
		if (asked_to_stop)
			stop(tui);
		if (continued) {
			if (go_on(tui))
				return GMEM_EXIT_FAIL;
			next = gmem_now_ns();
		}
		while ((key = getch()) != ERR)
			keys_take(tui, key);
		if (tui->failed)
			return GMEM_EXIT_FAIL;
		/* A shorter interval counts from now on. */
		if (next > gmem_now_ns() + tui->interval_ns)
			next = gmem_now_ns() + tui->interval_ns;
	}
	return GMEM_EXIT_OK;
}

static void start_colours(struct tui *tui)
{
	const char *no_color = getenv("NO_COLOR");

	if ((no_color && *no_color) || !has_colors() || start_color() == ERR)
		return;
	use_default_colors();
	init_pair(PAIR_TITLES, COLOR_BLACK, COLOR_GREEN);
	init_pair(PAIR_SELECTED, COLOR_BLACK, COLOR_CYAN);
	init_pair(PAIR_TAGGED, COLOR_YELLOW, -1);
	init_pair(PAIR_WARN, COLOR_YELLOW, -1);
	init_pair(PAIR_ALERT, COLOR_RED, -1);
	init_pair(PAIR_PRIVATE, COLOR_GREEN, -1);
	init_pair(PAIR_SHARED, COLOR_BLUE, -1);
	tui->colours = true;
}

static void catch_signals(sigset_t *unblocked)
{
	static const int ends[] = { SIGINT, SIGTERM, SIGHUP, SIGQUIT };
	struct sigaction action = { .sa_handler = on_signal }, before;
	sigset_t blocked;
	size_t i;

	sigemptyset(&blocked);
	for (i = 0; i < ARRAY_LEN(ends); i++) {
		sigaction(ends[i], &action, NULL);
		sigaddset(&blocked, ends[i]);
	}
	/* A shell without jobs has it ignored, and could not go on. */
	if (!sigaction(SIGTSTP, NULL, &before) && before.sa_handler != SIG_IGN) {
		action.sa_handler = on_stop;
		sigaction(SIGTSTP, &action, NULL);
		sigaddset(&blocked, SIGTSTP);
	}
	action.sa_handler = on_continue;
	sigaction(SIGCONT, &action, NULL);
	sigaddset(&blocked, SIGCONT);
	sigaddset(&blocked, SIGWINCH);
	sigprocmask(SIG_BLOCK, &blocked, unblocked);
}

static void start_keys(void)
{
	cbreak();
	noecho();
	nonl();
	keypad(stdscr, TRUE);
	nodelay(stdscr, TRUE);
	set_escdelay(50);
	/* Waiting whether a press becomes a click would delay each of them. */
	mouseinterval(0);
	mousemask(BUTTON1_PRESSED | BUTTON4_PRESSED
#ifdef BUTTON5_PRESSED
		  | BUTTON5_PRESSED
#endif
		  , NULL);
}

/* What the command line asked for is for this once. */
static int keep_settings(const struct tui *tui, struct conf *conf)
{
	if (!tui->changed)
		return 0;
	if (tui->changed & CHANGED_FIELDS)
		conf->fields = tui->view->fields;
	if (tui->changed & CHANGED_ORDER) {
		conf->sort = tui->view->sort;
		conf->inverted = tui->view->inverted;
	}
	if (tui->changed & CHANGED_INTERVAL)
		conf->interval_ns = tui->interval_ns;
	return conf_save(conf);
}

int live_run(struct view *view, const struct settings *settings,
	     struct conf *conf)
{
	struct tui tui = {
		.view = view,
		.interval_ns = settings->interval_ns,
		.before_error = give_terminal_back,
		.unicode = gmem_text_unicode(),
	};
	const char *term = getenv("TERM");
	sigset_t unblocked;
	SCREEN *screen;
	int status;

	/* curses leaves the signals alone for which a handler is set. */
	catch_signals(&unblocked);
	screen = newterm(NULL, stdout, stdin);
	if (!screen) {
		gmem_err("cannot drive a terminal of type '%s'; set TERM, or use -b for plain text",
			 term ? term : "");
		return GMEM_EXIT_FAIL;
	}
	gmem_err_before(tui.before_error);
	start_colours(&tui);
	start_keys();
	panel_enter(&tui, &table_panel);
	if (view->source->lacks)
		complain(&tui, "%s", view->source->lacks);
	if (conf->complaint[0])
		complain(&tui, "%s", conf->complaint);

	status = loop(&tui, settings->frames, &unblocked);

	if (panel_shown(&tui)->hide)
		panel_shown(&tui)->hide(&tui);
	give_terminal_back();
	gmem_err_before(NULL);
	delscreen(screen);
	source_tell(view->source);
	if (keep_settings(&tui, conf))
		status = GMEM_EXIT_FAIL;
	if (caught) {
		signal(caught, SIG_DFL);
		raise(caught);
		sigprocmask(SIG_SETMASK, &unblocked, NULL);
	}
	return status;
}
