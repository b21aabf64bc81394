// SPDX-License-Identifier: GPL-2.0-only
/*
 * Reads Accept headers.
 */
#include <string.h>

#include "export/format.h"

/* One media range of an Accept header: its type, and how welcome it is. */
static const char *next_range(const char *s, char *type, size_t size,
			      double *quality)
{
	size_t len = 0, word;

	*quality = 1;
	s += strspn(s, " \t,");
	word = strcspn(s, ",");
	while (len < word && len + 1 < size && s[len] != ';' && s[len] != ' ' &&
	       s[len] != '\t') {
		type[len] = s[len] >= 'A' && s[len] <= 'Z' ? s[len] + 32 :
							     s[len];
		len++;
	}
	type[len] = '\0';
	while (len < word) {
		const char *param;

		len += strcspn(s + len, ",;");
		if (len >= word)
			break;
		len++;
		param = s + len + strspn(s + len, " \t");
		/* At most three decimals, with a point in any locale. */
		if ((param[0] == 'q' || param[0] == 'Q') && param[1] == '=') {
			double unit = 0.1;

			param += 2;
			*quality = *param == '1';
			if (*param && param[1] == '.')
				for (param += 2; *param >= '0' && *param <= '9';
				     param++, unit /= 10)
					*quality += (*param - '0') * unit;
		}
	}
	return s + word;
}

enum export_format export_accepts(const char *accept)
{
	double open = 0, text = 0, any = 0, quality;
	char type[64];

	if (!accept)
		return EXPORT_TEXT;
	while (*accept) {
		accept = next_range(accept, type, sizeof(type), &quality);
		if (!strcmp(type, "application/openmetrics-text"))
			open = quality > open ? quality : open;
		else if (!strcmp(type, "text/plain"))
			text = quality > text ? quality : text;
		else if (!strcmp(type, "*/*") || !strcmp(type, "text/*"))
			any = quality > any ? quality : any;
	}
	if (!text)
		text = any;
	return open > 0 && open >= text ? EXPORT_OPENMETRICS : EXPORT_TEXT;
}
