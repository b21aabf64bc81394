/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Files that are part of the tool, so that it needs none beside it.
 */
#ifndef GMEMPOLICY_EMBED_H
#define GMEMPOLICY_EMBED_H

/**
 * EMBED() - put a file into the program
 * @symbol: an array of char with its contents, and a zero behind them;
 *	@symbol##_end points to that zero
 * @path: from where make runs; the Makefile has to name it as well
 */
#define EMBED(symbol, path)						\
	asm(".pushsection .rodata\n"					\
	    ".balign 16\n"						\
	    #symbol ":\n"						\
	    ".incbin \"" path "\"\n"					\
	    #symbol "_end:\n"						\
	    ".byte 0\n"							\
	    ".popsection\n");						\
	extern const char symbol[], symbol##_end[]

#endif /* GMEMPOLICY_EMBED_H */
