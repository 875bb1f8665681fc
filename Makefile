# test   what must pass before every commit; needs Go, Python and Node
# check  what continuous integration runs: format, vet, staticcheck, generated files, races, test
# bench  the table of speeds, each with its yardstick; BENCH='-events 500000' makes it smaller
# soak   the tests that kill the server, many more times
# demo   a server with a simulated account
# postgres-versions  the tests of the PostgreSQL store on other releases
# profile  the profile by which the compiler makes the server faster, anew

GO ?= go
SHELL := /bin/bash

.PHONY: build setup test check format vet staticcheck drift race bench soak demo postgres-versions profile clean

# Tests need no speed, and compiling everything once more for a profile (see scripts/profile) takes a minute.
test vet staticcheck drift race soak postgres-versions: export GOFLAGS += -pgo=off

build:
	$(GO) build -o bin/monterey ./cmd/monterey

setup:
	scripts/setup

test:
	scripts/test

check: setup format vet staticcheck drift race
	$(MAKE) --no-print-directory test

format:
	@bad=$$(gofmt -l cmd internal); \
	if [ -n "$$bad" ]; then echo "not gofmt-ed:"; echo "$$bad"; exit 1; fi

vet:
	$(GO) vet ./...

staticcheck:
	$(GO) tool staticcheck ./...

# Generated files must be what the code says.
drift:
	$(GO) test -count=1 -run Golden ./...

# What many goroutines touch. The whole program under the detector takes far longer than everything else together.
RACE = ./internal/auth ./internal/backfill ./internal/campaigner ./internal/ingest ./internal/loadgen ./internal/recovery ./internal/task/jobs

race:
	$(GO) test -race -short -timeout 12m $(RACE)
	$(GO) test -race -short -timeout 12m -run 'Inbox|Backup|Cache|Share' ./internal/store/sqlite

bench:
	$(GO) run -pgo=cmd/monterey/default.pgo ./internal/bench $(BENCH)

soak:
	MONTEREY_SOAK=1 scripts/with-postgres $(GO) test -count=1 -timeout 3h -v -run Soak ./...

demo:
	$(GO) run ./cmd/monterey demo

postgres-versions: setup
	scripts/postgres-versions

profile: setup
	scripts/profile

clean:
	rm -rf bin
