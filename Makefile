# Atoll. `make help` lists the targets.
#
# SANITIZER=address builds everything again under build-address/ with ASan and UBSan.

# The built-in default is `cc`, which is not there before scripts/setup.
ifeq ($(origin CC),default)
CC          := gcc
endif
CLANG       ?= clang
SANITIZER   ?=
PREFIX      ?= /usr/local
DESTDIR     ?=
BUILD       := build$(if $(SANITIZER),-$(SANITIZER))
# V=1 shows the whole commands.
Q           := $(if $(V),,@)
JOBS         = -j$(shell nproc)
SAY          = $(if $(V),@:,@printf '  %-4s %s\n')

WARNINGS    := -Wall -Wextra -Wconversion -Wshadow -Wstrict-prototypes -Wmissing-prototypes \
               -Wformat=2 -Wvla -Werror
HARDENING   := -fstack-protector-strong -fPIE -fno-strict-aliasing
CPPFLAGS    += -I. -Iinclude -D_GNU_SOURCE $(if $(SANITIZER),,-D_FORTIFY_SOURCE=2)
CFLAGS      ?= -O2 -g
ALL_CFLAGS  := -std=gnu17 $(CFLAGS) $(WARNINGS) $(HARDENING) -ffunction-sections -fdata-sections -pthread
LDFLAGS     += -pie -Wl,-z,relro,-z,now -Wl,--gc-sections -Wl,--as-needed -pthread

ifeq ($(SANITIZER),address)
ALL_CFLAGS  += -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer
LDFLAGS     += -fsanitize=address,undefined
endif

# Each folder of lib/ is one archive; a program takes from it what it uses.
LIBS        := base config json host agentproto auth image policy db runtime
lib_objects  = $(patsubst %.c,$(BUILD)/obj/%.o,$(wildcard lib/$(1)/*.c))
LIB_FILES   := $(foreach l,$(LIBS),$(BUILD)/lib$(l).a)
link_libs    = -Wl,--start-group $(foreach l,$(1),$(BUILD)/lib$(l).a) -Wl,--end-group

PROGRAMS    := atoll-server atoll-monitor atoll-worker atoll-launcher atoll-agent atoll-archive atoll
BINARIES    := $(addprefix $(BUILD)/bin/,$(PROGRAMS))

sources      = $(shell find $(1) -name '*.c' 2>/dev/null | sort)
SERVER_SRC  := $(call sources,server)
MONITOR_SRC := $(call sources,monitor)
WORKER_SRC  := $(call sources,worker)
LAUNCHER_SRC := $(call sources,launcher)
AGENT_SRC   := $(call sources,agent)
ARCHIVE_SRC := $(call sources,archive)
CLI_SRC     := $(call sources,cli)
objects      = $(patsubst %.c,$(BUILD)/obj/%.o,$(1))

.PHONY: all run test tested unit integration bench lint format asan fuzz images install clean help docs
.DELETE_ON_ERROR:

all: $(BINARIES) ## Build every program

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
	@printf '\nVariables: %s\n' 'PREFIX, DESTDIR (install), FUZZ_RUNS, CC, CFLAGS, V=1 (whole commands)'

# --- objects, archives, generated sources

$(BUILD)/obj/%.o: %.c
	@mkdir -p $(@D)
	$(SAY) CC $<
	$(Q)$(CC) $(CPPFLAGS) $(ALL_CFLAGS) -MMD -MP -c $< -o $@

define lib_rule
$(BUILD)/lib$(1).a: $(call lib_objects,$(1))
	@mkdir -p $$(@D)
	@rm -f $$@
	$(SAY) AR $$@
	$(Q)ar rcs $$@ $$^
endef
$(foreach l,$(LIBS),$(eval $(call lib_rule,$(l))))

$(BUILD)/gen/migrations.c: scripts/embed-migrations $(wildcard migrations/*.sql)
	@mkdir -p $(@D)
	scripts/embed-migrations migrations/*.sql > $@

$(BUILD)/obj/gen/migrations.o: $(BUILD)/gen/migrations.c
	@mkdir -p $(@D)
	$(SAY) CC $<
	$(Q)$(CC) $(CPPFLAGS) $(ALL_CFLAGS) -c $< -o $@

$(BUILD)/gen/docs_page.c: scripts/embed-text $(wildcard server/docs/*)
	@mkdir -p $(@D)
	scripts/embed-text docs_style=server/docs/style.css docs_body=server/docs/page.html \
		docs_script=server/docs/script.js > $@

$(BUILD)/obj/gen/docs_page.o: $(BUILD)/gen/docs_page.c
	@mkdir -p $(@D)
	$(SAY) CC $<
	$(Q)$(CC) $(CPPFLAGS) $(ALL_CFLAGS) -c $< -o $@

# --- programs

SERVER_LIBS  := config json host auth image policy db runtime agentproto base
$(BUILD)/bin/atoll-server: $(call objects,$(SERVER_SRC)) $(LIB_FILES) $(BUILD)/obj/gen/migrations.o \
		$(BUILD)/obj/gen/docs_page.o
	@mkdir -p $(@D)
	$(SAY) LD $@
	$(Q)$(CC) $(LDFLAGS) $(filter %.o,$^) $(call link_libs,$(SERVER_LIBS)) \
		-lcivetweb -lwslay -lcjson -ljwt -lpq -lcurl -lcrypto -o $@

$(BUILD)/bin/atoll-monitor: $(call objects,$(MONITOR_SRC)) $(LIB_FILES) $(BUILD)/obj/gen/migrations.o
	@mkdir -p $(@D)
	$(SAY) LD $@
	$(Q)$(CC) $(LDFLAGS) $(filter %.o,$^) $(call link_libs,config db runtime host agentproto base) -lpq -o $@

$(BUILD)/bin/atoll-worker: $(call objects,$(WORKER_SRC)) $(LIB_FILES) $(BUILD)/obj/gen/migrations.o
	@mkdir -p $(@D)
	$(SAY) LD $@
	$(Q)$(CC) $(LDFLAGS) $(filter %.o,$^) $(call link_libs,config db runtime host agentproto base) \
		-lpq -lcurl -lcrypto -o $@

$(BUILD)/bin/atoll-launcher: $(call objects,$(LAUNCHER_SRC)) $(LIB_FILES)
	@mkdir -p $(@D)
	$(SAY) LD $@
	$(Q)$(CC) $(LDFLAGS) $(filter %.o,$^) $(call link_libs,host base) -lseccomp -o $@

$(BUILD)/bin/atoll: $(call objects,$(CLI_SRC)) $(LIB_FILES) $(BUILD)/obj/gen/migrations.o
	@mkdir -p $(@D)
	$(SAY) LD $@
	$(Q)$(CC) $(LDFLAGS) $(filter %.o,$^) $(call link_libs,config json host auth image db runtime agentproto base) \
		-lpq -lcurl -lwslay -lcjson -ljwt -lcrypto -o $@

# The agent runs inside every sandbox, whatever its image holds: static, and by musl a tenth of the
# size. No sanitizer runtime: undefined behaviour traps instead. musl-gcc hides the kernel's headers.
AGENT_CC    := musl-gcc
AGENT_LIB   := $(wildcard lib/agentproto/*.c)
AGENT_FLAGS := -std=gnu17 -Os -g $(WARNINGS) -fno-strict-aliasing -fno-pie -ffunction-sections \
               -fdata-sections -fstack-protector-strong -idirafter /usr/include \
               -idirafter /usr/include/$(shell $(CC) -print-multiarch 2>/dev/null) \
               $(if $(SANITIZER),-fsanitize=undefined -fsanitize-undefined-trap-on-error)
agent_objects = $(patsubst %.c,$(BUILD)/obj-agent/%.o,$(AGENT_SRC) $(AGENT_LIB))
$(BUILD)/obj-agent/%.o: %.c
	@mkdir -p $(@D)
	$(SAY) CC $<
	$(Q)$(AGENT_CC) -I. -Iinclude -D_GNU_SOURCE $(AGENT_FLAGS) -MMD -MP -c $< -o $@

$(BUILD)/bin/atoll-agent: $(agent_objects)
	@mkdir -p $(@D)
	$(SAY) LD $@
	$(Q)$(AGENT_CC) -static -no-pie -Wl,--gc-sections -s $^ -o $@

# It runs inside every sandbox too, but only while it works: static, with glibc, which is what
# Debian's libarchive is built for. Only what the formats need of it is linked.
ARCHIVE_FLAGS := -std=gnu17 -O2 -g $(WARNINGS) -fno-strict-aliasing -ffunction-sections -fdata-sections \
                 -fstack-protector-strong -D_FORTIFY_SOURCE=2 -D_FILE_OFFSET_BITS=64
archive_objects = $(patsubst %.c,$(BUILD)/obj-archive/%.o,$(ARCHIVE_SRC))
$(BUILD)/obj-archive/%.o: %.c
	@mkdir -p $(@D)
	$(SAY) CC $<
	$(Q)$(CC) -I. -Iinclude -D_GNU_SOURCE $(ARCHIVE_FLAGS) -MMD -MP -c $< -o $@

$(BUILD)/bin/atoll-archive: $(archive_objects)
	@mkdir -p $(@D)
	$(SAY) LD $@
	$(Q)$(CC) -static -Wl,--gc-sections -s $^ -larchive -lnettle -llzma -lbz2 -lzstd -lz -o $@

# --- tests

TEST_SRC    := $(call sources,tests/unit)
TEST_MAINS  := $(foreach t,$(TEST_SRC),$(if $(filter test_%,$(notdir $(t))),$(t)))
TEST_SUPPORT := $(call objects,$(filter-out $(TEST_MAINS),$(TEST_SRC)))
TEST_BINS   := $(patsubst tests/unit/%.c,$(BUILD)/tests/%,$(TEST_MAINS))
# A test may reach into any program: everything but the mains is one more archive.
PROGRAM_OBJ := $(call objects,$(filter-out %/main.c,$(SERVER_SRC) $(MONITOR_SRC) $(WORKER_SRC) \
               $(LAUNCHER_SRC) $(AGENT_SRC) $(ARCHIVE_SRC) $(CLI_SRC)))
$(BUILD)/libprograms.a: $(PROGRAM_OBJ) $(TEST_SUPPORT) $(BUILD)/obj/gen/migrations.o \
		$(BUILD)/obj/gen/docs_page.o
	@rm -f $@
	$(SAY) AR $@
	$(Q)ar rcs $@ $^

ALL_LIBS    := -lcivetweb -lwslay -lcjson -ljwt -lpq -lcurl -lseccomp -lcrypto
$(TEST_BINS): $(BUILD)/tests/%: $(BUILD)/obj/tests/unit/%.o $(BUILD)/libprograms.a $(LIB_FILES)
	@mkdir -p $(@D)
	$(SAY) LD $@
	$(Q)$(CC) $(LDFLAGS) $< -Wl,--start-group $(BUILD)/libprograms.a $(LIB_FILES) -Wl,--end-group \
		-lcmocka $(ALL_LIBS) -o $@

unit: all $(TEST_BINS) ## Run the unit tests (cmocka)
	BUILD=$(BUILD) scripts/run-unit $(TEST_BINS)

integration: all ## Run the integration, security and chaos tests (pytest, real daemons, root)
	BUILD=$(BUILD) scripts/run-integration

# The suites run one after another, whatever -j says: each starts real daemons.
tested: all $(TEST_BINS)

test: ## Install what the tests need and run every test
	scripts/setup test
	$(MAKE) $(JOBS) tested
	$(MAKE) unit
	$(MAKE) integration

asan: ## The same tests against an ASan and UBSan build
	scripts/setup test
	$(MAKE) $(JOBS) SANITIZER=address CFLAGS="-O1 -g" tested
	$(MAKE) SANITIZER=address CFLAGS="-O1 -g" unit
	$(MAKE) SANITIZER=address CFLAGS="-O1 -g" integration

FUZZ_SRC    := $(wildcard tests/fuzz/fuzz_*.c)
FUZZ_BINS   := $(patsubst tests/fuzz/%.c,build/fuzz/%,$(FUZZ_SRC))
FUZZ_RUNS   ?= 200000
FUZZ_CODE   := $(filter-out %/main.c,$(SERVER_SRC) $(LAUNCHER_SRC) $(AGENT_SRC)) \
               $(foreach l,$(LIBS),$(wildcard lib/$(l)/*.c))
FUZZ_FLAGS  := -std=gnu17 -O1 -g -fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=all
build/obj-fuzz/%.o: %.c
	@mkdir -p $(@D)
	$(SAY) CC $<
	$(Q)$(CLANG) $(CPPFLAGS) $(FUZZ_FLAGS) -MMD -MP -c $< -o $@
build/libfuzz.a: $(patsubst %.c,build/obj-fuzz/%.o,$(FUZZ_CODE))
	@rm -f $@
	$(SAY) AR $@
	$(Q)ar rcs $@ $^
$(FUZZ_BINS): build/fuzz/%: tests/fuzz/%.c build/libfuzz.a
	@mkdir -p $(@D)
	$(SAY) LD $@
	$(Q)$(CLANG) $(CPPFLAGS) -std=gnu17 -O1 -g -fsanitize=fuzzer,address,undefined \
		-fno-sanitize-recover=all $< build/libfuzz.a -pthread $(ALL_LIBS) -o $@

fuzz: ## Run each fuzz target for FUZZ_RUNS inputs
	scripts/setup dev
	$(MAKE) $(JOBS) $(FUZZ_BINS)
	scripts/run-fuzz $(FUZZ_RUNS) $(FUZZ_BINS)

# --- checks

C_FILES     := $(call sources,include lib server monitor worker launcher agent archive cli tests bench) \
               $(shell find include lib server monitor worker launcher agent archive cli tests bench -name '*.h' 2>/dev/null)

format: ## Format the C sources
	clang-format-14 -i $(C_FILES)

lint: docs ## clang-format, clang-tidy, cppcheck, the dependency law, stale documents
	scripts/setup dev
	scripts/lint

docs: $(BUILD)/bin/atoll $(BUILD)/bin/atoll-server ## Write the documents that derive from tables
	scripts/generate-docs $(BUILD)/bin

# --- running

run: ## Install what is missing, build, and run the whole service (Ctrl-C stops it)
	scripts/setup run
	$(MAKE) $(JOBS) all
	$(BUILD)/bin/atoll dev

images: all ## Build the images (base, bun)
	scripts/setup run
	$(BUILD)/bin/atoll image build base
	$(BUILD)/bin/atoll image build bun

BENCH_SRC   := $(wildcard bench/*.c)
BENCH_BINS  := $(patsubst bench/%.c,$(BUILD)/bench/%,$(BENCH_SRC))
$(filter-out %/ticker,$(BENCH_BINS)): $(BUILD)/bench/%: $(BUILD)/obj/bench/%.o $(LIB_FILES)
	@mkdir -p $(@D)
	$(SAY) LD $@
	$(Q)$(CC) $(LDFLAGS) $< $(call link_libs,json runtime agentproto host base) -lcurl -lcjson -lseccomp -lm -o $@

# It runs inside sandboxes, as the agent does.
$(BUILD)/bench/ticker: bench/ticker.c
	@mkdir -p $(@D)
	$(SAY) LD $@
	$(Q)$(AGENT_CC) -D_GNU_SOURCE $(AGENT_FLAGS) -static -no-pie -s $< -o $@

bench: ## Measure against the raw limit and the peers that are installed
	scripts/setup bench
	$(MAKE) $(JOBS) all $(BENCH_BINS)
	bench/run

install: all ## Install under DESTDIR/PREFIX, with systemd units and a default configuration
	packaging/install.sh "$(DESTDIR)" "$(PREFIX)" "$(BUILD)"

clean: ## Remove what was built
	rm -rf build build-address

-include $(shell find $(BUILD) build/obj-fuzz -name '*.d' 2>/dev/null)
