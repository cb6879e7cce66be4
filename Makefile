# make run     a verified paged-attention run (5 to 20 s on 2 CPUs)
# make demo    the same while workers and the scheduler are killed (docs/fault-injection.md)
# make test    everything CI runs
# make bench   what a task costs, beside what the machine can do (docs/benchmarks.md)
# make taskbench   graphs of Task Bench, beside other systems (docs/benchmarks.md)
# make peers   the programs of those systems; Scripts/peers.sh installs what they need
# make build   release build of executables, kernel images and examples
# make verify  models, simulation, fuzzing and random kills as one table (Verification/)
# make differential SEEDS=1-5000   random programs against an interpreter
# make mutants   one-line mistakes in copies of the code, and who notices each
# make verify-models   the Promela models and their mutants (docs/verification.md)
# make simulate   the roles' own code, one shared access at a time (docs/simulation.md)
# make campaign KILLS=10000 SEED=7   kills processes of real sessions at random (docs/campaign.md)
# make steps   kills after every single instruction (docs/fault-injection.md)
# make fuzz SECONDS_EACH=600   every fuzz target for so long (docs/fuzzing.md)
# make format  swift-format over the tree
# make test-packages   the packages, tried in a root made by debootstrap (Scripts/clean-root)
# make test-python   the tests of the Python package, in 20 s (docs/python.md)
# make wheel   dist/pto2-*.whl: the Python package with library and executables inside
# make deb     dist/*.deb: Debian packages; Scripts/deb --setup installs what it needs
# make install PREFIX=/usr/local DESTDIR=   headers, libraries, executables (Scripts/install);
#              make uninstall takes them away
# make test-mpi   programs on several ranks alone, on 1 to 4, with an MPI that it installs
# make link    libpto2-link-mpi.so: what runs on several machines need beside (docs/machines.md);
#              make setup-mpi installs the MPI that it is built with
# make setup   apt packages a bare machine may lack (Scripts/setup.sh)
#
# run, demo and test see to `make setup` themselves; SETUP=no leaves it out.

SWIFT ?= swift
BIN = .build/release
# The tests alone: they start the executables of the release build.
BUILD_TESTS = $(SWIFT) build --product pto2PackageTests
SEEDS = 1-5000
SECONDS_EACH = 10
KILLS = 10000
SEED =
SETUP = yes
MPICC = mpicc
PREFIX = /usr/local
DESTDIR =

.PHONY: run demo test test-swift test-beside test-elsewhere test-mpi test-python test-packages wheel deb bench taskbench peers differential verify verify-models mutants simulate campaign steps \
  fuzz build executables library link images install uninstall simulator format lint setup setup-run setup-test setup-mpi clean

run: setup-run build
	$(BIN)/paged-attention

demo: setup-run build
	$(BIN)/paged-attention --recovery snapshot --faults Examples/Faults/demo.json

test: setup-test build
	@if command -v $(MPICC) >/dev/null; then $(MAKE) --no-print-directory link; fi
	SWIFT=$(SWIFT) $(BIN)/pto2-verify --short
	$(BUILD_TESTS)
	@$(MAKE) --no-print-directory -j2 test-swift test-beside; status=$$?; \
	cat .build/beside.log; exit $$status

test-swift:
	PTO2_TEST_BIN=$(CURDIR)/$(BIN) timeout --kill-after=10 1800 $(SWIFT) test --skip-build

# At the same time, since tests wait for much; what it says comes after them.
test-beside:
	@{ $(MAKE) --no-print-directory -j1 test-python && \
	$(MAKE) --no-print-directory -j1 SETUP=no test-packages; } >.build/beside.log 2>&1

# Every test that starts executables, in two hostile surroundings as well (docs/testing.md).
test-elsewhere: build
	$(BUILD_TESTS)
	PTO2_TEST_ELSEWHERE=yes PTO2_TEST_BIN=$(CURDIR)/$(BIN) timeout --kill-after=10 3600 \
	  $(SWIFT) test --skip-build --filter ProcessTests

# Programs on several ranks alone; `make test` has them where there is an MPI.
test-mpi: setup-mpi build link
	$(BUILD_TESTS)
	PTO2_TEST_BIN=$(CURDIR)/$(BIN) PTO2_TEST_RANKS=all timeout --kill-after=10 1800 \
	  $(SWIFT) test --skip-build \
	  --filter 'MPITests|MachineTests|MachineSuiteTests|TwoHostTests'
	cd Python && timeout --kill-after=10 300 $(PYTHON) -m unittest tests.test_ranks

# As it is built: `make test` has done so. NUMPY=optional skips what needs numpy.
PYTHON = $(firstword $(shell for python in python3 /usr/bin/python3; do \
  $$python -c 'import numpy' 2>/dev/null && echo $$python; done) python3)
NUMPY = required

test-python:
	cd Python && PTO2_TEST_NUMPY=$(NUMPY) timeout --kill-after=10 900 \
	  $(PYTHON) -m unittest discover -s tests -t .

# With what `mpirun` needs, where there is an MPI.
wheel: library $(if $(shell command -v $(MPICC)),link)
	$(PYTHON) Scripts/wheel --bin $(BIN) --out dist

deb: build $(if $(shell command -v $(MPICC)),link)
	BIN=$(BIN) OUT=dist Scripts/deb

# The packages, as they are built, in a root that has nothing of this machine.
test-packages:
	@rm -rf .build/dist
	$(PYTHON) Scripts/wheel --bin $(BIN) --out .build/dist --level 1
	@if command -v dpkg-shlibdeps >/dev/null; then \
	  BIN=$(BIN) OUT=.build/dist Scripts/deb --quick && Scripts/clean-root --cached --optional --dist .build/dist; \
	else echo 'test-packages: skipped: no dpkg-dev: Scripts/deb --setup'; fi

bench: build
	$(BIN)/pto2-bench
	$(BIN)/pto2-bench --dual-ring
	$(BIN)/pto2-taskbench --rounds 1 --steps 250 --seconds 0.05

taskbench: build peers
	$(BIN)/pto2-taskbench --table

peers:
	@$(MAKE) --no-print-directory -C Benchmarks/TaskBench/Peers BIN=$(CURDIR)/$(BIN)

differential: build
	$(BIN)/pto2-random --seeds $(SEEDS)

verify: build
	SWIFT=$(SWIFT) $(BIN)/pto2-verify

verify-models:
	Verification/Models/verify-models

mutants: build
	SWIFT=$(SWIFT) $(BIN)/pto2-mutants

simulate: simulator
	$(SIMULATOR)/pto2-simulate

campaign: build
	$(BIN)/pto2-campaign --kills $(KILLS) $(if $(SEED),--seed $(SEED))

steps: build
	$(BIN)/pto2-steps

fuzz:
	SWIFT=$(SWIFT) Verification/Fuzzing/fuzz --seconds $(SECONDS_EACH)

# What is built: Swift executables by SwiftPM, shared objects in C by the C compiler.

build: executables library images

executables:
	$(SWIFT) build -c release

# libpto2.so under the names that a linker and a loader look for; SwiftPM has one name for
# an executable and a library.
library: executables
	ln -sf libPTO2C.so $(BIN)/libpto2.so.1
	ln -sf libpto2.so.1 $(BIN)/libpto2.so

# The only part that needs MPI. What it is built with is what it runs with.
ifeq ($(shell command -v $(MPICC) 2>/dev/null),)
link:
	@echo 'link: no $(MPICC) on the PATH: `make setup-mpi` installs Open MPI, or say' \
	  'MPICC=/path/to/mpicc' >&2; exit 1
else
link: $(BIN)/libpto2-link-mpi.so
endif

# SwiftPM makes the folder, which is a link.
$(BIN)/libpto2-link-mpi.so: Sources/Link/link_mpi.c $(wildcard Sources/CPTO2Link/include/*.h) Makefile
	@[ -d $(@D) ] || $(MAKE) --no-print-directory executables
	$(MPICC) -shared -fPIC -O2 -g -Wall -Wextra -Werror -fvisibility=hidden \
	  -I Sources/CPTO2Link/include -o $@ $<

install: build
	PREFIX=$(PREFIX) DESTDIR=$(DESTDIR) BIN=$(BIN) Scripts/install

uninstall:
	PREFIX=$(PREFIX) DESTDIR=$(DESTDIR) Scripts/install --uninstall

# The roles' code with a simulator between all of its accesses (Verification/Package.swift).
SIMULATOR = Verification/.build/simulate/release

simulator:
	PTO2_FLAVOUR=simulate $(SWIFT) build -c release --package-path Verification \
	  --scratch-path Verification/.build/simulate
	$(MAKE) --no-print-directory $(SIMULATOR)/libSimulationKernels.so

# Kernel images and programs in C, compiled as a user compiles his own and put beside the
# executables, which look for them there. Clang is the toolchain's, whose vector code the
# examples are measured with; CC=gcc works as well. An image takes no startup files: the
# loader then has next to nothing to do, once per worker.
ifeq ($(origin CC),default)
CC := $(firstword $(wildcard $(dir $(shell command -v $(SWIFT)))clang) cc)
endif
IMAGE_CFLAGS = -O3 -g -fPIC -Wall -Werror -D_GNU_SOURCE -I Sources/CPTO2/include
# What the kernel of Task Bench is compiled for, in every system.
FMA = $(if $(shell grep -m1 -w fma /proc/cpuinfo 2>/dev/null),-mavx2 -mfma)
IMAGE_LDFLAGS = -shared -nostartfiles -Wl,--build-id
OBJECTS = .build/images

# $(call image,NAME,FOLDERS OF SOURCES[,WHERE])
define image
$(1).objects := $$(patsubst %.c,$(OBJECTS)/%.o,$$(wildcard $(addsuffix /*.c,$(2))))
$(or $(3),$(BIN))/lib$(1).so: $$($(1).objects)
	@mkdir -p $$(@D)
	$$(CC) $$(IMAGE_LDFLAGS) -o $$@ $$^ -lm
$$($(1).objects): IMAGE_CFLAGS += $(addprefix -I ,$(2))
-include $$($(1).objects:.o=.d)
$(if $(3),,IMAGES += $(BIN)/lib$(1).so)
endef

$(eval $(call image,PagedAttentionKernels,Examples/PagedAttention/Kernels))
$(eval $(call image,VectorKernels,Examples/Vector/Kernels))
$(eval $(call image,VectorProgram,Examples/Vector/SharedObject))
$(eval $(call image,BGEMMKernels,Examples/BGEMM/Kernels))
$(eval $(call image,StencilKernels,Examples/Stencil/Kernels))
$(eval $(call image,CholeskyKernels,Examples/Cholesky/Kernels))
$(eval $(call image,BenchKernels,Benchmarks/Kernels))
$(eval $(call image,TaskBenchKernels,Benchmarks/TaskBench/Kernels Benchmarks/TaskBench/Shared))
$(TaskBenchKernels.objects): IMAGE_CFLAGS += -I Benchmarks/TaskBench/Shared/include $(FMA)
$(eval $(call image,ScriptKernels,Sources/ScriptKernels))
$(eval $(call image,TestKernels,Tests/Fixtures/TestKernels))
# Some of its kernels look for the words of the protocol, to spoil them.
$(TestKernels.objects): IMAGE_CFLAGS += -I Sources/CPTO2Segment/include
$(eval $(call image,OddKernels,Tests/Fixtures/OddKernels))
$(eval $(call image,RudeKernels,Tests/Fixtures/RudeKernels))
$(eval $(call image,RudeProgram,Tests/Fixtures/RudeProgram Tests/Fixtures/Program))
$(eval $(call image,TestProgram,Tests/Fixtures/TestProgram Tests/Fixtures/Program))
$(eval $(call image,ConformanceProgram,Tests/Fixtures/ConformanceProgram Tests/Fixtures/Program))
$(eval $(call image,StuckProgram,Tests/Fixtures/StuckProgram Tests/Fixtures/Program))
$(eval $(call image,AllocationCounter,Tests/Fixtures/AllocationCounter))
$(eval $(call image,SimulationKernels,Verification/Simulation/Kernels,$(SIMULATOR)))
$(eval $(call image,FuzzKernels,Verification/Fuzzing/Kernels,Verification/.build/fuzz/release))

# Programs in C and C++ with their own main(), which find libpto2.so beside themselves.
OWN_MAIN = $(BIN)/cholesky-c $(BIN)/cholesky-cpp
OWN_MAIN_FLAGS = -O2 -g -Wall -Wextra -Wpedantic -Werror -I Sources/CPTO2/include -MMD -MP
OWN_MAIN_LDFLAGS = -L $(BIN) -lpto2 -lm -Wl,-rpath,'$$ORIGIN'

$(BIN)/cholesky-c: Examples/Cholesky/C/cholesky.c Makefile | library
	@mkdir -p $(OBJECTS)
	$(CC) -std=c11 $(OWN_MAIN_FLAGS) -MF $(OBJECTS)/$(@F).d -o $@ $< $(OWN_MAIN_LDFLAGS)
$(BIN)/cholesky-cpp: Examples/Cholesky/Cpp/cholesky.cpp Makefile | library
	@mkdir -p $(OBJECTS)
	$(CXX) -std=c++17 $(OWN_MAIN_FLAGS) -MF $(OBJECTS)/$(@F).d -o $@ $< $(OWN_MAIN_LDFLAGS)
-include $(OWN_MAIN:$(BIN)/%=$(OBJECTS)/%.d)

images: $(IMAGES) $(OWN_MAIN)

# SwiftPM makes the folder, which is a link.
$(IMAGES): | executables

$(OBJECTS)/%.o: %.c Makefile
	@mkdir -p $(@D)
	$(CC) $(IMAGE_CFLAGS) -MMD -MP -c -o $@ $<

# Swift sources of this project, not the links to them.
FORMATTED = Package.swift Sources Examples Benchmarks Tests $(addprefix Verification/, \
  Package.swift Campaign Fuzzing Harness Mutants Random Simulation Steps Verify)

format:
	$(SWIFT) format --in-place --recursive $(FORMATTED)

lint:
	$(SWIFT) format lint --strict --recursive $(FORMATTED)

setup:
	Scripts/setup.sh

setup-mpi:
	Scripts/setup-mpi.sh

setup-run setup-test:
	$(if $(filter no,$(SETUP)),,@Scripts/setup.sh --quiet --for $(@:setup-%=%))

clean:
	$(SWIFT) package clean
	rm -rf $(OBJECTS) Verification/.build
