/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The formats of metrics, and which one a scraper asks for.
 */
#ifndef GMEMTOP_FORMAT_H
#define GMEMTOP_FORMAT_H

/**
 * enum export_format - how metrics are written
 * @EXPORT_TEXT: Prometheus text format 0.0.4, which node_exporter reads, too
 * @EXPORT_OPENMETRICS: OpenMetrics 1.0
 */
enum export_format {
	EXPORT_TEXT,
	EXPORT_OPENMETRICS,
};

/**
 * export_accepts() - choose the format that a scraper asks for
 * @accept: the value of its Accept header, NULL if there is none
 *
 * OpenMetrics is for those that name it, and at least as welcome as the text
 * format.
 *
 * Return: the format.
 */
enum export_format export_accepts(const char *accept);

#endif /* GMEMTOP_FORMAT_H */
