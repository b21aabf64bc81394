/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The parameters of a policy: how it declares them, so that gmempolicy finds
 * their names, units and ranges in the object's own BTF, and how it reads them,
 * so that they can be changed while it is in force.
 *
 *	struct my_params {
 *		GMEM_PARAM(u64, rate, "conversions/s", 1, 1000000, "how often");
 *		GMEM_PARAM_CHOICE(u64, action, "deny=0,delay=1", "what then");
 *	};
 *
 *	GMEM_PARAMS(struct my_params, "what the policy does, in one line",
 *		    "what a guest sees when it bites") = {
 *		.rate = 1000,
 *	};
 *
 *	... in a program:
 *	const struct my_params *params = gmem_params();
 *
 * The values given there are the defaults.  Members are plain integers of 1, 2,
 * 4 or 8 bytes.  Call gmem_params() once for each event: what it returns is one
 * set of values from end to end, and stays so until the program ends, also when
 * someone sets others meanwhile.
 *
 * How that holds: a set of values is never changed while programs can see it.
 * Before the first change they are the variable "params" in the section
 * ".data.params".  To change them, gmempolicy fills an array of its own and puts
 * it into the map "params_live" in place of the one before, which is one store
 * of a pointer.  The kernel keeps the old array until all programs that may
 * have found it have ended.
 */
#ifndef __GMEM_PARAMS_H
#define __GMEM_PARAMS_H

#define GMEM_PARAMS_SECTION	".data.params"
#define GMEM_PARAMS_LIVE	"params_live"

/* What the tags in BTF begin with; the rest is "key=text", ";" between. */
#define GMEM_TAG		"gmem:"

enum gmem_limit_action {
	GMEM_ACTION_DENY,
	GMEM_ACTION_DELAY,
};

/*
 * One of two texts or numbers: where KVM asks the policy, or where BPF's LSM does,
 * which can deny only and knows less of a request.
 */
#ifdef GMEM_LSM
#define gmem_by_source(native, stock)	stock
#else
#define gmem_by_source(native, stock)	native
#endif

#ifdef __bpf__

#define __gmem_tag(text)	__attribute__((btf_decl_tag(GMEM_TAG text)))
#define __gmem_str(...)		#__VA_ARGS__
#define gmem_str(...)		__gmem_str(__VA_ARGS__)

/**
 * GMEM_PARAM() - a parameter that is a number
 * @type: u8 to u64 or s8 to s64
 * @name: its name
 * @unit: what it counts, "" if nothing in particular; no semicolon
 * @min: least value, a plain decimal number
 * @max: greatest value, a plain decimal number
 * @help: what it does, in one line
 */
#define GMEM_PARAM(type, name, unit, min, max, help)			\
	type name __gmem_tag("unit=" unit ";min=" gmem_str(min) ";max="	\
			     gmem_str(max) ";help=" help)

/**
 * GMEM_PARAM_CHOICE() - a parameter that is one of some words
 * @type: u8 to u64
 * @name: its name
 * @values: the words and the numbers they stand for, "no=0,yes=1"
 * @help: what it does, in one line
 */
#define GMEM_PARAM_CHOICE(type, name, values, help)			\
	type name __gmem_tag("values=" values ";help=" help)

/**
 * GMEM_PARAM_WHOSE() - the parameter "whose", for gmem_is_whose()
 */
#define GMEM_PARAM_WHOSE()						\
	GMEM_PARAM_CHOICE(u64, whose,					\
			  gmem_by_source("all=0,guest=1,vmm=2", "all=0"), \
			  "whose conversions it looks at: those that the guest asked for, the VMM's own, or all")

/**
 * GMEM_BOUNDS() - say what figure of a VM a parameter is a ceiling of
 * @figure: "populated", "stale", "shared", "ranges" or "attributes": as gmemtop
 *	has them; shared is what is not private
 *
 * Goes behind GMEM_PARAM(), whose unit is MiB, KiB, percent of the VM's memory or
 * a number.  gmempolicy status then tells how near each VM is to it.  0, and 100
 * percent, are no ceiling.
 */
#define GMEM_BOUNDS(figure)	__gmem_tag("bounds=" figure)

/**
 * GMEM_BOUNDS_UNLESS() - GMEM_BOUNDS(), unless another parameter takes its place
 * @figure: as above
 * @param: name of the other: if it is not 0, this one has no effect
 */
#define GMEM_BOUNDS_UNLESS(figure, param)				\
	__gmem_tag("bounds=" figure ";unless=" gmem_str(param))

/**
 * GMEM_ABOUT() - what gmempolicy says of a policy
 * @about: what it does, in one line
 * @sees: what a guest sees when it bites
 *
 * For a policy without parameters; goes behind the name of the variable of
 * type struct kvm_gmem_ops.
 */
#define GMEM_ABOUT(about, sees)						\
	__gmem_tag("about=" about) __gmem_tag("sees=" sees)

/**
 * GMEM_PARAMS() - define the parameters of a policy and their defaults
 * @params_type: struct of GMEM_PARAM() and GMEM_PARAM_CHOICE()
 * @about: what the policy does, in one line
 * @sees: what a guest sees when it bites
 */
#define GMEM_PARAMS(params_type, about, sees)				\
	struct {							\
		__uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);		\
		__uint(max_entries, 1);					\
		__type(key, u32);					\
		__array(values, struct {				\
			__uint(type, BPF_MAP_TYPE_ARRAY);		\
			__uint(max_entries, 1);				\
			__type(key, u32);				\
			__type(value, params_type);			\
		});							\
	} params_live SEC(".maps");					\
									\
	extern params_type params;					\
									\
	static __always_inline const params_type *gmem_params(void)	\
	{								\
		const params_type *live;				\
		u32 first = 0;						\
		void *array;						\
									\
		array = bpf_map_lookup_elem(&params_live, &first);	\
		live = array ? bpf_map_lookup_elem(array, &first) : NULL; \
		return live ? live : &params;				\
	}								\
									\
	params_type params SEC(GMEM_PARAMS_SECTION) GMEM_ABOUT(about, sees)

/**
 * GMEM_STATUS() - a member of the state per VM that gmempolicy status shows
 * @type: u8 to u64 or s8 to s64
 * @name: its name
 * @label: what to call it; no semicolon
 * @unit: what it counts, "" if nothing in particular; no semicolon
 * @scale: what to divide it by, a plain decimal number; usually 1
 *
 * The state is the value of a hash map whose key is the VM's id, as
 * GMEM_VM_STATE() makes it.  Structs in it are looked into.
 */
#define GMEM_STATUS(type, name, label, unit, scale)			\
	type name __gmem_tag("status=" label ";unit=" unit ";scale="	\
			     gmem_str(scale))

/**
 * GMEM_BUDGET() - say what a bucket of the state per VM is a budget of
 * @label: what its tokens are; of an array, one for each, "one,other"
 *
 * Goes behind a member that is a struct gmem_bucket, or an array of them.
 * gmempolicy status tells how much of it each VM has used up.  One without it is
 * called by its member.
 */
#define GMEM_BUDGET(label)	__gmem_tag("budget=" label)

#else

/* Headers that userspace shares have the member and not the tag. */
#define GMEM_BUDGET(label)
#define GMEM_BOUNDS(figure)
#define GMEM_BOUNDS_UNLESS(figure, param)
#define GMEM_STATUS(type, name, label, unit, scale)	type name

#endif /* __bpf__ */

#endif /* __GMEM_PARAMS_H */
