# The commands that people type. .ci/run runs the same checks, the fastest first.
.DEFAULT_GOAL := help

GO        ?= go
TOOL      := $(GO) tool -modfile=.ci/tools/go.mod
BIN       ?= bin/damsync
# Programs of bench/ to run; which Go benchmarks to run, for how long and how often.
PROGRAMS  ?= audit scan month quota upsert diff idle mirror transfer
BENCH     ?= .
BENCHTIME ?= 1s
COUNT     ?= 1

.PHONY: help install build test race lint fmt tidy bench demo ci clean

help: ## show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

install: ## install what the demo and the tests need: PostgreSQL's server programs (Debian, Ubuntu)
	.ci/install

build: ## build the program as a static binary, bin/damsync
	CGO_ENABLED=0 $(GO) build -trimpath -ldflags '-s -w' -o $(BIN) ./cmd/damsync

test: ## run the tests; on Debian and Ubuntu this first installs what is missing
	@.ci/install
	$(GO) test ./...

race: ## run the tests with the race detector, as the CI does; installs what is missing, too
	@.ci/install --race
	$(GO) test -race ./...

lint: ## go vet and golangci-lint (the first run builds the linters: minutes)
	$(GO) vet ./...
	$(TOOL) golangci-lint run

fmt: ## format all files
	$(TOOL) gofumpt -w .

tidy: ## bring go.mod and go.sum up to date
	$(GO) mod tidy

# One after the other, because two at once would measure each other. All run, even when one misses a bound.
bench: ## run the programs of bench/, then the Go benchmarks; PROGRAMS="month upsert" BENCH=regexp BENCHTIME=1s COUNT=1
	@failed=; for p in $(PROGRAMS); do echo "== go run ./bench/$$p"; $(GO) run ./bench/$$p || failed="$$failed $$p"; done; \
		if [ -n "$$failed" ]; then echo "missed a bound:$$failed"; exit 1; fi
	$(GO) test -p 1 -timeout 60m -run '^$$' -bench '$(BENCH)' -benchmem -benchtime $(BENCHTIME) -count $(COUNT) \
		$$(grep -rl --include='*_test.go' '^func Benchmark' . | xargs -n1 dirname | sort -u)

demo: ## watch damsync work, without a CMP account, until Ctrl-C; installs what is missing, too
	@.ci/install
	$(GO) run ./cmd/damsync demo

ci: ## run every check that a change must pass
	.ci/run

clean: ## remove what make built
	rm -rf bin
