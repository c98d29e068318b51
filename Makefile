# The index of what can be done here. A comment after a target is its line in
# the list that `make` alone prints.

MODULE_BIN  := bin/authfi
VERSION     := $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)
GENERATED   := proto/gen bpf/obj sdk/go/admin sdk/js/admin sdk/python/authfi/admin
TOOLS       := $(CURDIR)/.cache/tools
STATICCHECK := $(TOOLS)/staticcheck-v0.8.2/staticcheck
GOVULNCHECK := $(TOOLS)/govulncheck-v1.9.0/govulncheck
NFPM        := $(TOOLS)/nfpm-v2.45.0/nfpm

# Where the vulnerability check finds its database. A closed network gives a
# directory, GOVULNDB=file:///DIR; one older than this many days is refused.
GOVULNDB          ?= https://vuln.go.dev
GOVULNDB_DAYS_MAX ?= 30

# Kernel tests load programs, so they need root and a bpf file system. Without
# root they are left out by name; where CI=true that is a failure.
define kernel_or_not
if [ "$$(id -u)" = 0 ]; then \
	mountpoint -q /sys/fs/bpf || mount -t bpf bpf /sys/fs/bpf || exit 1; \
elif [ "$$CI" = true ]; then \
	echo "tests: CI must run as root, or the kernel tests do not run" >&2; exit 1; \
else \
	echo "tests: not root, so the kernel tests do not run (AUTHFI_TEST_NO_KERNEL=1)"; \
	export AUTHFI_TEST_NO_KERNEL=1; \
fi
endef

.DEFAULT_GOAL := help
.PHONY: help run story build packages test check static format vet lint monitoring generated vulnerabilities race fuzz generate clean bench chaos

help:
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-16s %s\n", $$1, $$2}' Makefile

run: build ## start three nodes here, play the story, stay up until Ctrl-C
	@$(MODULE_BIN) dev

story: build ## play the story on a cluster of its own and exit: 0 if every step held
	@$(MODULE_BIN) dev --story

build: ## the binary, at bin/authfi
	CGO_ENABLED=0 go build -trimpath -ldflags '-buildid= -X main.version=$(VERSION)' -o $(MODULE_BIN) ./cmd/authfi

packages: $(NFPM) ## deb, rpm and tarball for amd64 and arm64, with checksums, in bin/packages
	@packaging/build.sh $(NFPM) $(VERSION) bin/packages

test: ## all the tests; as root with those that load kernel programs
	@$(kernel_or_not); go test $(TESTFLAGS) ./...

check: static test ## what CI runs: static, then test

static: format vet lint monitoring generated vulnerabilities ## check without the tests

format: ## gofmt finds nothing to change
	@files=$$(git ls-files -- '*.go' $(GENERATED:%=':!%')) || exit 1; \
	found=$$(gofmt -l $$files) || exit 1; \
	[ -z "$$found" ] || { echo "not formatted:"; echo "$$found"; exit 1; }

vet: ## go vet
	go vet ./...

lint: $(STATICCHECK) ## staticcheck, pinned
	$(STATICCHECK) ./...

monitoring: ## the alert rules and the dashboard parse as Prometheus does it
	cd packaging/monitoring && go vet . && go test .

# What was generated must be what the sources give, with nothing left over.
generated: generate ## generated code is what its sources give
	@git diff --exit-code -- $(GENERATED)
	@left=$$(git ls-files --others --exclude-standard -- $(GENERATED)) || exit 1; \
	[ -z "$$left" ] || { echo "generated but not committed:"; echo "$$left"; exit 1; }

# Exit 3 of govulncheck is a finding; any other failure means that nothing was
# checked. Neither passes.
vulnerabilities: $(GOVULNCHECK) ## govulncheck, pinned; GOVULNDB=file:///DIR where there is no network
	@case '$(GOVULNDB)' in file://*) \
		index='$(GOVULNDB:file://%=%)/index/db.json'; \
		modified=$$(sed -n 's/.*"modified": *"\([^"]*\)".*/\1/p' "$$index" 2>/dev/null) && [ -n "$$modified" ] \
			|| { echo "vulnerabilities: NOT CHECKED: no database at $(GOVULNDB)" >&2; exit 1; }; \
		days=$$(( ($$(date +%s) - $$(date -d "$$modified" +%s)) / 86400 )); \
		[ $$days -le $(GOVULNDB_DAYS_MAX) ] \
			|| { echo "vulnerabilities: NOT CHECKED: the database is $$days days old, $(GOVULNDB_DAYS_MAX) are allowed" >&2; exit 1; };; \
	esac
	@$(GOVULNCHECK) -db '$(GOVULNDB)' ./... || { code=$$?; \
		[ $$code = 3 ] || echo "vulnerabilities: NOT CHECKED: govulncheck failed with the database at $(GOVULNDB)" >&2; exit $$code; }

race: ## all the tests under the race detector
	@$(kernel_or_not); go test -race $(TESTFLAGS) ./...

fuzz: T ?= 30s
fuzz: ## every fuzz target, for T=30s each
	@files=$$(go list -f '{{$$p := .}}{{range .TestGoFiles}}{{$$p.ImportPath}}:{{$$p.Dir}}/{{.}} {{end}}{{range .XTestGoFiles}}{{$$p.ImportPath}}:{{$$p.Dir}}/{{.}} {{end}}' ./...) || exit 1; \
	ran=0; \
	for file in $$files; do \
		for target in $$(sed -n 's/^func \(Fuzz[A-Za-z0-9_]*\)(.*/\1/p' "$${file#*:}"); do \
			echo "$${file%%:*} $$target"; \
			go test -run '^$$' -fuzz "^$$target\$$" -fuzztime $(T) "$${file%%:*}" || exit 1; \
			ran=$$((ran + 1)); \
		done; \
	done; \
	echo "$$ran fuzz targets, $(T) each"; [ $$ran -gt 0 ]

# Without clang the committed objects stay as they are, which CI does not allow.
generate: ## all generated code, anew: proto/gen, the SDKs' admin, and with clang bpf/obj
	tools/generate.sh
	@if command -v clang >/dev/null; then \
		go generate ./bpf/...; \
	elif [ "$$CI" = true ]; then \
		echo "generate: CI must have clang" >&2; exit 1; \
	else \
		echo "generate: no clang, so bpf/obj stays as committed"; \
	fi

clean: ## remove everything that was made
	rm -rf bin .cache .authfi bench/out

bench: ## one benchmark, B=NAME, or all; reports in bench/out
	go run ./bench $(if $(B),-name $(B)) -out bench/out

chaos: T ?= 10m
chaos: ## the fault runs, for T=10m, as root; S=SEED repeats a schedule; report in bench/out
	go run ./bench -name chaos -for $(T) $(if $(S),-seed $(S)) -out bench/out

$(STATICCHECK):
	GOBIN=$(@D) go install honnef.co/go/tools/cmd/staticcheck@v0.8.2

$(NFPM):
	GOBIN=$(@D) go install github.com/goreleaser/nfpm/v2/cmd/nfpm@v2.45.0

$(GOVULNCHECK):
	GOBIN=$(@D) go install golang.org/x/vuln/cmd/govulncheck@v1.9.0
