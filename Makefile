# `make demo` and `make test` are all a newcomer needs; each makes its own .venv. arq comes without its dependencies:
# it wants redis below 6, works with newer ones, and Celery's transport needs those.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: demo test real ci lint crash agents bench detection frameworks proof-corpus proof-corpus-quick proof-bench growth-bench sandbox-bench scaffold-matrix scaffold-bench ship-bench ledger-bench unprivileged denied hostile strangers bug-reports planted branches metamorphic charge wheel site clean

$(VENV)/.installed: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or newer is needed; name one with: make PYTHON=python3.12"; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { echo "Python's venv module is missing; install it, on Debian and Ubuntu: apt install python3-venv"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt --no-deps arq
	@touch $@

# Clients and checkers that other people wrote; without npm their tests are skipped, and say so.
NODE_TOOLS := @modelcontextprotocol/inspector@2.12.0 node@26
.node/.installed:
	@mkdir -p .node
	@if command -v npm >/dev/null; then npm install --prefix .node --silent --no-fund --no-audit $(NODE_TOOLS) \
	|| echo "npm could not install them: tests with the MCP Inspector are skipped"; \
	else echo "npm is not here: tests with the MCP Inspector are skipped"; fi
	@touch $@

demo: $(VENV)/.installed
	@$(BIN)/skillrun demo

# Compiled first, as what is installed is: the tests start skillrun a thousand times.
test: $(VENV)/.installed
	@$(BIN)/python -m compileall -q skillrun
	$(BIN)/python -m pytest -n auto --dist worksteal -m 'not long and not real and not hostile'

# Seconds each: proofs, drivers, MCP clients, verify, the tests stage, doctor, real workers, runs from nothing to their end.
real: $(VENV)/.installed
	$(BIN)/python -m pytest -n auto --dist worksteal -m 'real and not long and not hostile'

# Every bad file in every place where skillrun opens one; `make test` has one of each kind.
hostile: $(VENV)/.installed
	$(BIN)/python -m pytest -n auto --dist worksteal -m hostile

# What a proof can reach, tried as an ordinary user where root runs this; fails where none can run the Python. Bad files
# (tests/**/test_bad_input.py) are not in it: what reads them is skillrun itself, outside of the sandbox, with the rights of
# whoever calls it.
unprivileged: $(VENV)/.installed
	tests/proof/unprivileged.sh $(BIN)/python

# The same where nobody gets a namespace; fails where there are some that cannot be denied.
denied: $(VENV)/.installed
	tests/proof/denied.sh $(BIN)/python

lint: $(VENV)/.installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python tests/house/figures.py --check

crash: $(VENV)/.installed
	$(BIN)/python -m pytest -n auto --dist worksteal -m long

# With the coding agents on PATH: do they obey the hooks? A stand-in model on loopback tells them what to do.
agents: $(VENV)/.installed
	SKILLRUN_LIVE_AGENTS=1 $(BIN)/python -m pytest tests/agents/test_live.py

bench: $(VENV)/.installed
	$(BIN)/python tests/bench/bench.py

# Every correct handler is proved, every mutant that changes behaviour refuted; CORPUS names some of them.
proof-corpus: $(VENV)/.installed
	$(BIN)/python tests/proof/corpus/run.py $(CORPUS)

# An environment for each job library as its own users have it, built once and kept; with them the corpus is proved in those.
FRAMEWORKS := $(patsubst tests/frameworks/%.txt,.venv-frameworks/%/.installed,$(wildcard tests/frameworks/*.txt))
.venv-frameworks/%/.installed: tests/frameworks/%.txt
	$(PYTHON) -m venv $(@D)
	$(@D)/bin/python -m pip install --quiet --disable-pip-version-check -r $<
	@touch $@
frameworks: $(FRAMEWORKS)

proof-bench: $(VENV)/.installed
	$(BIN)/python tests/bench/proof_bench.py

# Twice the input, as a ratio of the time: what reads a stranger's file does work in proportion to its size.
growth-bench: $(VENV)/.installed
	$(BIN)/python tests/bench/growth_bench.py

# What the sandbox costs a schedule: the same proof with and without it, as a ratio.
sandbox-bench: $(VENV)/.installed
	$(BIN)/python tests/bench/sandbox_bench.py

# Jobs by people who knew the spec's schema alone, and mistakes in them; STRANGERS names some: "tests/strangers/data-team:m-1,m-5"
.venv-strangers/.installed: tests/strangers/requirements.txt
	$(PYTHON) -m venv $(@D)
	$(@D)/bin/python -m pip install --quiet --disable-pip-version-check -r $<
	$(@D)/bin/python -m pip install --quiet --disable-pip-version-check --no-deps 'arq>=0.28'
	@touch $@
strangers: $(VENV)/.installed .venv-strangers/.installed
	$(BIN)/python tests/strangers/run.py --python .venv-strangers/bin/python $(or $(STRANGERS),$(wildcard tests/strangers/*/))

# Public bug reports, rebuilt small: each base has the bug, its variant the repair; STRANGERS names some here, too.
bug-reports: $(VENV)/.installed .venv-strangers/.installed
	$(BIN)/python tests/strangers/run.py --python .venv-strangers/bin/python $(or $(STRANGERS),$(wildcard tests/bug_reports/*/))

# Bugs that production's events bring to light, planted in the strangers' repositories; PLANTED names events or ids.
planted: $(VENV)/.installed .venv-strangers/.installed
	$(BIN)/python tests/planted/run.py --python .venv-strangers/bin/python $(PLANTED)

# Branches by an adversary, and what `verify` says beside their base; BRANCHES names repositories or ids.
branches: $(VENV)/.installed .venv-strangers/.installed
	$(BIN)/python tests/branches/run.py --python .venv-strangers/bin/python $(BRANCHES)

# The corpora's handlers written otherwise (a function, a class, a decorator, other logs ...): what is read of them stays;
# METAMORPHIC=--prove has each proved as well.
metamorphic: $(VENV)/.installed
	$(BIN)/python tests/metamorphic/written_otherwise.py $(METAMORPHIC)

# Two real results of one task, beside what a real worker showed of them: CHARGE is their folder, CHARGE_PYTHON has their libraries.
charge: $(VENV)/.installed
	$(BIN)/python tests/charge_invoice/run.py --python $(or $(CHARGE_PYTHON),$(BIN)/python) $(CHARGE)

# LABELS is a labels file, CHECKOUTS a folder with one checkout an entry.
detection: $(VENV)/.installed
	$(BIN)/python tests/detection/score.py $(LABELS) $(CHECKOUTS)

# What the scaffold writes, for every framework, trigger, store, dead letter and policy: linted, typed, tested, proved.
# SCAFFOLD names words of some rows, e.g. make scaffold-matrix SCAFFOLD="celery sqlalchemy"; "every" is the whole product.
scaffold-matrix: $(VENV)/.installed
	$(BIN)/python tests/scaffold/matrix.py $(SCAFFOLD)

scaffold-bench: $(VENV)/.installed
	$(BIN)/python tests/bench/scaffold_bench.py

ship-bench: $(VENV)/.installed
	$(BIN)/python tests/bench/ship_bench.py

# A million events; RUNS=1000 for a quick look at fifty thousand.
ledger-bench: $(VENV)/.installed
	$(BIN)/python tests/bench/ledger_bench.py --runs $(or $(RUNS),20000)

proof-corpus-quick: $(VENV)/.installed
	$(BIN)/python tests/proof/corpus/run.py --quick

# What pip installs, in an empty environment outside of the checkout: demo, prove, verify, mcp and serve, on every Python
# that is there. PYTHONS names some of them, e.g. make wheel PYTHONS=python3.12
wheel: $(VENV)/.installed
	$(BIN)/python tests/wheel/try_wheel.py $(PYTHONS)

# The documentation as a site in build/site. Its pages open from there; its search needs: python3 -m http.server -d build/site
site: $(VENV)/.installed
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict --quiet

# What a fresh machine does: .ci/steps has the order, and says what was not reached in the time that CI has.
ci:
	@.ci/steps

clean:
	rm -rf $(VENV) .node .venv-frameworks .venv-strangers
