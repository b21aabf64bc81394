/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The parameters of a policy, as its BTF tells of them: bpf/include/gmem_params.h
 * is the other half.  Not here: where their values are kept (object.h,
 * running.h).
 */
#ifndef GMEMPOLICY_PARAMS_H
#define GMEMPOLICY_PARAMS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct btf;

/* A value of a signed parameter is the int64_t of the same bits. */
#define PARAM_TEXT_SIZE	80

/**
 * struct choice - a word that stands for a number
 * @name: the word
 * @value: the number
 */
struct choice {
	char *name;
	uint64_t value;
};

/**
 * struct param - one parameter
 * @name: its name
 * @unit: what it counts, "" if the object does not tell
 * @help: what it does, "" likewise
 * @bounds: the figure of a VM that it is a ceiling of, NULL if it is none
 * @unless: name of the parameter that takes its place if it is not 0, or NULL
 * @offset: where it is in the struct of parameters
 * @size: its bytes: 1, 2, 4 or 8
 * @is_signed: it can be negative
 * @min: least value
 * @max: greatest value
 * @nr_choices: number of words; if there are any, nothing else is accepted
 * @choices: the words
 */
struct param {
	char *name;
	char *unit;
	char *help;
	char *bounds;
	char *unless;
	uint32_t offset;
	uint32_t size;
	bool is_signed;
	uint64_t min;
	uint64_t max;
	size_t nr_choices;
	struct choice *choices;
};

/**
 * struct params - all parameters of a policy, and what it says of itself
 * @about: what it does, NULL if it does not tell
 * @sees: what a guest sees when it bites, NULL likewise
 * @offset: where the struct of parameters is in its section
 * @size: bytes of that struct, 0 if the policy has none
 * @nr: number of parameters
 * @params: the parameters, in the order of the struct
 *
 * Starts as all zeroes; params_free() gives the memory back.
 */
struct params {
	char *about;
	char *sees;
	uint32_t offset;
	uint32_t size;
	size_t nr;
	struct param *params;
};

/**
 * params_read() - find the parameters in BTF
 * @params: where to
 * @btf: of the policy's object
 * @who: name of the policy, for the message
 *
 * Return: 0, also if there are none, or -errno after one line of error.
 */
int params_read(struct params *params, const struct btf *btf, const char *who);

/**
 * params_free() - give the memory back
 * @params: all zeroes afterwards
 */
void params_free(struct params *params);

/**
 * params_find() - find a parameter by name
 * @params: those of the policy
 * @name: its name
 * @who: name of the policy, for the message
 *
 * Return: the parameter, or NULL after one line of error that names those
 * there are.
 */
const struct param *params_find(const struct params *params, const char *name,
				const char *who);

/**
 * param_parse() - read a value
 * @param: the parameter
 * @text: a number, with or without the unit behind it, or one of the words
 * @value: where to
 *
 * Return: 0, or -errno after one line of error that names the range.
 */
int param_parse(const struct param *param, const char *text, uint64_t *value);

/**
 * param_takes() - is this a value that it may have?
 * @param: the parameter
 * @value: the value
 */
bool param_takes(const struct param *param, uint64_t value);

/**
 * param_format() - write a value for people
 * @param: the parameter
 * @value: its value
 * @dst: where to, PARAM_TEXT_SIZE bytes
 *
 * Return: @dst: the word that stands for it if there is one, else the number.
 */
char *param_format(const struct param *param, uint64_t value, char *dst);

/**
 * param_range() - write the range of a parameter for people
 * @param: the parameter
 * @dst: where to
 * @size: bytes at @dst
 *
 * Return: @dst: "1 to 10", or the words.
 */
char *param_range(const struct param *param, char *dst, size_t size);

/**
 * param_load() - take a parameter out of its struct
 * @param: the parameter
 * @at: the struct
 */
uint64_t param_load(const struct param *param, const void *at);

/**
 * param_store() - put a value into the struct of parameters
 * @param: the parameter
 * @at: the struct
 * @value: the value, from param_parse()
 */
void param_store(const struct param *param, void *at, uint64_t value);

/**
 * params_assign() - set a parameter
 * @params: those of the policy
 * @at: the struct of parameters, NULL if the policy has none
 * @assignment: "name=value"
 * @who: name of the policy, for the message
 *
 * Return: 0, or -errno after one line of error.
 */
int params_assign(const struct params *params, void *at, const char *assignment,
		  const char *who);

#endif /* GMEMPOLICY_PARAMS_H */
