# lapwing: `make help` lists the targets. Everything that is generated goes to $(BUILD).
VERSION := 0.1.0
BUILD   ?= build
PREFIX  ?= /usr/local
DESTDIR ?=
V       ?=
Q       := $(if $(V),,@)
say     = $(if $(V),,@printf '  %-6s %s\n' $(1) $(2))

PKGS_DAEMON := gio-2.0 gio-unix-2.0 nice libmnl libnftnl libsodium jansson libcurl libnghttp2 libprotobuf-c openssl
PKGS_CLI    := glib-2.0 libmnl libsodium jansson
ifneq ($(shell pkg-config --exists $(PKGS_DAEMON) 2>/dev/null && echo yes),yes)
ifeq ($(filter deps check clean help demo,$(MAKECMDGOALS)),)
$(error libraries are missing: run `make deps` as root)
endif
endif

CFLAGS   ?= -O2 -g
WARNINGS := -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wvla -Wswitch-enum \
	-Wpointer-arith -Wwrite-strings -Wundef -Wformat=2 -Wno-unused-parameter $(if $(WERROR),-Werror)
# The first of these flags that the compiler takes: Ubuntu 22.04's gcc 11 lacks some.
takes     = $(shell for f in $(1); do $(CC) -Werror -O2 $$f -x c -c /dev/null -o /dev/null 2>/dev/null && echo $$f && break; done)
HARDEN   := -fPIE -fstack-protector-strong -fstack-clash-protection \
	$(call takes,-ftrivial-auto-var-init=zero -ftrivial-auto-var-init=pattern) \
	$(call takes,-fcf-protection=full -mbranch-protection=standard)
# Level 3 needs gcc 12; the sanitizers want none.
HARDEN   += $(if $(SAN),,-U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=$(if $(call takes,-ftrivial-auto-var-init=zero),3,2))
LW_CPPFLAGS := -iquote . -iquote $(BUILD)/gen -D_GNU_SOURCE -DLAPWING_VERSION='"$(VERSION)"' \
	$(shell pkg-config --cflags $(PKGS_DAEMON) 2>/dev/null | sed 's/-I/-isystem /g') $(CPPFLAGS)
LW_CFLAGS   := -std=gnu17 $(WARNINGS) $(HARDEN) $(SAN) -fno-strict-aliasing -MMD -MP $(CFLAGS)
# Nothing of the command line is in a hurry, and it is half of the package.
$(BUILD)/obj/agent/cli/%.o $(BUILD)/obj/agent/tune/%.o: LW_CFLAGS += $(if $(SAN),,-Os)
LW_LDFLAGS  := -pie -Wl,-z,relro,-z,now,-z,noexecstack -Wl,--as-needed $(SAN) $(LDFLAGS)
LIBS_DAEMON := $(shell pkg-config --libs $(PKGS_DAEMON) 2>/dev/null)
LIBS_CLI    := $(shell pkg-config --libs $(PKGS_CLI) 2>/dev/null)

objs     = $(patsubst %.c,$(BUILD)/obj/%.o,$(wildcard $(1)))
BASE    := $(call objs,agent/base/*.c)
CLI     := $(call objs,agent/cli/*.c)
PROTOS  := $(patsubst %.proto,$(BUILD)/gen/%.pb-c.c,$(wildcard mgmt/*.proto signal/*.proto))
AGENT   := $(PROTOS:$(BUILD)/gen/%.c=$(BUILD)/obj/gen/%.o) $(filter-out %/agent/main.o,$(call objs,agent/*.c agent/lazy/*.c agent/nego/*.c agent/rpc/*.c agent/tune/*.c netlink/*.c ice/*.c signal/*.c mgmt/*.c))
UNIT    := $(patsubst tests/unit/%.c,$(BUILD)/tests/%,$(wildcard tests/unit/test_*.c))
SIM     := $(patsubst tests/sim/%.c,$(BUILD)/tests/%,$(wildcard tests/sim/sim_*.c))
FUZZ    := $(patsubst tests/fuzz/%.c,%,$(wildcard tests/fuzz/fuzz_*.c))
REPLAY  := $(addprefix $(BUILD)/tests/replay_,$(FUZZ))
# Programs that scenarios run in their guests, and other scripts here.
LIVE    := $(patsubst tests/unit/%.c,$(BUILD)/tests/%,$(wildcard tests/unit/live_*.c))

.PHONY: all deps check check-unit check-vm check-sandbox check-nat check-static check-package check-ansible-vm check-clang asan sim fuzz bench demo install deb format \
	format-check clean help tests
all: $(BUILD)/lapwingd $(BUILD)/lapwing

help:
	@sed -n 's/^# \(.*: .*\)/\1/p' Makefile | sed 1d

# deps: install what is missing to build and test (as root)
deps:
	$(Q)scripts/deps all

$(BUILD)/lapwingd: $(BUILD)/obj/agent/main.o $(BUILD)/libagent.a $(BUILD)/libbase.a
	$(call say,LINK,$@)
	$(Q)$(CC) $(LW_LDFLAGS) -o $@ $^ $(LIBS_DAEMON)

# The archive is for check-config: only the pure parsers of both files are taken from it.
$(BUILD)/lapwing: $(CLI) $(BUILD)/libagent.a $(BUILD)/libbase.a
	$(call say,LINK,$@)
	$(Q)$(CC) $(LW_LDFLAGS) -o $@ $^ $(LIBS_CLI)

$(BUILD)/libagent.a: $(AGENT)
$(BUILD)/libbase.a: $(BASE)
$(BUILD)/libcli.a: $(filter-out %/cli/main.o,$(CLI))
$(BUILD)/lib%.a:
	$(call say,AR,$@)
	$(Q)rm -f $@ && $(AR) rcs $@ $^

# Messages of servers: generated before anything that may include them.
$(BUILD)/gen/%.pb-c.c: %.proto
	$(call say,PROTO,$<)
	$(Q)mkdir -p $(@D) && protoc-c --c_out=$(BUILD)/gen $<
# For the hub of the tests, where there is no protoc.
$(BUILD)/gen/%_pb2.py: mgmt/%.proto
	$(call say,PROTO,$<)
	$(Q)mkdir -p $(@D) && protoc -I mgmt --python_out=$(BUILD)/gen $<
$(BUILD)/obj/gen/%.o: $(BUILD)/gen/%.c Makefile
	$(call say,CC,$<)
	$(Q)mkdir -p $(@D) && $(CC) $(LW_CPPFLAGS) $(filter-out -W%,$(LW_CFLAGS)) -c -o $@ $<

$(BUILD)/obj/%.o: %.c Makefile | $(PROTOS)
	$(call say,CC,$<)
	$(Q)mkdir -p $(@D) && $(CC) $(LW_CPPFLAGS) $(LW_CFLAGS) -c -o $@ $<

$(BUILD)/tests/%: $(BUILD)/obj/tests/unit/%.o $(call objs,tests/unit/fake_*.c) $(BUILD)/libcli.a $(BUILD)/libagent.a $(BUILD)/libbase.a
	$(Q)mkdir -p $(@D) && $(CC) $(LW_LDFLAGS) -o $@ $^ $(LIBS_DAEMON)
$(BUILD)/tests/sim_%: $(BUILD)/obj/tests/sim/sim_%.o $(call objs,tests/sim/model_*.c) $(BUILD)/libagent.a $(BUILD)/libbase.a
	$(Q)mkdir -p $(@D) && $(CC) $(LW_LDFLAGS) -o $@ $^ $(LIBS_DAEMON)
$(BUILD)/tests/replay_%: $(BUILD)/obj/tests/fuzz/%.o $(BUILD)/obj/tests/fuzz/replay.o $(BUILD)/libagent.a $(BUILD)/libbase.a
	$(Q)mkdir -p $(@D) && $(CC) $(LW_LDFLAGS) -o $@ $^ $(LIBS_DAEMON)
$(BUILD)/tests/fuzz_%: $(BUILD)/obj/tests/fuzz/fuzz_%.o $(BUILD)/libagent.a $(BUILD)/libbase.a
	$(Q)mkdir -p $(@D) && $(CC) $(LW_LDFLAGS) -fsanitize=fuzzer -o $@ $^ $(LIBS_DAEMON)
$(BUILD)/tests/bench_%: $(BUILD)/obj/tests/bench/bench_%.o $(BUILD)/libagent.a $(BUILD)/libbase.a
	$(Q)mkdir -p $(@D) && $(CC) $(LW_LDFLAGS) -o $@ $^ $(LIBS_DAEMON) -lm
tests: $(UNIT) $(SIM) $(REPLAY) $(LIVE) $(BUILD)/gen/management_pb2.py
.SECONDARY:

# check: everything - static checks, unit, simulation, fuzz corpora, sanitizers, both compilers, VM
check: deps
	$(Q)BUILD=$(BUILD) MAKE="$(MAKE)" tests/check static unit asan clang vm
# check-unit: unit tests, simulation and fuzz corpora (PROGRAM=test_addr for one)
check-unit:
	$(Q)BUILD=$(BUILD) MAKE="$(MAKE)" PROGRAM=$(PROGRAM) tests/check unit
# check-static: include rules, headers, format, manual pages
check-static:
	$(Q)BUILD=$(BUILD) MAKE="$(MAKE)" tests/check static
# check-package: the Debian package - lintian, twice the same, its life from install to purge in QEMU (minutes)
check-package: all tests
	$(Q)BUILD=$(BUILD) MAKE="$(MAKE)" tests/check package
# check-vm: scenarios on a real kernel in QEMU (S=name for one)
check-vm: all tests $(if $(filter package ansible,$(S)),$(BUILD)/lapwing.deb)
	$(Q)BUILD=$(BUILD) MAKE="$(MAKE)" S="$(S)" tests/check vm
# check-sandbox: the scenarios with the daemon in the sandbox of its unit, under systemd in QEMU (S=name for one; an hour)
check-sandbox: all tests
	$(Q)SANDBOX=yes BUILD=$(BUILD) MAKE="$(MAKE)" S="$(S)" tests/check vm
# check-ansible-vm: the Ansible role on three hosts with systemd in QEMU: roll out, upgrade, mishaps (half an hour)
check-ansible-vm: all tests $(BUILD)/lapwing.deb
	$(Q)BUILD=$(BUILD) MAKE="$(MAKE)" S=ansible tests/check vm
# check-nat: every pair of accesses to the net, and which find a direct path (half an hour)
check-nat: all tests
	$(Q)BUILD=$(BUILD) MAKE="$(MAKE)" S=natall tests/check vm
# asan: unit tests, simulation and fuzz corpora under address and undefined behaviour sanitizers
asan:
	$(Q)BUILD=$(BUILD) MAKE="$(MAKE)" PROGRAM=$(PROGRAM) tests/check asan
# sim: 10000 lives of each simulation, and the bugs that they must find
sim:
	$(Q)BUILD=$(BUILD) MAKE="$(MAKE)" tests/check sim
# fuzz: every fuzzer for SECONDS (default 60) each, with coverage of the parser's file
fuzz:
	$(Q)MAKE="$(MAKE)" BUILD=$(BUILD) tests/fuzz/run $(FUZZ)
# bench: the measured figures of the project, in the VM (slow)
bench: all $(BUILD)/tests/live_fakehost $(BUILD)/tests/live_acl $(BUILD)/tests/live_ice $(BUILD)/tests/live_rpc \
		$(BUILD)/tests/bench_map $(BUILD)/gen/management_pb2.py
	$(Q)BUILD=$(BUILD) tests/bench/run $(B)
# demo: three hosts, a mesh, a deleted interface and its repair
demo:
	$(Q)scripts/deps demo && $(MAKE) --no-print-directory all && BUILD=$(BUILD) tests/demo

# What is for other programs to find goes where they look: below PREFIX, but for NetworkManager, which knows only /usr and /etc.
LIB        = $(DESTDIR)$(PREFIX)/lib
SHARE      = $(DESTDIR)$(PREFIX)/share
UNIT_DIR  ?= $(PREFIX)/lib/systemd/system
UDEV_DIR  ?= $(PREFIX)/lib/udev/rules.d
ZSH_DIR   ?= $(PREFIX)/share/zsh/$(if $(filter /usr,$(PREFIX)),vendor-completions,site-functions)
NM_DIR    ?= $(if $(filter /usr,$(PREFIX)),/usr/lib,/etc)/NetworkManager/conf.d
UNITS     := lapwing.service lapwing-enroll.service lapwing-tune.service lapwing-tune@.service lapwing-metrics.service lapwing-metrics.timer
# An instance is a service like the first one, with files and directories of its own.
INSTANCE  := s,^Description=.*,& %i,; s,/etc/lapwing/lapwing\.json,/etc/lapwing/%i.json,; \
	s,^ExecStart=.*,& --config=/etc/lapwing/%i.json --state=/var/lib/lapwing-%i --run=/run/lapwing-%i,; \
	s,^\(State\|Runtime\)Directory=lapwing$$,&-%i,
# Names that no instance can have: its files would be those of lapwing tune, of the first one, or its mesh.
NO_NAMES  := tune lapwing mesh
$(BUILD)/lapwing@.service: scripts/lapwing.service Makefile
	$(Q)mkdir -p $(@D) && sed '$(INSTANCE)' $< >$@

# install: all of it below DESTDIR and PREFIX
install: all $(BUILD)/lapwing@.service
	install -D -m755 $(BUILD)/lapwingd $(DESTDIR)$(PREFIX)/sbin/lapwingd
	install -D -m755 $(BUILD)/lapwing $(DESTDIR)$(PREFIX)/bin/lapwing
	install -D -m644 -t $(SHARE)/man/man8 man/lapwingd.8 man/lapwing.8 man/lapwing-tune.8
	install -D -m644 -t $(SHARE)/man/man5 man/lapwing.json.5
	install -D -m644 scripts/completion/bash $(SHARE)/bash-completion/completions/lapwing
	install -D -m644 scripts/completion/zsh $(DESTDIR)$(ZSH_DIR)/_lapwing
	install -D -m644 scripts/completion/fish $(SHARE)/fish/vendor_completions.d/lapwing.fish
	install -D -m644 -t $(SHARE)/lapwing/schemas scripts/schemas/*.json
	install -d $(DESTDIR)/etc/lapwing $(DESTDIR)$(UNIT_DIR)
	for unit in $(UNITS:%=scripts/%) $(BUILD)/lapwing@.service; do \
		sed "s,/usr/sbin/lapwingd,$(PREFIX)/sbin/lapwingd,; s,/usr/bin/lapwing,$(PREFIX)/bin/lapwing," $$unit \
			>$(DESTDIR)$(UNIT_DIR)/$${unit##*/} && chmod 644 $(DESTDIR)$(UNIT_DIR)/$${unit##*/} || exit 1; done
	for name in $(NO_NAMES); do ln -sf /dev/null $(DESTDIR)$(UNIT_DIR)/lapwing@$$name.service || exit 1; done
	install -D -m644 -t $(DESTDIR)$(UDEV_DIR) scripts/90-lapwing-tune.rules
	install -D -m644 scripts/sysusers.conf $(LIB)/sysusers.d/lapwing.conf
	install -D -m644 scripts/tmpfiles.conf $(LIB)/tmpfiles.d/lapwing.conf
	install -D -m644 scripts/modules-load.conf $(LIB)/modules-load.d/lapwing.conf
	install -D -m644 scripts/sysctl.conf $(LIB)/sysctl.d/60-lapwing.conf
	install -D -m644 scripts/networkd.conf $(LIB)/systemd/networkd.conf.d/60-lapwing.conf
	install -D -m644 scripts/lapwing.network $(LIB)/systemd/network/10-lapwing.network
	install -D -m644 scripts/NetworkManager.conf $(DESTDIR)$(NM_DIR)/60-lapwing.conf

# deb: build/lapwing.deb, the Debian package; as often as you like with the same bytes
deb: $(BUILD)/lapwing.deb
DEB_SOURCES := Makefile README.md LICENSE agent ice man mgmt netlink scripts signal
$(BUILD)/lapwing.deb: $(shell find $(DEB_SOURCES) -type f)
	$(Q)scripts/build-deb $(BUILD)/deb && cp $(BUILD)/deb/lapwing_$(VERSION)_*.deb $@

SOURCES := $(wildcard agent/*.[ch] agent/*/*.[ch] netlink/*.[ch] ice/*.[ch] signal/*.[ch] mgmt/*.[ch] tests/*/*.[ch])
CLANG_FORMAT ?= $(firstword $(foreach t,clang-format-14 clang-format,$(if $(shell command -v $(t)),$(t))))
# format: rewrite the sources in the project's format
format:
	$(Q)$(CLANG_FORMAT) -i $(SOURCES)
# format-check: fail when a source is not in the project's format
format-check:
	$(Q)$(CLANG_FORMAT) --dry-run --Werror $(SOURCES)
clean:
	rm -rf $(BUILD)

-include $(shell find $(BUILD)/obj -name '*.d' 2>/dev/null)
