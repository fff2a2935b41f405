# The front door of weft; `make help` lists what there is.
# SETUP picks a build (tools/build), PREFIX and DESTDIR mean what they mean everywhere.
PREFIX ?= /usr/local
DESTDIR ?=
.PHONY: help run test bench stress install
.DEFAULT_GOAL := help

help: ## this list
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/  make \1	\2/p' Makefile
run: ## build and start weftcast with the demo configuration on loopback
	@tools/setup && tools/build $(or $(SETUP),dev)
	@exec $(patsubst build-dev,build,build-$(or $(SETUP),dev))/cast/weftcast --config deploy/demo.json
test: ## build everything with -Werror and run every suite (SUITE=unit: only one)
	@tools/setup --test --cross && tools/build $(or $(SETUP),test)
	@tools/run-tests --build build-$(or $(SETUP),test) $(addprefix --suite ,$(SUITE))
bench: ## compare with Go and with bare C loops; prints a table, writes build/bench.json (BENCH=--quick)
	@tools/setup --bench && tools/build release
	@bench/run --build build-release $(BENCH)
stress: ## the stress suite for long: WEFT_STRESS_SECONDS a case (60), SETUP=tsan, asan ...
	@tools/setup --test && tools/build $(or $(SETUP),release)
	@WEFT_STRESS_SECONDS=$${WEFT_STRESS_SECONDS:-60} tools/run-tests --build build-$(or $(SETUP),release) --suite stress
install: ## install library, headers, manual pages, weftcast (PREFIX, DESTDIR)
	@tools/setup && PREFIX='$(PREFIX)' tools/build release
	@DESTDIR='$(DESTDIR)' meson install -C build-release --no-rebuild --quiet
	@test -n '$(DESTDIR)' || ldconfig 2>/dev/null || true
