# One page of targets; `make help` lists them. Everything runs offline once the modules are in the cache, except that `make test`
# installs three tools the black-box tests use when they are missing and it may, and, once, the clients of bench/families.

GO       ?= go
FUZZTIME ?= 1m
SEEDS    ?= 2000
FROM     ?= 1
ARGS     ?=
ADVERTISE ?= node
FRAMES   ?= 20000000
SEED     ?= 20260501
KILLS    ?= 300
CUTS     ?= 300
SYSCALLS ?= 320
EIO      ?= 72
READS    ?= 24
FULL     ?= 50
MOVES    ?= 100
MOVE_CUTS ?= 50
SOAK     ?= 1h
VERSION  ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
# A static, stripped binary that does not tell where it was built.
export CGO_ENABLED ?= 0
BUILD    := $(GO) build -trimpath -ldflags '-s -w -X main.version=$(VERSION)'

.PHONY: help build check test test-tools clients frameworks group-kills many versus-kafka docs hostile corrupt torture soak race fuzz sim sim-raft sim-groups mutants demo bench-quick bench-versus-kafka bench-durable bench-omb-shapes run clean

help: ## this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | sort | column -t -s '	'

build: ## bin/pinion
	$(BUILD) -o bin/pinion ./cmd/pinion

run: build ## build and start the broker; make run ARGS='--set num.partitions=3'
	bin/pinion start $(ARGS)

check: ## format, vet, house rules, module hashes
	@unformatted=$$(gofmt -l $$(git ls-files -co --exclude-standard '*.go')); \
	if [ -n "$$unformatted" ]; then echo "gofmt needed:"; echo "$$unformatted"; exit 1; fi
	$(GO) vet ./...
	$(GO) vet -tags checks ./...
	$(GO) vet -tags mutant ./...
	$(GO) vet -C bench/families/golang ./...
	$(GO) run ./cmd/tidy
	$(GO) mod verify

# One package at a time: some tests hold the broker to latencies, and their neighbours would be measured with it.
test: test-tools ## all tests, and a count of those that were skipped
	@mkdir -p bin
	@CLIENTS_INSTALL=1 HOSTILE_TIME=1m $(GO) test -v -p 1 ./... >bin/test.log 2>&1; code=$$?; \
	if [ $$code -eq 0 ]; then grep -E '^ok ' bin/test.log; \
	else grep -vE '^(=== |--- PASS|PASS| +--- PASS|\?|ok )|\[rapid\] OK' bin/test.log; fi; \
	skipped=$$(grep -cE '^ *--- SKIP' bin/test.log); \
	echo "$$(grep -cE '^ *--- PASS' bin/test.log) passed, $$(grep -cE '^ *--- FAIL' bin/test.log) failed, $$skipped skipped (bin/test.log)"; \
	if [ $$skipped -gt 0 ]; then grep -B1 -E '^ *--- SKIP' bin/test.log | grep -v '^--$$'; fi; \
	exit $$code

# The tools are looked for by the command they bring; each package is called as its command is. strace only watches our own processes.
test-tools:
	@missing=; for tool in kcat strace chromium; do command -v $$tool >/dev/null || missing="$$missing $$tool"; done; \
	[ -z "$$missing" ] && exit 0; \
	if ! command -v apt-get >/dev/null; then echo "missing:$$missing; the tests that use them will be skipped"; exit 0; fi; \
	if [ "$$(id -u)" -eq 0 ]; then sudo=; elif sudo -n true 2>/dev/null; then sudo=sudo; \
	else echo "missing:$$missing and no right to install; the tests that use them will be skipped"; exit 0; fi; \
	{ $$sudo apt-get update -qq && $$sudo apt-get install -y -qq --no-install-recommends $$missing; } >/dev/null || \
	echo "could not install$$missing; the tests that use them will be skipped"

clients: ## every client family against a broker, long form: Python, Java, JavaScript, Go; make clients ADVERTISE=core
	@mkdir -p bin
	@CLIENTS_INSTALL=1 CLIENTS_LONG=1 CLIENTS_ADVERTISE=$(ADVERTISE) $(GO) test -count=1 -timeout 30m -v ./bench/families >bin/clients.log 2>&1; code=$$?; \
	sed -nE 's/^ +records_test.go:[0-9]+: (tested: )/\1/p' bin/clients.log; \
	if [ $$code -ne 0 ]; then grep -vE '^(=== |--- PASS|PASS| +--- PASS)' bin/clients.log; fi; \
	grep -E '^families: ' bin/clients.log; \
	grep -E '^ +(topics|families|members)_test.go:[0-9]+: (the broker does not|the client has no|[a-z/. ]*(not installed|could not be fetched))' bin/clients.log | \
	sed -E 's/^[^:]*:[0-9]+: /left out: /; s/; the client said.*//' | sort | uniq -c; \
	echo "$$(grep -cE '^ *--- PASS' bin/clients.log) passed, $$(grep -cE '^ *--- FAIL' bin/clients.log) failed, $$(grep -cE '^ *--- SKIP' bin/clients.log) skipped (bin/clients.log)"; \
	exit $$code

frameworks: ## Kafka's own tools, Connect, MirrorMaker, Streams, Flink and a schema registry against Pinion; make frameworks FRAMEWORKS=Flink; needs Java 17 and Maven
	@mkdir -p bin
	@CLIENTS_INSTALL=1 FRAMEWORKS_LONG=1 $(GO) test -count=1 -timeout 60m -v -run '$(or $(FRAMEWORKS),.)' ./bench/frameworks >bin/frameworks.log 2>&1; code=$$?; \
	if [ $$code -ne 0 ]; then grep -vE '^(=== |--- PASS|PASS| +--- PASS)' bin/frameworks.log; fi; \
	grep -E '^ +[a-z]+_test.go:[0-9]+: the broker does not advertise' bin/frameworks.log | sed -E 's/^[^:]*:[0-9]+: /left out: /' | sort | uniq -c; \
	sed -nE 's/^ +[a-z]+_test.go:[0-9]+: ((tools|connect|mirror|streams|registry|flink): )/\1/p' bin/frameworks.log; \
	echo "$$(grep -cE '^ *--- PASS' bin/frameworks.log) passed, $$(grep -cE '^ *--- FAIL' bin/frameworks.log) failed, $$(grep -cE '^ *--- SKIP' bin/frameworks.log) skipped (bin/frameworks.log)"; \
	exit $$code

group-kills: ## GROUP_KILLS=100 times kill -9 in the middle of a rebalance with commits running: none is lost, every partition is owned again in 10 s
	@mkdir -p bin
	@GROUP_KILLS=$${GROUP_KILLS:-100} $(GO) test -count=1 -timeout 60m -v -run '^TestClientsGroupsSurviveKills$$' ./cmd/pinion >bin/group-kills.log 2>&1; code=$$?; \
	grep -E 'kill_test.go|^(ok|FAIL|---)' bin/group-kills.log; exit $$code

many: ## 20,000 partitions, 10,000 connections, 10,000 members of groups, 10 GB of cold reads: figures of a broker with much of everything; writes 10 GB below TMPDIR
	@mkdir -p bin
	@MANY_LONG=1 $(GO) test -count=1 -timeout 60m -v -run '$(or $(MANY),.)' ./bench/many >bin/many.log 2>&1; code=$$?; \
	grep -E '^ +[a-z]+_test.go:[0-9]+: |^(--- |ok|FAIL)' bin/many.log | sed -E 's/^ +[a-z]+_test.go:[0-9]+: /  /'; exit $$code

versus-kafka: ## the same requests to Apache Kafka and to Pinion, answers compared; needs Java 17 and Maven, takes minutes
	@mkdir -p bin
	@CLIENTS_INSTALL=1 VERSUS_KAFKA=1 $(GO) test -count=1 -timeout 30m -v -run TestAnswersAreKafkas ./bench/versus >bin/versus.log 2>&1; code=$$?; \
	if [ $$code -ne 0 ]; then cat bin/versus.log; else sed -nE 's/^ +versus_test.go:[0-9]+: //p' bin/versus.log; fi; \
	exit $$code

docs: ## docs/compatibility.md, made from the code
	$(GO) test -count=1 -run TestDocumentIsCurrent ./bench/compat -rewrite

hostile: ## FRAMES spoiled requests against a running broker and an honest client beside them; make hostile FRAMES=1000000 SEED=7
	HOSTILE_FRAMES=$(FRAMES) HOSTILE_SEED=$(SEED) $(GO) test -count=1 -timeout 4h -v -run '^TestCampaign$$' ./bench/hostile

corrupt: ## CORRUPT_CASES data directories hurt in every kind of file, before a start or under a broker; a short form is part of test
	@mkdir -p bin
	@CORRUPT_CASES=$${CORRUPT_CASES:-500} $(GO) test -count=1 -timeout 120m -v -run '^TestCorruptDirectories$$' ./cmd/pinion >bin/corrupt.log 2>&1; code=$$?; \
	grep -E 'corrupt_test.go|^(ok|FAIL|---)' bin/corrupt.log; exit $$code

race: ## all tests with the race detector and the deep checks; needs a C compiler
	CGO_ENABLED=1 $(GO) test -race -tags checks ./...

fuzz: ## every fuzz target in turn, FUZZTIME each
	@found=0; failed=; \
	for dir in $$(git grep -lE --untracked '^func Fuzz[A-Z_]' -- '*_test.go' | xargs -r -n1 dirname | sort -u); do \
	  for target in $$(grep -hoE '^func Fuzz[A-Za-z0-9_]+' $$dir/*_test.go | cut -c6-); do \
	    found=$$((found+1)); echo "== $$dir $$target"; \
	    $(GO) test -run='^$$' -fuzz="^$$target\$$" -fuzztime=$(FUZZTIME) -fuzzminimizetime=1s ./$$dir || failed="$$failed $$dir:$$target"; \
	  done; \
	done; \
	echo "$$found fuzz targets"; [ -z "$$failed" ] || { echo "failed:$$failed"; exit 1; }

# About half an hour. A kind that is not wanted is 0; what has to be installed for one, root included, is missed out loud.
torture: build test-tools ## kill -9, power cuts, kills at system calls, failing writes, syncs and reads, moves between log directories, full disks; make torture KILLS=0 CUTS=0 FULL=50
	@PINION_BINARY=bin/pinion CLIENTS_INSTALL=1 $(GO) run ./bench/torture -kills $(KILLS) -cuts $(CUTS) -syscalls $(SYSCALLS) -eio $(EIO) -reads $(READS) -moves $(MOVES) -move-cuts $(MOVE_CUTS) -full $(FULL) $(ARGS)

soak: build ## a broker under mixed load with 256 MiB of memory for SOAK=1h: what it uses must stay flat, and nothing acknowledged be lost
	@PINION_BINARY=bin/pinion $(GO) run ./bench/torture -soak $(SOAK) $(ARGS)

sim: ## a whole node from seeds: crashes, power cuts, failing and full disks, clock steps, compaction; then an end at every change of the disk; make sim SEEDS=200 FROM=2001
	$(GO) test -count=1 -timeout 3h -v ./engine/sim -run 'TestSeeds|TestSameSeedSameTrace|TestEnd' -args -from $(FROM) -seeds $(SEEDS) -every

# In pieces, each of which says what it met: elections, crashes, snapshots installed and the other marks; a mark without a hit fails.
sim-raft: ## the metadata quorum in a deterministic simulation, 7,000 seeds; make sim-raft ARGS='-sim.seed 12 -sim.trace' for one
	$(GO) test ./engine/quorum -run '^TestSimulation$$' -count=1 -v -timeout 60m $(if $(ARGS),$(ARGS),-sim.seeds 7000)

sim-groups: ## consumer groups in a deterministic simulation, 3,000 seeds; make sim-groups ARGS='-sim.seed 12 -sim.trace' for one
	$(GO) test ./engine/group -run '^TestSimulation$$' -count=1 -v -timeout 60m -args $(if $(ARGS),$(ARGS),-sim.seeds 3000)

mutants: ## deliberate bugs, each of which a test must catch; make mutants ARGS=name for one
	$(GO) run ./cmd/mutants $(ARGS)

demo: build test-tools ## 1 GB of this machine's text through kcat and franz-go and back, sums compared; make demo ARGS='-bytes 100000000'
	@$(GO) run ./bench/demo -pinion bin/pinion $(ARGS)

# The brokers' data lies in BENCH_DATA: the file system under test. A campaign that was stopped goes on where it was with the same BENCH_OUT.
BENCH_OUT    ?= bin/bench-$(shell git rev-parse --short HEAD 2>/dev/null || echo now)
BENCH_DATA   ?= bin/bench-data
ROUNDS       ?= 5
BUDGET       ?= 0
DURATION     ?= 10s
CAMPAIGN     := mkdir -p bin $(BENCH_DATA) && $(GO) build -o bin/campaign ./bench/campaign && bin/campaign -pinion bin/pinion -data $(BENCH_DATA)

bench-quick: build ## the main rows against Pinion and the machine's limits, under three minutes; make bench-quick ARGS='-only fetch'
	@rm -rf bin/bench-quick; $(CAMPAIGN) -quick -touch -duration 3s -out bin/bench-quick $(ARGS)

bench-versus-kafka: build ## every row against Pinion and Apache Kafka, ROUNDS times, into bench/RESULTS.md; BUDGET=30m stops, the next run goes on
	@$(CAMPAIGN) -sets main,fsync,life,tools -peers pinion,pinion-cores,kafka -rounds $(ROUNDS) -duration $(DURATION) -budget $(BUDGET) -touch -out $(BENCH_OUT) -results bench/RESULTS.md $(ARGS)

bench-durable: build ## of these, the rows of durable topics (Apache Kafka never syncs)
	@$(CAMPAIGN) -sets fsync -peers pinion,pinion-cores,kafka -rounds $(ROUNDS) -duration $(DURATION) -budget $(BUDGET) -touch -out $(BENCH_OUT) -results bench/RESULTS.md $(ARGS)

bench-omb-shapes: build ## the shapes of OpenMessaging Benchmark that two cores can run, with ordinary clients, against both
	@$(CAMPAIGN) -sets omb -peers pinion,kafka -rounds $(ROUNDS) -budget $(BUDGET) -duration 1m -warmup 10s -out $(BENCH_OUT) -results bench/RESULTS.md $(ARGS)

clean: ## what the targets above made
	rm -rf bin
