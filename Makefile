# "make demo" and "make test" do all the set-up on a fresh machine.

PYTHON ?= python3
VENV := .venv
RUN := $(VENV)/bin/python
# Newer than what it was made from: everything is installed.
STAMP := $(VENV)/installed

# Where the native relay is built with the sanitizers, beside the usual one.
ASAN := build/asan

.PHONY: help demo test asan bench lint clean

help:
	@echo "make demo    a call between two clients, live (DEMO_SECONDS=15 ends it)"
	@echo "make test    the tests"
	@echo "make asan    the tests of what is compiled under the address sanitizer"
	@echo "make bench   the measurements of docs/performance.md"
	@echo "make lint    style, types, layers and links of the documents"
	@echo "make clean   remove what make made; a server's own files stay (etc/, myserver/)"

demo: $(STAMP)
	@$(RUN) -m anychat.demo

test: $(STAMP)
	@$(RUN) -b -m twisted.trial test

# Python's own leaks are left out: what counts is what ours allocated.
asan: $(STAMP)
	@rm -rf $(ASAN) && mkdir -p $(ASAN)
	@cp -r anychat test $(ASAN) && find $(ASAN) -name "*.so" -delete
	@cp setup.py setup.cfg pyproject.toml README.md LICENSE $(ASAN)
	@cd $(ASAN) && ANYCHAT_SANITIZE=1 $(CURDIR)/$(RUN) setup.py --quiet \
		build_ext --inplace
	@cd $(ASAN) && PYTHONPATH=. PYTHONMALLOC=malloc \
		ASAN_OPTIONS=detect_leaks=1:log_path=$(CURDIR)/$(ASAN)/report \
		LSAN_OPTIONS=exitcode=0 UBSAN_OPTIONS=print_stacktrace=1 \
		LD_PRELOAD="$$(cc -print-file-name=libasan.so) $$(cc -print-file-name=libubsan.so)" \
		$(CURDIR)/$(RUN) -m twisted.trial test.media.test_relay \
		test.media.test_native test.media.test_crowds \
		test.services.test_media test.load.test_wire || \
		{ cat report.*; exit 1; }
	@if grep -h -A1 "#0 " $(ASAN)/report.* 2>/dev/null | grep -E "#1 .*(_relay|wire)"; then \
		echo "The relay or the wire lost memory, see $(ASAN)/report.*"; exit 1; fi

# The relay's tables and charts go into docs/; BENCH=--quick takes a minute or two.
bench: $(STAMP)
	@for file in $(filter-out benchmarks/relay.py,$(wildcard benchmarks/*.py)); do \
		echo "== $$file"; $(RUN) "$$file" || echo "$$file: exit code $$?"; done
	@echo "== benchmarks/relay.py"; $(RUN) benchmarks/relay.py --write $(BENCH)

lint: $(STAMP)
	@$(RUN) -b -m twisted.trial test.test_source test.test_layering

clean:
	@rm -rf $(VENV) build dist anychat.egg-info _trial_temp* .hypothesis \
		.mypy_cache .ruff_cache twisted/plugins/dropin.cache
	@find . -name __pycache__ -prune -exec rm -rf {} +

NATIVE := $(wildcard anychat/*/*.pyx anychat/*/*.pxd anychat/*/*.h)

$(STAMP): setup.cfg setup.py pyproject.toml $(NATIVE)
	@command -v $(PYTHON) >/dev/null || { \
		echo "$(PYTHON) is not installed; on Debian: apt-get install python3 python3-venv"; \
		exit 1; }
	@version=$$($(PYTHON) -c 'import sys; print("%d.%d" % sys.version_info[:2]); \
		sys.exit(sys.version_info < (3, 11))' 2>/dev/null) || { \
		echo "Python 3.11 or newer is needed, and $(PYTHON) is $${version:-none};"; \
		echo "name another one: make PYTHON=python3.12 $(MAKECMDGOALS)"; \
		exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
		echo "Python cannot make virtual environments; on Debian: apt-get install python3-venv"; \
		exit 1; }
	@echo "Installing into $(VENV) (once, about a minute) ..."
	@$(PYTHON) -m venv $(VENV)
	@$(RUN) -m pip install --quiet --disable-pip-version-check -e '.[test]'
	@touch $@
