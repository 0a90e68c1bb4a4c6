# neurostream. `make` lists the targets.

GO      ?= go
BIN     := bin/bci
NODE    := $(shell command -v npm 2>/dev/null)
FUZZ    ?= 5s
CHROMIUM ?= $(or $(shell command -v chromium),/usr/bin/chromium)

.DEFAULT_GOAL := help
.PHONY: help build page demo test test-interop record-long bench bench-peers classical flint browser check fmt vet static race invariants fuzz generate clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

build: ## build bin/bci (static, without cgo)
	CGO_ENABLED=0 $(GO) build -trimpath -o $(BIN) ./cmd/bci

page: ## build the web page (needs Node); without Node a plain page is served
ifneq ($(NODE),)
	cd bci/web && npm ci --no-audit --no-fund --silent && npm run build --silent
else
	@echo "Node is not installed: the binary will serve the plain page"
endif

demo: page build ## train, replay, report, then serve the page; HEADLESS=1 ends after the report
	$(BIN) demo $(if $(HEADLESS),--headless)

test: ## all ordinary tests
	$(GO) test ./...

check: fmt vet static race invariants fuzz generate ## what CI runs after the tests

browser: page ## the page in a real browser during a replay (needs Node and Chromium)
	@mkdir -p tmp
	cd bci/web && npm test --silent
	NEUROSTREAM_BROWSER=$(CHROMIUM) NEUROSTREAM_SCREENSHOT=$(CURDIR)/tmp/page.png $(GO) test -count=1 -run Browser -v ./bci/server ./cmd/bci

fmt: ## formatting
	@out=$$($(GO) tool gofumpt -l $$(git ls-files '*.go')); if [ -n "$$out" ]; then echo "not formatted (go tool gofumpt -w):"; echo "$$out"; exit 1; fi

vet: ## go vet, also for other systems
	$(GO) vet ./...
	GOOS=windows $(GO) vet ./stream/... ./bci/... ./cmd/...
	GOOS=darwin GOARCH=arm64 $(GO) vet ./stream/... ./bci/... ./cmd/...

static: ## staticcheck
	$(GO) tool staticcheck ./...

race: ## tests under the race detector
	CGO_ENABLED=1 $(GO) test -race -short -timeout 30m ./...

RECORD_FOR ?= 10m

record-long: ## ten streams recorded in real time while one is decoded, against decoding alone (RECORD_FOR=10m: 15 minutes in all)
	NEUROSTREAM_RECORD_FOR=$(RECORD_FOR) $(GO) test -count=1 -timeout 0 -run RecordForLong -v ./bci

# Peers live in virtual environments of their own, made from pinned lists.
.venv/interop: stream/lsl/testdata/interop/requirements.txt stream/udp/testdata/interop/requirements.txt recordings/xdf/testdata/requirements.txt
	python3 -m venv $@
	$@/bin/pip install --quiet --disable-pip-version-check --no-deps $(foreach r,$^,-r $(r))
	touch $@

test-interop: .venv/interop ## against liblsl, pyxdf, BrainFlow, python-osc, FieldTrip's client, both directions (needs Python 3 with venv)
	NEUROSTREAM_INTEROP_PYTHON=$(CURDIR)/.venv/interop/bin/python $(GO) test -count=1 -run Interop ./stream/lsl ./stream/udp ./recordings/... ./bci

# One pinned list; packages of a list resolve their own dependencies.
.venv/peers: cmd/bench-peers/requirements.txt
	python3 -m venv $@
	$@/bin/pip install --quiet --disable-pip-version-check -r $<
	touch $@

bench-peers: .venv/peers ## ratios against the software users come from, into BENCHMARKS.md (SECTIONS="lsl signal", FULL=1)
	$(GO) run ./cmd/bench-peers $(if $(FULL),--full) $(SECTIONS)

classical: ## classical and Riemannian pipelines judged on real recordings, into BENCHMARKS.md (DATA=folder with them)
	$(GO) run ./cmd/bench-classical -data $(or $(DATA),../shared/data)

FLINT ?= ../shared/data/neural-decoding/flint2012-run1

flint: build ## the Discriminative Kalman Filter's published benchmark (FLINT=folder with its data)
	$(BIN) flint --data $(FLINT)

bench: ## the DKF's published simulations in full, and the time of one step of every decoder of kinematics
	NEUROSTREAM_BENCH=1 $(GO) test ./decoders -count=1 -timeout 30m -v -run TestSimulations
	$(GO) test ./decoders -run '^$$' -bench Kinematics

RECORDINGS ?= ../shared/data

.PHONY: early-exit
early-exit: build ## time saved by answering early, on real recordings (RECORDINGS=folder; goes on where it was interrupted)
	$(BIN) early-exit --data $(RECORDINGS) --keep tmp/early-exit

invariants: ## tests with memory poisoned when it changes hands
	$(GO) test -short -tags invariants ./stream/... ./bci/... ./replay/...

# The runner calls it a failure when its own deadline falls into a running input
# ("context deadline exceeded", no failing input written): that is no finding.
fuzz: ## every fuzz target for a few seconds (FUZZ=5s)
	@mkdir -p tmp; for p in $$($(GO) list ./...); do for f in $$($(GO) test -list '^Fuzz' $$p | grep '^Fuzz' || true); do \
	  echo "fuzz $$p $$f"; \
	  if $(GO) test -run '^$$' -fuzz "^$$f$$" -fuzztime $(FUZZ) -fuzzminimizetime 20x $$p >tmp/fuzz.log 2>&1; then tail -n 1 tmp/fuzz.log; \
	  elif grep -q 'context deadline exceeded' tmp/fuzz.log && ! grep -q 'Failing input' tmp/fuzz.log; then echo "ended by its deadline"; \
	  else cat tmp/fuzz.log; exit 1; fi; done; done

generate: ## generated files are current and the tree is clean
	$(GO) generate ./...
	@if [ -n "$$(git status --porcelain)" ]; then echo "generating changed the tree:"; git status --short; exit 1; fi

clean: ## remove what was built
	rm -rf bin bci/web/node_modules
