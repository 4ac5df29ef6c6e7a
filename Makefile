# Troupe. `make` alone lists what there is.
.DEFAULT_GOAL := help
GO ?= go
LINT := $(GO) run github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v2.15.0
COMPOSE ?= docker compose

.PHONY: help
help: ## list the targets
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /\1\t/' | expand -t 16

.PHONY: run
run: ## everything in one process: API on :8080, Kafka on :9092 (UP='--data DIR …' for options)
	$(GO) run ./cmd/troupe up $(UP)

.PHONY: demo
demo: ## drive the running system as clients would
	$(GO) run ./cmd/troupe demo $(DEMO)

.PHONY: build
build: ## bin/troupe
	CGO_ENABLED=0 $(GO) build -trimpath -o bin/troupe ./cmd/troupe

.PHONY: test
test: ## all tests that need only Go (Postgres is found or fetched, Kafka is embedded)
	$(GO) test -vet=off -p $$(($$(getconf _NPROCESSORS_ONLN) + 1)) ./... # they wait for servers now and then; make lint vets

.PHONY: crowds
crowds: ## the crowds of the acceptance tests in full: 200 sign-ups with one address, 1,000 posts with ten tags, 200 rentals of one night, 3 × 20 things taken back at random moments, 100 times
	$(GO) test -count=1 -timeout 40m -run 'TestARunningSystem/in_crowds' -v ./test/acceptance/ -namesakes 200 -authors 1000 -rivals 200 -moments 100

.PHONY: test-kafka
test-kafka: ## engine and acceptance tests on a real Apache Kafka (TROUPE_KAFKA_BROKERS, else one is started), which has the machine's other half: one package at a time
	scripts/with-kafka $(GO) test -p 1 -count=1 ./choreo/... ./test/acceptance/...

.PHONY: lint
lint: ## gofmt and golangci-lint
	@test -z "$$(gofmt -l $$(git ls-files '*.go'))" || { gofmt -l $$(git ls-files '*.go'); exit 1; }
	$(LINT) run

.PHONY: generate
generate: ## write what follows from the flow: schemas, drawings, services, manifests, alerts
	$(GO) run ./cmd/troupe flow generate

.PHONY: verify
verify: ## the flow is sound, what follows from it is as it says, and no fact changed in a way that breaks readers
	$(GO) run ./cmd/troupe flow check
	$(GO) run ./cmd/troupe flow generate --check
	$(GO) run ./cmd/troupe schemas diff

.PHONY: flow-cuts
flow-cuts: ## delete each .Undoes, .GivesUp and .Within from the flow's source, one at a time: flow check has to find it (CUTS='-only GivesUp -j 4')
	$(GO) run ./test/flowcuts $(CUTS)

.PHONY: test-deploy
test-deploy: ## what is generated, by its own tools: Kubernetes and KEDA types, kustomize, promtool, AsyncAPI and Mermaid parsers
	cd test/deploy && $(GO) test -count=1 ./...

.PHONY: compose-up
compose-up: ## the composed system: one service per consumer
	$(COMPOSE) up -d --build --wait

.PHONY: compose-down
compose-down: ## stop the composed system and remove its data
	$(COMPOSE) down -v

.PHONY: compose-test
compose-test: ## drive the composed system from outside, in a project of its own
	scripts/with-compose $(GO) test -count=1 -tags compose -timeout 9m ./test/compose/

.PHONY: bench bench-growth bench-ablation profile
bench: ## ours beside the stock way, on the broker given or the embedded one (JSON=FILE, DOC=docs/performance.md write it)
	$(GO) run ./test/bench $(if $(JSON),-json $(JSON)) $(if $(DOC),-doc $(DOC)) $(BENCH)

bench-growth: ## what old events, keys, parked steps and thirty consumers cost (JSON, DOC)
	$(MAKE) bench BENCH='-only growth -rounds 2 $(BENCH)'

bench-ablation: ## what the parts of a consumed event cost (JSON, DOC)
	$(MAKE) bench BENCH='-only ablation $(BENCH)'

ROW ?= consume
profile: ## a CPU profile of our side of a row (ROW=consume, relay, …), as text; the file is profile.ROW
	$(GO) build -o bin/bench ./test/bench
	bin/bench -v -rounds 1 -side ours -only $(ROW) -cpuprofile profile $(BENCH)
	$(GO) tool pprof -top -cum -nodecount 60 bin/bench profile.$(ROW)

SEED ?= 1
SAGAS ?= 1000
.PHONY: simulate
simulate: ## the whole choreography under faults, by one seed (SEED=… SAGAS=…)
	$(GO) run ./test/simulate -seed $(SEED) -sagas $(SAGAS) $(SIMULATE)

.PHONY: mutations
mutations: ## switch off one safeguard of the engine at a time, and see the simulation notice
	$(GO) test -count=1 -timeout 60m -tags mutations -run 'TestEveryMutationIsCaught|TestABrokenInvariantEndsTheRun' -v ./test/simulate/...

.PHONY: crash
crash: ## kill the system at every crash point of every consumer under the demo's load, add up (CRASH='-only ^create-tags: …'; resumable)
	$(GO) run ./test/crash $(CRASH)

.PHONY: chaos
chaos: build ## break the built binary on real Kafka and Postgres under load, add up (CHAOS='-kills 20 …'; resumable)
	$(GO) run ./test/chaos $(CHAOS)

.PHONY: coverage
coverage: ## docs/coverage.md: which acceptance test shows which row of the catalogue
	$(GO) test -count=1 -run TestARunningSystem ./test/acceptance/ -rows
