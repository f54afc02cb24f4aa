# `make help` lists the targets. Needed: git, make, bash and Go (see go.mod);
# no C compiler, no Docker, no root. Servers come from internal/testenv.

SHELL := /bin/bash
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

export CGO_ENABLED := 0
# Only the product carries its commit, and only where git can tell it (a
# checkout of another user, or no checkout, makes the go command fail).
BUILDVCS := $(shell git rev-parse HEAD >/dev/null 2>&1 && echo true || echo false)
export GOFLAGS := $(strip $(GOFLAGS) -buildvcs=false)
# How long every random test goes on above its minimum.
export CDC_TEST_BUDGET ?= 60s

CACHE   := $(CURDIR)/.cache
REPORT  := $(CACHE)/servers.tsv
# MySQL 5.7 and ClickHouse's engine come from npm; where that is missing, their tests are skipped and the last table says so.
SERVERS := mariadb,mysql,postgres,kcat$(shell command -v npm >/dev/null && echo ,mysql57,clickhouse)
TESTENV := go run ./internal/testenv/cmd/testenv
VERSION := $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)
LDFLAGS := -s -w -X main.version=$(VERSION)
STATICCHECK_VERSION := v0.7.0
STATICCHECK := $(CACHE)/tools/staticcheck-$(STATICCHECK_VERSION)

.PHONY: help
help: ## list the targets
	@awk -F ':.*## ' '/^[a-z][a-z-]*:.*## / {printf "  %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: check-go
check-go:
	@need=$$(sed -n 's/^go //p' go.mod); \
	if ! command -v go >/dev/null; then \
	  echo "make: Go is not on PATH; install Go $$need or later (https://go.dev/dl), or put its bin folder on PATH" >&2; exit 1; fi; \
	have=$$(go env GOVERSION 2>/dev/null); have=$${have#go}; \
	if [ -z "$$have" ] || [ "$$(printf '%s\n%s\n' "$$need" "$${have%%[- ]*}" | sort -V | head -1)" != "$$need" ]; then \
	  echo "make: this is Go $${have:-of unknown version}, go.mod needs $$need or later: install it (https://go.dev/dl), or let Go fetch it: go env -u GOTOOLCHAIN" >&2; exit 1; fi

.PHONY: build
build: check-go ## build bin/cdc
	go build -buildvcs=$(BUILDVCS) -ldflags '$(LDFLAGS)' -o bin/cdc ./cmd/cdc

.PHONY: demo
demo: build ## a live source, its join in four destinations, and the proof that all are equal (DEMO_SECONDS=30)
	@bin/cdc demo --seconds $${DEMO_SECONDS:-30}

.PHONY: demo-up
demo-up: build ## the demo, kept running; says how to connect
	@bin/cdc demo --keep

.PHONY: demo-down
demo-down: build ## stop what demo-up left running and remove it
	@bin/cdc demo --stop

# gotest runs go test with the arguments $(1), under the command $(2) if it is
# given, then prints the servers that
# were used and, last, go test's own closing lines; the status is go test's.
define gotest
	@mkdir -p $(CACHE); rm -f $(REPORT); begin=$$SECONDS; \
	CDC_TESTENV_REPORT=$(REPORT) $(2) go test -count=1 -p 2 $(1) 2>&1 | tee $(CACHE)/test.log; status=$${PIPESTATUS[0]}; \
	echo; $(TESTENV) report $(REPORT); echo; \
	echo "go test took $$((SECONDS - begin)) s; its closing lines:"; \
	grep -E '^(ok  |FAIL|--- FAIL|panic: )' $(CACHE)/test.log; \
	exit $$status
endef

.PHONY: servers
servers: check-go ## download the test servers that the machine lacks (once, into .cache)
	@$(TESTENV) fetch $(SERVERS) || echo "make: tests that need a missing server will be skipped; CDC_REQUIRE=all makes that a failure" >&2

.PHONY: test
test: servers ## all tests on real servers: no Java, no Docker
	$(call gotest,-timeout 20m ./...)

.PHONY: test-full
test-full: servers ## the same in full size (a million transactions, 2 million rows in one), with long random runs (CDC_TEST_BUDGET=10m)
	$(call gotest,-timeout 4h ./...)
test-full: export CDC_TEST_BUDGET = 10m
test-full: export CDC_TEST_FULL = 1
test-full: export CDC_TEST_BIG_ROWS = 2000000

.PHONY: test-peers
test-peers: check-go ## the streams' tests against a real Kafka, every T-SQL text against two grammars, dbt on raw tables; needs a JDK (17 or later), Python 3 and, the first time, Maven and PyPI
	go build -o $(CACHE)/tools/testenv ./internal/testenv/cmd/testenv
	$(call gotest,-timeout 20m -p 1 -tags peers ./internal/testenv/kafka/ ./internal/stream/... ./sinks/sqlserver/grammars/,$(CACHE)/tools/testenv run kafka --)
	$(call gotest,-timeout 20m -tags peers -run '^TestDBT' ./internal/e2e/)

.PHONY: soak
soak: servers ## the random tests for SOAK_TIME (1h) each
	$(call gotest,-timeout 0 ./...)
soak: export CDC_TEST_BUDGET = $(or $(SOAK_TIME),1h)

.PHONY: docs
docs: build ## write docs/reference from the code
	@bin/cdc docs docs/reference

.PHONY: verified
verified: servers ## run the destinations' suites and write docs/verified.md: what was proven where
	@mkdir -p $(CACHE); rm -f $(REPORT)
	CDC_TESTENV_REPORT=$(REPORT) go test -json -count=1 -p 1 -timeout 60m ./sinks/... ./internal/e2e > $(CACHE)/verified.json; status=$$?; \
	go run ./internal/testenv/cmd/verified -servers $(REPORT) < $(CACHE)/verified.json > $(CACHE)/verified.md && \
	mv $(CACHE)/verified.md docs/verified.md; exit $$status

.PHONY: bench
bench: servers ## the whole program, into docs/benchmarks (BENCH_SCALE=5), then the Go benchmarks, into .cache/bench.txt
	@mkdir -p $(CACHE) docs/benchmarks
	CDC_BENCH_DIR=$(CURDIR)/docs/benchmarks CDC_BENCH_SCALE=$(or $(BENCH_SCALE),5) CDC_TEST_BIG_ROWS=2000000 \
	  go test -run '^(TestBench|TestBigTransaction)$$' -count=1 -v -timeout 60m ./internal/e2e
	@set -o pipefail; go test -run '^$$' -bench . -benchmem ./... 2>&1 | tee $(CACHE)/bench.txt

.PHONY: fuzz
fuzz: check-go ## every fuzz target for FUZZ_TIME (10s)
	@set -e; grep -rlE '^func Fuzz' --include='*_test.go' . | sort | while read -r file; do \
	  for target in $$(sed -nE 's/^func (Fuzz[A-Za-z0-9_]*)\(.*/\1/p' "$$file"); do \
	    echo "$$(dirname "$$file") $$target"; \
	    go test -run '^$$' -fuzz "^$$target\$$" -fuzztime $${FUZZ_TIME:-10s} "$$(dirname "$$file")"; \
	  done; done

.PHONY: lint
lint: check-go ## gofmt, go vet, the architecture test, staticcheck, golangci-lint if installed
	@bad=$$(find . -name '*.go' -not -path './.cache/*' -print0 | xargs -0 gofmt -l); \
	if [ -n "$$bad" ]; then echo "make: not formatted (gofmt -w mends it):" >&2; echo "$$bad" >&2; exit 1; fi
	go vet ./...
	go vet -tags peers ./internal/testenv/kafka/ ./internal/stream/... ./sinks/sqlserver/grammars/ ./internal/e2e/
	go test -count=1 ./internal/archtest/
	@if [ ! -x $(STATICCHECK) ]; then mkdir -p $(CACHE)/tools; \
	  GOBIN=$(CACHE)/tools GOFLAGS= go install honnef.co/go/tools/cmd/staticcheck@$(STATICCHECK_VERSION) && mv $(CACHE)/tools/staticcheck $(STATICCHECK) || true; fi; \
	if [ -x $(STATICCHECK) ]; then echo "staticcheck $(STATICCHECK_VERSION)"; $(STATICCHECK) ./...; \
	else echo "make: SKIPPED staticcheck: it is not in .cache/tools and cannot be downloaded now" >&2; fi
	@if command -v golangci-lint >/dev/null; then golangci-lint run; \
	else echo "golangci-lint is not installed: skipped (.golangci.yml is its configuration)"; fi

.PHONY: clean
clean: ## stop the demo; remove binaries, data, unpacked servers and caches
	@if [ -x bin/cdc ]; then bin/cdc demo --stop || true; fi
	@if command -v go >/dev/null; then $(TESTENV) sweep; fi
	@if [ -L .cache/elsewhere ]; then rm -rf -- "$$(readlink .cache/elsewhere)"; fi
	rm -rf bin .cache cdc-data
