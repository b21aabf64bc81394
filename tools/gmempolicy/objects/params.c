// SPDX-License-Identifier: GPL-2.0-only
/*
 * Reads what an object's BTF tells of a policy's parameters.  The object may be
 * anyone's: nothing here trusts a tag to make sense, and an object without tags
 * has parameters all the same, with the ranges of their types.
 */
#define _GNU_SOURCE
#include <bpf/btf.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "gmem_common.h"
#include "gmem_params.h"
#include "objects/params.h"

#define PARAMS_VAR	"params"

static int no_memory(void)
{
	gmem_err("no memory for the parameters of a policy; free some");
	return -ENOMEM;
}

/* ------------------------------------------------------------ numbers */

static uint64_t least_of(const struct param *param)
{
	return param->is_signed ? -(1ULL << (8 * param->size - 1)) : 0;
}

static uint64_t most_of(const struct param *param)
{
	return UINT64_MAX >> (64 - 8 * param->size + param->is_signed);
}

static bool in_range(const struct param *param, uint64_t value)
{
	if (param->is_signed)
		return (int64_t)value >= (int64_t)param->min &&
		       (int64_t)value <= (int64_t)param->max;
	return value >= param->min && value <= param->max;
}

/* A decimal number of @len bytes, negative only where that makes sense. */
static int parse_number(const struct param *param, const char *text, size_t len,
			uint64_t *value)
{
	bool negative = param->is_signed && len && *text == '-';
	char digits[24];
	int err;

	text += negative;
	len -= negative;
	if (len >= sizeof(digits))
		return -ERANGE;
	memcpy(digits, text, len);
	digits[len] = '\0';
	err = gmem_parse_uint(digits, value);
	if (err)
		return err;
	if (param->is_signed && *value > (uint64_t)INT64_MAX + negative)
		return -ERANGE;
	if (negative)
		*value = -*value;
	return 0;
}

static void format_number(const struct param *param, uint64_t value, char *dst,
			  size_t size)
{
	if (param->is_signed)
		snprintf(dst, size, "%" PRId64, (int64_t)value);
	else
		snprintf(dst, size, "%" PRIu64, value);
}

/* --------------------------------------------------------------- tags */

/* "word=1,other=2" up to @end. */
static int read_choices(struct param *param, const char *text, const char *end)
{
	while (text < end) {
		const char *comma = memchr(text, ',', end - text);
		const char *stop = comma ? comma : end;
		const char *equals = memchr(text, '=', stop - text);
		struct choice *more;
		uint64_t value;

		if (!equals || equals == text ||
		    parse_number(param, equals + 1, stop - equals - 1, &value))
			return -EINVAL;
		more = reallocarray(param->choices, param->nr_choices + 1,
				    sizeof(*more));
		if (!more)
			return -ENOMEM;
		param->choices = more;
		more = &more[param->nr_choices];
		more->value = value;
		more->name = strndup(text, equals - text);
		if (!more->name)
			return -ENOMEM;
		param->nr_choices++;
		text = stop + 1;
	}
	return param->nr_choices ? 0 : -EINVAL;
}

static int set_text(char **text, const char *from, const char *end)
{
	if (*text)
		return -EINVAL;
	*text = strndup(from, end - from);
	return *text ? 0 : -ENOMEM;
}

static bool is_key(const char *key, const char *equals, const char *name)
{
	return strlen(name) == (size_t)(equals - key) &&
	       !memcmp(key, name, equals - key);
}

/* Keys that are not known are left for later versions to use. */
static int read_param_tag(struct param *param, const char *tag)
{
	while (*tag) {
		const char *equals = strchr(tag, '=');
		const char *end;
		int err = 0;

		if (!equals)
			return -EINVAL;
		/* The help is a sentence and comes last. */
		if (is_key(tag, equals, "help"))
			return set_text(&param->help, equals + 1,
					tag + strlen(tag));
		end = strchrnul(equals, ';');
		if (is_key(tag, equals, "unit"))
			err = set_text(&param->unit, equals + 1, end);
		else if (is_key(tag, equals, "min"))
			err = parse_number(param, equals + 1, end - equals - 1,
					   &param->min);
		else if (is_key(tag, equals, "max"))
			err = parse_number(param, equals + 1, end - equals - 1,
					   &param->max);
		else if (is_key(tag, equals, "bounds"))
			err = set_text(&param->bounds, equals + 1, end);
		else if (is_key(tag, equals, "unless"))
			err = set_text(&param->unless, equals + 1, end);
		else if (is_key(tag, equals, "values"))
			err = read_choices(param, equals + 1, end);
		if (err)
			return err;
		tag = *end ? end + 1 : end;
	}
	return 0;
}

static int read_about_tag(struct params *params, const char *tag)
{
	const char *end = tag + strlen(tag);

	/* The first one counts, should two variables have it. */
	if (!strncmp(tag, "about=", 6) && !params->about)
		return set_text(&params->about, tag + 6, end);
	if (!strncmp(tag, "sees=", 5) && !params->sees)
		return set_text(&params->sees, tag + 5, end);
	return 0;
}

static int read_tags(struct params *params, const struct btf *btf,
		     int struct_id)
{
	uint32_t nr = btf__type_cnt(btf), i;

	for (i = 1; i < nr; i++) {
		const struct btf_type *type = btf__type_by_id(btf, i), *on;
		const char *tag;
		int member, err = 0;

		if (!btf_is_decl_tag(type))
			continue;
		tag = btf__name_by_offset(btf, type->name_off);
		if (!tag || strncmp(tag, GMEM_TAG, strlen(GMEM_TAG)))
			continue;
		tag += strlen(GMEM_TAG);
		member = btf_decl_tag(type)->component_idx;
		on = btf__type_by_id(btf, type->type);
		if (on && btf_is_var(on) && member < 0)
			err = read_about_tag(params, tag);
		else if ((int)type->type == struct_id && member >= 0 &&
			 (size_t)member < params->nr)
			err = read_param_tag(&params->params[member], tag);
		if (err)
			return err;
	}
	return 0;
}

/* ------------------------------------------------------------- struct */

/* The struct behind the variable that holds the parameters; 0: none. */
static int find_struct(struct params *params, const struct btf *btf)
{
	const struct btf_var_secinfo *vsi;
	const struct btf_type *sec, *var;
	int i, id;

	id = btf__find_by_name_kind(btf, GMEM_PARAMS_SECTION, BTF_KIND_DATASEC);
	if (id < 0)
		return 0;
	sec = btf__type_by_id(btf, id);
	vsi = btf_var_secinfos(sec);
	for (i = 0; i < btf_vlen(sec); i++, vsi++) {
		var = btf__type_by_id(btf, vsi->type);
		if (!btf_is_var(var) ||
		    strcmp(btf__name_by_offset(btf, var->name_off), PARAMS_VAR))
			continue;
		id = btf__resolve_type(btf, var->type);
		if (id < 0 || !btf_is_struct(btf__type_by_id(btf, id)))
			return -EINVAL;
		params->offset = vsi->offset;
		params->size = btf__type_by_id(btf, id)->size;
		return id;
	}
	return 0;
}

static int read_member(struct param *param, const struct btf *btf,
		       const struct btf_type *type, int index)
{
	const struct btf_member *member = &btf_members(type)[index];
	int id = btf__resolve_type(btf, member->type);
	const struct btf_type *number = id < 0 ? NULL : btf__type_by_id(btf, id);
	uint32_t bit = btf_member_bit_offset(type, index);

	param->name = strdup(btf__name_by_offset(btf, member->name_off));
	if (!param->name)
		return -ENOMEM;
	if (!number || btf_member_bitfield_size(type, index) || bit % 8)
		return -EINVAL;
	if (btf_is_int(number))
		param->is_signed = btf_int_encoding(number) & BTF_INT_SIGNED;
	else if (!btf_is_any_enum(number))
		return -EINVAL;
	param->size = number->size;
	param->offset = bit / 8;
	if ((param->size != 1 && param->size != 2 && param->size != 4 &&
	     param->size != 8) ||
	    param->offset + param->size > type->size)
		return -EINVAL;
	param->min = least_of(param);
	param->max = most_of(param);
	return 0;
}

static int read_members(struct params *params, const struct btf *btf, int id,
			const char *who)
{
	const struct btf_type *type = btf__type_by_id(btf, id);
	int i, err;

	params->params = calloc(btf_vlen(type) + 1, sizeof(*params->params));
	if (!params->params)
		return no_memory();
	for (i = 0; i < btf_vlen(type); i++) {
		params->nr++;
		err = read_member(&params->params[i], btf, type, i);
		if (err == -ENOMEM)
			return no_memory();
		if (err) {
			gmem_err("the parameter '%s' of the policy %s is not a plain integer; make it a u64",
				 params->params[i].name, who);
			return err;
		}
	}
	return 0;
}

/* A value of the tag has to fit the member, or another one would be stored. */
static bool fits(const struct param *param, uint64_t value)
{
	if (param->is_signed)
		return (int64_t)value >= (int64_t)least_of(param) &&
		       (int64_t)value <= (int64_t)most_of(param);
	return value <= most_of(param);
}

static bool tag_fits(const struct param *param)
{
	size_t i;

	for (i = 0; i < param->nr_choices; i++) {
		if (!fits(param, param->choices[i].value))
			return false;
	}
	return fits(param, param->min) && fits(param, param->max);
}

static int fill_gaps(struct params *params, const char *who)
{
	size_t i;

	for (i = 0; i < params->nr; i++) {
		struct param *param = &params->params[i];

		if (!param->unit)
			param->unit = strdup("");
		if (!param->help)
			param->help = strdup("");
		if (!param->unit || !param->help)
			return no_memory();
		if (!tag_fits(param)) {
			gmem_err("the tag of the parameter '%s' of the policy %s has a value that its %u byte%s cannot hold; give it a larger type, or mend the tag",
				 param->name, who, param->size,
				 param->size > 1 ? "s" : "");
			return -ERANGE;
		}
		if (!in_range(param, param->max)) {
			gmem_err("the parameter '%s' of the policy %s has no value that it may take; mend its tag",
				 param->name, who);
			return -EINVAL;
		}
	}
	return 0;
}

int params_read(struct params *params, const struct btf *btf, const char *who)
{
	int id, err = 0;

	id = btf ? find_struct(params, btf) : 0;
	if (id < 0) {
		gmem_err("'" PARAMS_VAR "' of the policy %s is not a struct; make it one of plain integers",
			 who);
		return id;
	}
	if (id)
		err = read_members(params, btf, id, who);
	if (err)
		return err;
	err = btf ? read_tags(params, btf, id) : 0;
	if (err == -ENOMEM)
		return no_memory();
	if (err) {
		gmem_err("the policy %s has a tag '" GMEM_TAG "...' that makes no sense; write it with GMEM_PARAM()",
			 who);
		return err;
	}
	return fill_gaps(params, who);
}

void params_free(struct params *params)
{
	size_t i, k;

	for (i = 0; i < params->nr; i++) {
		struct param *param = &params->params[i];

		for (k = 0; k < param->nr_choices; k++)
			free(param->choices[k].name);
		free(param->choices);
		free(param->name);
		free(param->unit);
		free(param->help);
		free(param->bounds);
		free(param->unless);
	}
	free(params->params);
	free(params->about);
	free(params->sees);
	*params = (struct params) {};
}

const struct param *params_find(const struct params *params, const char *name,
				const char *who)
{
	char all[512] = "";
	size_t i, len = 0;

	for (i = 0; i < params->nr; i++) {
		if (!strcmp(params->params[i].name, name))
			return &params->params[i];
		if (len < sizeof(all))
			len += snprintf(all + len, sizeof(all) - len, "%s%s",
					i ? ", " : "", params->params[i].name);
	}
	if (params->nr)
		gmem_err("the policy %s has no parameter '%s'; it has %s", who,
			 name, all);
	else
		gmem_err("the policy %s has no parameters; leave '%s' out", who,
			 name);
	return NULL;
}

/* ------------------------------------------------------------- values */

/* "500 conversions/s" may be written as 500, 500/s or 500conversions/s. */
static size_t number_length(const struct param *param, const char *text)
{
	size_t len = strlen(text);
	const char *const suffixes[] = {
		param->unit, strchrnul(param->unit, '/'),
	};
	size_t i;

	for (i = 0; i < ARRAY_LEN(suffixes); i++) {
		size_t n = strlen(suffixes[i]);

		if (n && n < len && !strcmp(text + len - n, suffixes[i]))
			return len - n;
	}
	return len;
}

static int parse_choice(const struct param *param, const char *text,
			uint64_t *value)
{
	char range[512];
	size_t i;

	for (i = 0; i < param->nr_choices; i++) {
		if (!strcmp(param->choices[i].name, text)) {
			*value = param->choices[i].value;
			return 0;
		}
	}
	gmem_err("%s takes one of %s, not '%s'", param->name,
		 param_range(param, range, sizeof(range)), text);
	return -EINVAL;
}

int param_parse(const struct param *param, const char *text, uint64_t *value)
{
	size_t len = number_length(param, text);
	char range[512];

	if (param->nr_choices)
		return parse_choice(param, text, value);
	if (!parse_number(param, text, len, value) && in_range(param, *value))
		return 0;
	gmem_err("%s takes a whole number%s%s from %s, not '%s'", param->name,
		 *param->unit ? " of " : "", param->unit,
		 param_range(param, range, sizeof(range)), text);
	return -ERANGE;
}

bool param_takes(const struct param *param, uint64_t value)
{
	size_t i;

	for (i = 0; i < param->nr_choices; i++) {
		if (param->choices[i].value == value)
			return true;
	}
	return !param->nr_choices && in_range(param, value);
}

char *param_format(const struct param *param, uint64_t value, char *dst)
{
	size_t i;

	for (i = 0; i < param->nr_choices; i++) {
		if (param->choices[i].value == value) {
			snprintf(dst, PARAM_TEXT_SIZE, "%s",
				 param->choices[i].name);
			return dst;
		}
	}
	format_number(param, value, dst, PARAM_TEXT_SIZE);
	return dst;
}

char *param_range(const struct param *param, char *dst, size_t size)
{
	char lo[24], hi[24];
	size_t i, len = 0;

	if (!param->nr_choices) {
		format_number(param, param->min, lo, sizeof(lo));
		format_number(param, param->max, hi, sizeof(hi));
		snprintf(dst, size, "%s to %s", lo, hi);
		return dst;
	}
	for (i = 0; i < param->nr_choices && len < size; i++)
		len += snprintf(dst + len, size - len, "%s%s", i ? ", " : "",
				param->choices[i].name);
	return dst;
}

/* Little endian, as the BPF target and the machines that run KVM here are. */
uint64_t param_load(const struct param *param, const void *at)
{
	unsigned int unused = 64 - 8 * param->size;
	uint64_t value = 0;

	memcpy(&value, (const char *)at + param->offset, param->size);
	if (param->is_signed)
		value = (uint64_t)((int64_t)(value << unused) >> unused);
	return value;
}

void param_store(const struct param *param, void *at, uint64_t value)
{
	memcpy((char *)at + param->offset, &value, param->size);
}

int params_assign(const struct params *params, void *at, const char *assignment,
		  const char *who)
{
	const char *equals = strchr(assignment, '=');
	const struct param *param;
	uint64_t value;
	char *name;
	int err;

	if (!equals || equals == assignment) {
		gmem_err("'%s' sets no parameter; write NAME=VALUE", assignment);
		return -EINVAL;
	}
	name = strndup(assignment, equals - assignment);
	if (!name)
		return no_memory();
	param = params_find(params, name, who);
	free(name);
	if (!param)
		return -ENOENT;
	err = param_parse(param, equals + 1, &value);
	if (!err)
		param_store(param, at, value);
	return err;
}
