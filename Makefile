# SPDX-License-Identifier: GPL-2.0-only
#
# Builds and runs gmem. Everything lands in build/ or in the cache directory
# $GMEM_CACHE; nothing is installed but Debian packages, by "make setup".

# "make bench B=NAME" names a bench; for the rest of this file B is a directory.
BENCH := $(if $(filter command%,$(origin B)),$(B))
MAKEOVERRIDES := $(filter-out B=%,$(MAKEOVERRIDES))
override B := build
GMEM_CACHE ?= $(HOME)/.cache/gmem
export GMEM_CACHE

# Looked up when used: "make setup" may be what installs them.
CLANG = $(shell . kernel/lib.sh; find_clang)
# DWARF is of no use in a BPF object and is twenty times the rest of it.
LLVM_STRIP = $(patsubst clang%,llvm-strip%,$(CLANG))
BPFTOOL = $(B)/bpftool
SHELL := /bin/bash

# One short line a step; V=1 prints the commands.
Q := $(if $(V),,@)
step = $(if $(V),,@printf '  %-8s%s\n' $(1) $@)

CFLAGS = -std=gnu11 -O2 -g -Wall -Wextra -Werror -Wno-unused-parameter $(EXTRA_CFLAGS)
# The one place that a version stands in.
VERSION := $(shell sed -n '1s/^gmem //p' NEWS)

CPPFLAGS = -DGMEM_VERSION='"$(VERSION)"' -Itools/lib -Ibpf/include -I$(B)/bpf -I$(B)/policies -I$(B)/libbpf/include
SELFTESTS = $(B)/selftests/source/..
BPF_CFLAGS = -g -O2 -Wall -Werror -target bpf -D__TARGET_ARCH_x86 -mcpu=v3 \
	     -I$(B)/include -I$(B)/libbpf/include -Ibpf/include
LIBBPF_LIBS = $(B)/libbpf/libbpf.a -lelf -lz

BPF_SRC := $(wildcard bpf/*.bpf.c bpf/policies/*.bpf.c tests/bpf/*.bpf.c bench/*.bpf.c)
BPF_OBJ := $(patsubst %.bpf.c,$(B)/bpf/%.bpf.o,$(notdir $(BPF_SRC)))
BPF_SKEL := $(BPF_OBJ:.bpf.o=.skel.h)
TOOLS := gmemtop gmempolicy gmemmove
TOOL_BIN := $(TOOLS:%=$(B)/%)
# Objects of all C files below a folder of tools/.
tool_obj = $(patsubst %.c,$(B)/obj/%.o,$(sort $(shell find tools/$(1) -name '*.c' ! -name '*.bpf.c')))
LIB_OBJ := $(call tool_obj,lib)
LOAD_SRC := $(wildcard tests/load/*.c)
LOAD_OBJ := $(LOAD_SRC:%.c=$(B)/obj/%.o)
BOOT_OBJ := $(patsubst %.c,$(B)/obj/%.o,$(filter-out %/init.c,$(wildcard tests/load/linux/*.c)))
UNIT_BIN := $(patsubst tests/unit/%.c,$(B)/tests/unit/%,$(wildcard tests/unit/*_test.c))
BPFTEST_BIN := $(patsubst tests/bpf/%.c,$(B)/tests/bpf/%,$(filter-out %.bpf.c,$(wildcard tests/bpf/*.c)))
POLICYTEST_BIN := $(patsubst tests/policies/%.c,$(B)/tests/policies/%,$(wildcard tests/policies/*_test.c))
GUARDTEST_BIN := $(patsubst tests/guard/%.c,$(B)/tests/guard/%,$(wildcard tests/guard/*_test.c))
KVMTEST_BIN := $(patsubst tests/kvm/%.c,$(B)/tests/kvm/%,$(wildcard tests/kvm/*.c))
BENCH_BIN := $(patsubst bench/%.c,$(B)/bench/%,$(filter-out %.bpf.c,$(wildcard bench/*.c)))

KERNEL_KEY := $(B)/kernel/gmem.key
LIBBPF_KEY := $(B)/libbpf.key
BPFTOOL_KEY := $(B)/bpftool.key
SELFTESTS_KEY := $(B)/selftests.key

.DELETE_ON_ERROR:
.SECONDARY:
.PHONY: help all setup install uninstall deb kernel kernel-baseline tools bpf tests unit prometheus demo test test-all \
	test-debug test-selftests test-selftests-huge test-patches test-debian test-stock bench shell checkpatch clean distclean FORCE

help:
	@echo 'Ordinary use:'
	@echo '  make demo             one abuser, one policy; and what sharing costs in each mode'
	@echo '  make test             the tests; T=PATTERN runs the suites whose name matches'
	@echo '  make test-all         the tests and those that take longer'
	@echo '  make test-debug       the same on a kernel with KASAN, lockdep and kmemleak'
	@echo '  make test-selftests   all KVM selftests, on the kernel without the patches and on ours'
	@echo '  make test-selftests-huge  the same with kvm.gmem_huge_pages=always on ours'
	@echo '  make test-patches     KVM builds after each patch, built in and as modules'
	@echo '  make test-stock       the packages and the tests on Debian'\''s own kernel; D=12|13, T= choose'
	@echo '  make test-debian      setup, demo and test in a clean Debian 12 and 13; D=12|13, W=demo choose'
	@echo '  make bench            what operations cost and how long they wait; B=NAME runs one bench'
	@echo '  make install          under PREFIX= (now $(PREFIX)), within DESTDIR=; make uninstall undoes it'
	@echo '  make deb              Debian packages, in build/deb'
	@echo '  make shell            a shell in the test VM'
	@echo
	@echo 'Parts:'
	@echo '  make setup            install the Debian packages that are missing'
	@echo '  make all              build everything that demo and test need'
	@echo '  make kernel           the patched kernel (build/kernel/gmem)'
	@echo '  make kernel-baseline  the same kernel without the patches'
	@echo '  make bpf              the BPF programs (build/bpf)'
	@echo '  make tools            gmemtop, gmempolicy and gmemmove'
	@echo '  make tests            the test programs, gmemload and gmemboot'
	@echo '  make unit             the unit tests that run on this machine'
	@echo '  make checkpatch       kernel coding style of kernel/'
	@echo '  make clean            remove build/; the cache stays'
	@echo '  make distclean        remove build/ and the cache'
	@echo
	@echo 'Variables: KERNEL_SRC=tree or tarball, GMEM_CACHE=directory (now $(GMEM_CACHE))'

all: kernel tools bpf tests

# dpkg-query only when nothing is missing, so that everything may depend on it.
setup:
	@tests/setup

# ------------------------------------------------------- cached by content

# These scripts return at once when the cache has the very thing. A key file
# changes only when the thing does, and so make rebuilds what depends on it.
$(KERNEL_KEY): FORCE | setup
	@kernel/build --variant gmem

$(B)/kernel/%.key: FORCE | setup
	@kernel/build --variant $*

$(LIBBPF_KEY): FORCE | setup
	@kernel/build-tools libbpf

$(BPFTOOL_KEY): FORCE | setup
	@kernel/build-tools bpftool

$(SELFTESTS_KEY): FORCE | setup
	@kernel/build-tools selftests

FORCE:

kernel: $(KERNEL_KEY)
kernel-baseline: $(B)/kernel/baseline.key

# --------------------------------------------------------------------- BPF

$(B)/include/vmlinux.h: $(KERNEL_KEY) $(BPFTOOL_KEY)
	@mkdir -p $(@D)
	$(call step,GEN)
	$(Q)$(BPFTOOL) btf dump file $(B)/kernel/gmem/vmlinux format c >$@

define bpf_rule
$(B)/bpf/$(patsubst %.bpf.c,%.bpf.o,$(notdir $(1))): $(1) $(B)/include/vmlinux.h $(LIBBPF_KEY)
	@mkdir -p $$(@D)
	$$(call step,BPF)
	$$(Q)$$(CLANG) $$(BPF_CFLAGS) -MMD -MP -c $$< -o $$@
	$$(Q)$$(LLVM_STRIP) -g $$@
endef
$(foreach src,$(BPF_SRC),$(eval $(call bpf_rule,$(src))))

$(B)/bpf/%.skel.h: $(B)/bpf/%.bpf.o $(BPFTOOL_KEY)
	$(call step,SKEL)
	$(Q)$(BPFTOOL) gen skeleton $< >$@

bpf: $(BPF_OBJ) $(BPF_SKEL)

# ------------------------------------------------------------------- tools

$(B)/obj/tools/%.o: tools/%.c $(LIBBPF_KEY) | $(BPF_SKEL)
	@mkdir -p $(@D)
	$(call step,CC)
	$(Q)$(CC) $(CFLAGS) $(CPPFLAGS) -Itools/$(firstword $(subst /, ,$*)) \
		$$(pkg-config --cflags json-c ncursesw libmicrohttpd libzstd) -MMD -MP -c $< -o $@

# Those that name the version.
$(B)/obj/tools/lib/gmem_common.o $(B)/obj/tools/gmemtop/terminal/help.o \
	$(B)/obj/tools/gmemtop/export/exposition.o $(B)/obj/tools/gmemtop/export/http.o: NEWS

# gmempolicy has the policies inside, whichever there are.
POLICIES := $(sort $(patsubst bpf/policies/%.bpf.c,%,$(wildcard bpf/policies/*.bpf.c)))

$(B)/policies/policies.inc: $(wildcard bpf/policies) Makefile
	@mkdir -p $(@D)
	$(call step,GEN)
	$(Q)printf 'POLICY(%s)\n' $(POLICIES) >$@

$(B)/obj/tools/gmempolicy/objects/policies.o: $(B)/policies/policies.inc $(POLICIES:%=$(B)/bpf/%.bpf.o)

# And what "gmempolicy new" writes: the headers a policy is built with.
NEW_HEADERS = $(filter-out %/gmem_abi.h %/gmem_trace.h %/gmem_watch.h,$(sort $(wildcard bpf/include/*.h)))
NEW_LIBBPF = bpf_helpers.h bpf_helper_defs.h bpf_tracing.h bpf_core_read.h

$(B)/policies/headers.inc: $(wildcard bpf/include) Makefile
	@mkdir -p $(@D)
	$(call step,GEN)
	$(Q)for h in $(NEW_HEADERS:bpf/include/%=%); do \
		echo "HEADER($${h//./_}, \"bpf/include/$$h\", \"$$h\")"; done >$@
	$(Q)for h in $(NEW_LIBBPF); do \
		echo "HEADER($${h//./_}, \"$(B)/libbpf/include/bpf/$$h\", \"bpf/$$h\")"; done >>$@

$(B)/obj/tools/gmempolicy/verbs/new.o: $(B)/policies/headers.inc $(NEW_HEADERS) $(LIBBPF_KEY) \
	$(wildcard tools/gmempolicy/template/*)

$(B)/obj/packaging/%.o: packaging/%.c
	@mkdir -p $(@D)
	$(call step,CC)
	$(Q)$(CC) $(CFLAGS) $(CPPFLAGS) -MMD -MP -c $< -o $@

gmemtop_LIBS = $$(pkg-config --libs json-c ncursesw libmicrohttpd libzstd) -lcap
gmempolicy_LIBS = $$(pkg-config --libs json-c)
gmemmove_LIBS = $(gmempolicy_LIBS)

# Each once more with its table of options as its help, for who generates from that.
define tool_rules
$(B)/$(1): $(call tool_obj,$(1)) $(LIB_OBJ)
	$$(call step,LINK)
	$$(Q)$$(CC) $$(CFLAGS) $$^ -o $$@ $$(LIBBPF_LIBS) $$($(1)_LIBS)

$(B)/obj/tools/$(1).rows: $(call tool_obj,$(1)) $(LIB_OBJ) $(B)/obj/packaging/completion/rows.o
	$$(call step,LINK)
	$$(Q)$$(CC) $$(CFLAGS) -Wl,--wrap=gmem_usage $$^ -o $$@ $$(LIBBPF_LIBS) $$($(1)_LIBS)
endef
$(foreach t,$(TOOLS),$(eval $(call tool_rules,$(t))))

$(B)/completion/bash/% $(B)/completion/zsh/_%: $(B)/obj/tools/%.rows packaging/completion/generate
	@mkdir -p $(B)/completion/bash $(B)/completion/zsh
	$(call step,GEN)
	$(Q)packaging/completion/generate bash $* $< $(POLICIES) >$(B)/completion/bash/$*
	$(Q)packaging/completion/generate zsh $* $< $(POLICIES) >$(B)/completion/zsh/_$*

COMPLETION := $(TOOLS:%=$(B)/completion/bash/%) $(TOOLS:%=$(B)/completion/zsh/_%)

tools: $(TOOL_BIN) $(COMPLETION)

# ---------------------------------------------------------- test programs

# gmemload is a program of the kernel's KVM selftest library and is built with
# that library's flags, which build-tools took from its Makefile.
$(B)/obj/tests/load/%.o: tests/load/%.c $(SELFTESTS_KEY)
	@mkdir -p $(@D)
	$(call step,CC)
	$(Q)$(CC) $$(<$(B)/selftests/kvm/cflags) -Werror -MMD -MP -c $< -o $@

$(B)/gmemload: $(LOAD_OBJ)
	$(call step,LINK)
	$(Q)$(CC) -pthread -no-pie $(LOAD_OBJ) $$(find -L $(B)/selftests/kvm/lib -name '*.o') -ldl -o $@

# Boots Linux in a guest, on nothing but KVM. The guest's own program is inside.
$(B)/tests/load/linux/init: tests/load/linux/init.c
	@mkdir -p $(@D)
	$(call step,CC)
	$(Q)$(CC) $(CFLAGS) -static -s -MMD -MP $< -o $@

$(B)/obj/tests/load/linux/image.o: $(B)/tests/load/linux/init

$(B)/gmemboot: $(BOOT_OBJ)
	$(call step,LINK)
	$(Q)$(CC) -no-pie $^ -lz -o $@

# The policies among them see a kernel that tests/unit/fake has.
$(B)/tests/unit/%: tests/unit/%.c $(SELFTESTS_KEY) $(LIBBPF_KEY)
	@mkdir -p $(@D)
	$(call step,CC)
	$(Q)$(CC) $(CFLAGS) -Wno-sign-compare -Itests/unit/fake $(CPPFLAGS) -Itools/gmemtop \
		-Itools/gmempolicy -I$(SELFTESTS) \
		-MMD -MP $< -o $@ $(UNIT_LIBS)

# It reads what anyone may have written.
$(B)/tests/unit/store_test: UNIT_LIBS = -fsanitize=address,undefined -Wno-clobbered -lzstd -lz

$(B)/tests/unit/fit_test $(B)/tests/unit/unknown_test: UNIT_LIBS = $$(pkg-config --libs json-c)

$(B)/tests/unit/http_test: UNIT_LIBS = -Wno-clobbered -lmicrohttpd

# What Linux 6.12's selftests do not know yet.
$(B)/tests/selftests/no_flags.so: tests/selftests/no_flags.c $(SELFTESTS_KEY)
	@mkdir -p $(@D)
	$(call step,CC)
	$(Q)$(CC) $$(<$(B)/selftests/kvm/cflags) -Werror -shared -fPIC $< -o $@ -ldl

# These drive guests with the selftest library, and nothing of ours.
$(B)/tests/kvm/%: tests/kvm/%.c $(SELFTESTS_KEY)
	@mkdir -p $(@D)
	$(call step,CC)
	$(Q)$(CC) $$(<$(B)/selftests/kvm/cflags) -Werror -MMD -MP $< \
		$$(find -L $(B)/selftests/kvm/lib -name '*.o') -o $@ -pthread -no-pie -ldl

# These drive guests with the selftest library and read them with our own.
define guest_program
	@mkdir -p $(@D)
	$(call step,CC)
	$(Q)$(CC) $$(<$(B)/selftests/kvm/cflags) -Werror $(CPPFLAGS) -Itools/gmempolicy -MMD -MP $< \
		$(filter %.o,$^) $$(find -L $(B)/selftests/kvm/lib -name '*.o') -o $@ \
		-pthread -no-pie $(LIBBPF_LIBS) -ldl
endef

$(B)/tests/bpf/%: tests/bpf/%.c $(LIB_OBJ) $(SELFTESTS_KEY) | $(BPF_SKEL)
	$(guest_program)

# These start guests with gmemload.
define policy_program
	@mkdir -p $(@D)
	$(call step,CC)
	$(Q)$(CC) $(CFLAGS) $(CPPFLAGS) -D_GNU_SOURCE -I$(SELFTESTS) $$(pkg-config --cflags json-c) \
		-MMD -MP $< $(LIB_OBJ) -o $@ $(LIBBPF_LIBS) $$(pkg-config --libs json-c) -lm
endef

$(B)/tests/policies/%: tests/policies/%.c $(LIB_OBJ) $(SELFTESTS_KEY) | $(BPF_SKEL)
	$(policy_program)

$(B)/tests/guard/%: tests/guard/%.c $(LIB_OBJ) $(SELFTESTS_KEY) | $(BPF_SKEL)
	$(policy_program)

# The benches attach policies with what gmempolicy attaches them with.
BENCH_OBJ := $(call tool_obj,gmempolicy/objects)
$(B)/bench/%: bench/%.c $(LIB_OBJ) $(BENCH_OBJ) $(SELFTESTS_KEY) | $(BPF_SKEL)
	$(guest_program)

unit: $(UNIT_BIN)
	@tests/run unit

tests: $(B)/gmemload $(B)/gmemboot $(B)/tests/selftests/no_flags.so $(UNIT_BIN) $(BPFTEST_BIN) $(KVMTEST_BIN) $(POLICYTEST_BIN) $(GUARDTEST_BIN)

# Debian's own, unpacked: what the exporter is for.
prometheus: | setup
	@tests/prometheus

-include $(shell find $(B)/bpf $(B)/obj $(B)/tests $(B)/bench -name '*.d' 2>/dev/null)

# ---------------------------------------------------------------- use it

demo: all
	@tests/demo/run

# Some suites want another kernel than ours; the runner knows which.
test: all prometheus
	@set -e; for kernel in $$(T='$(T)' tests/run --kernels); do kernel/build --variant $$kernel; done
	@T='$(T)' tests/run

test-all:
	@$(MAKE) --no-print-directory test T=.

bench: kernel kernel-baseline tools $(BENCH_BIN)
	@bench/run '$(BENCH)'

# Suites of the host and of other kernels say nothing about this one. Those that
# measure (policies) or drive the tools for long (+) take hours on it; T= runs
# them.
DEBUG_SUITES = ^(bpf|kunit|kvm|access|mmap|inplace|huge|huge-inplace|consumer|load|load-inplace|gmemtop|gmempolicy)$$
test-debug: all $(B)/kernel/debug.key
	@GMEM_KERNEL=debug GMEM_TEST_PATIENCE=6 GMEM_SECONDS=$${GMEM_SECONDS:-120} \
		GMEM_TEST_OUT=$(B)/test-debug T='$(or $(T),$(DEBUG_SUITES))' tests/run

# With T=PATTERN, those whose name matches.
test-selftests: kernel kernel-baseline $(B)/tests/selftests/no_flags.so
	@kernel/build-selftests
	@tests/selftests/run '$(T)'

# The same with huge folios for every guest_memfd of ours.
test-selftests-huge:
	@GMEM_SELFTEST_APPEND=kvm.gmem_huge_pages=always $(MAKE) --no-print-directory test-selftests

# --------------------------------------------------------------- install it

PREFIX ?= /usr/local
# gmempolicy looks nowhere else.
SYSCONFDIR := /etc
UNITDIR ?= $(PREFIX)/lib/systemd/system
ZSHDIR ?= $(PREFIX)/share/zsh/site-functions
UNITS := tools/gmempolicy/gmempolicyd.service tools/gmemtop/gmemtop-export.service \
	tools/gmemtop/gmemtop-record.service
MANS := $(wildcard docs/man/*)
DOCS := README.md NEWS $(wildcard docs/*.md)
FLEET := $(wildcard docs/fleet/*.yml docs/fleet/*/*)
TEMPLATES := $(wildcard tools/gmempolicy/template/*)

# Mode, source and place of each file. Those of mode 644+ are the administrator's:
# one that is there is left as it is.
define INSTALLED
$(foreach t,$(TOOLS),755 $(B)/$t $(PREFIX)/sbin/$t
)
$(foreach m,$(MANS),644 $(B)/install/$(notdir $m) $(PREFIX)/share/man/man$(patsubst .%,%,$(suffix $m))/$(notdir $m)
)
$(foreach u,$(UNITS),644 $(B)/install/$(notdir $u) $(UNITDIR)/$(notdir $u)
)
$(foreach t,$(TOOLS),644 $(B)/completion/bash/$t $(PREFIX)/share/bash-completion/completions/$t
644 $(B)/completion/zsh/_$t $(ZSHDIR)/_$t
)
$(foreach d,$(DOCS),644 $d $(PREFIX)/share/doc/gmem/$(notdir $d)
)
$(foreach f,$(FLEET),644 $f $(PREFIX)/share/doc/gmem/examples/$(f:docs/%=%)
)
644 docs/grafana-gmem.json $(PREFIX)/share/gmem/grafana-gmem.json
644 docs/prometheus-gmem.yml $(PREFIX)/share/gmem/prometheus-gmem.yml
644 tools/gmemtop/gmemtop.logrotate $(PREFIX)/share/doc/gmem/examples/gmemtop.logrotate
644+ tools/gmemtop/gmemtop-export.default $(SYSCONFDIR)/default/gmemtop-export
644+ tools/gmempolicy/policy.d.example $(SYSCONFDIR)/gmem/policy.d/gmem.toml
$(foreach h,$(wildcard bpf/include/*.h),644 $h $(PREFIX)/include/gmem/$(notdir $h)
)
$(foreach t,$(TEMPLATES),644 $t $(PREFIX)/share/doc/gmem/examples/policy/$(notdir $t)
)
endef
export INSTALLED

# What names its own place or the version.
$(B)/install/%.service: FORCE
	@mkdir -p $(@D)
	@sed 's,/usr/sbin/,$(PREFIX)/sbin/,' $(filter %/$*.service,$(UNITS)) >$@

$(MANS:docs/man/%=$(B)/install/%): $(B)/install/%: docs/man/% NEWS
	@mkdir -p $(@D)
	@sed 's,^\(\.TH .*"gmem\)",\1 $(VERSION)",' $< >$@

install: tools $(MANS:docs/man/%=$(B)/install/%) $(addprefix $(B)/install/,$(notdir $(UNITS)))
	@while read -r mode from to; do \
		[ -n "$$to" ] || continue; \
		case $$mode in *+) [ ! -e "$(DESTDIR)$$to" ] || continue ;; esac; \
		install -D -m "$${mode%+}" "$$from" "$(DESTDIR)$$to" || exit; \
	done <<<"$$INSTALLED"

# The administrator's files stay, and so do directories that have others in them.
uninstall:
	@while read -r mode from to; do \
		case $$mode in '' | *+) continue ;; esac; \
		rm -f "$(DESTDIR)$$to" || exit; \
	done <<<"$$INSTALLED"
	@rmdir $(addprefix "$(DESTDIR)$(PREFIX)"/,share/gmem \
		share/doc/gmem/examples/policy share/doc/gmem/examples/fleet/policy.d \
		share/doc/gmem/examples/fleet/targets share/doc/gmem/examples/fleet share/doc/gmem/examples share/doc/gmem include/gmem) 2>/dev/null || :

# In a copy of the tree: the packages' own directories and changelog are made there.
DEB := $(B)/deb/gmem-$(VERSION)
deb: tools
	@tests/setup debhelper fakeroot lintian
	@mkdir -p $(DEB)
	@rsync -a --delete --exclude=/build --exclude=/.git ./ $(DEB)/
	@{ printf 'gmem (%s) unstable; urgency=medium\n\n' $(VERSION); \
	   sed -n '3,$${/^$$/q;s/^/  /p}' NEWS | sed '1s/^  /  * /; 1!s/^/  /'; \
	   printf '\n -- %s  %s\n' "$$(sed -n 's/^Maintainer: //p' debian/control)" "$$(date -R -r NEWS)"; \
	 } >$(DEB)/debian/changelog
	@rm -f $(B)/deb/*.deb
	@cd $(DEB) && env -u MAKEFLAGS -u MAKELEVEL dpkg-buildpackage -b -us -uc >../log 2>&1 || \
		{ tail -n 20 ../log >&2; echo "make deb: building failed; the whole log is $(B)/deb/log" >&2; exit 1; }
	@lintian --allow-root --fail-on error,warning $(B)/deb/gmem_*.deb $(B)/deb/gmem-d[ek]*_all.deb
	@ls $(B)/deb/*.deb

test-patches: | setup
	@tests/patches

# What the README says, in clean installs of the releases that it names.
test-debian:
	@T='$(T)' tests/debian/run $(D) $(W)

# The packages and what they build, on Debian's own kernel: installed as by a user,
# and then the suites that ask the kernel something.
# That kernel is slower under emulation.
STOCK_SUITES = ^(bpf|kvm|gmempolicy|gmempolicy-author|gmemtop)$$
test-stock: all deb
	@tests/debian/run $(or $(D),12) packages
	@GMEM_KERNEL=debian GMEM_TEST_PATIENCE=$${GMEM_TEST_PATIENCE:-2} GMEM_TEST_OUT=$(B)/test-stock T='$(or $(T),$(STOCK_SUITES))' tests/run
	@GMEM_KERNEL=debian tests/demo/run

shell: all
	@tests/vm/run --interactive -- bash -l

# --no-tree: the patches' own paths are enough; the script runs outside a tree.
checkpatch: $(SELFTESTS_KEY)
	@tests/checkpatch

clean:
	rm -rf $(B)

distclean: clean
	rm -rf $(GMEM_CACHE)
