# make run     a verified paged-attention run (5 to 20 s on 2 CPUs)
# make demo    the same while workers and the scheduler are killed (docs/fault-injection.md)
# make test    everything CI runs
# make bench   what a task costs, beside what the machine can do (docs/benchmarks.md)
# make build   release build of executables, kernel images and examples
# make differential SEEDS=1-5000   random programs against an interpreter
# make verify  models, simulation, fuzzing and random kills as one table (docs/verification.md)
# make mutants   one-line mistakes in copies of the code, and who notices each
# make verify-models   the Promela models and their mutants (docs/verification.md)
# make simulate   the roles' own code, one shared access at a time (docs/simulation.md)
# make campaign KILLS=10000 SEED=7   kills processes of real sessions at random (docs/campaign.md)
# make steps   kills after every single instruction (docs/fault-injection.md)
# make fuzz SECONDS_EACH=600   every fuzz target for so long (docs/fuzzing.md)
# make format  swift-format over the tree
# make setup   apt packages a bare machine may lack (see Scripts/setup.sh)

SWIFT ?= swift
BIN = .build/release
SEEDS = 1-5000
SECONDS_EACH = 10
KILLS = 10000
SEED =

.PHONY: run demo test bench differential verify verify-models mutants simulate campaign steps fuzz build format lint setup clean

run: build
	$(BIN)/paged-attention

demo: build
	$(BIN)/paged-attention --recovery snapshot --faults Examples/Faults/demo.json

build:
	$(SWIFT) build -c release

test: setup build
	SWIFT=$(SWIFT) Scripts/verify --short
	$(SWIFT) build --build-tests
	PTO2_TEST_BIN=$(CURDIR)/$(BIN) timeout --kill-after=10 1800 $(SWIFT) test --skip-build

bench: build
	$(BIN)/pto2-bench
	$(BIN)/pto2-bench --dual-ring

differential: build
	$(BIN)/pto2-random --seeds $(SEEDS)

verify:
	SWIFT=$(SWIFT) Scripts/verify

verify-models:
	Scripts/verify-models

mutants:
	Scripts/mutants

simulate:
	$(SWIFT) build -c release --package-path Simulation
	Simulation/.build/release/pto2-simulate

campaign: build
	$(BIN)/pto2-campaign --kills $(KILLS) $(if $(SEED),--seed $(SEED))

steps: build
	$(BIN)/pto2-steps

fuzz:
	SWIFT=$(SWIFT) Scripts/fuzz --seconds $(SECONDS_EACH)

FORMATTED = Package.swift Sources Examples Benchmarks Tests Simulation/Package.swift \
  Simulation/Sources/pto2-simulate Fuzzing/Package.swift Fuzzing/Sources/pto2-fuzz

format:
	$(SWIFT) format --in-place --recursive $(FORMATTED)

lint:
	$(SWIFT) format lint --recursive $(FORMATTED)

setup:
	Scripts/setup.sh

clean:
	$(SWIFT) package clean
