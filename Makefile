# `make` alone lists what can be done.
.DEFAULT_GOAL := help
.PHONY: help run test check lint migrate messages packages packages-dev

DEMO ?= 1
PORT ?= 5000
REQUIRE_PG ?= 1
REQUIRE_BROWSER ?= 1
export DEMO PORT REQUIRE_PG REQUIRE_BROWSER

PYTHON := .venv/bin/python
FLASK := $(PYTHON) -m flask --app app

help:  ## this list
	@sed -n 's/^\([a-z-]*\):[^#]*## \(.*\)/  make \1\t\2/p' Makefile | expand -t 20

run:  ## start the portal (PORT=5000; DEMO=0 without the demo district)
	@exec scripts/run

test:  ## every test: SQLite, PostgreSQL, browser (REQUIRE_PG=0, REQUIRE_BROWSER=0 skip what is missing)
	@exec scripts/test

check: lint  ## lint, then the quick tests
	@scripts/translations
	@$(PYTHON) -m pytest tests/rules tests/house tests/web -n 4

lint: packages-dev  ## ruff, mypy, import contracts
	@$(PYTHON) -m ruff check .
	@$(PYTHON) -m ruff format --check .
	@$(PYTHON) -m mypy
	@.venv/bin/lint-imports

migrate: packages  ## write a migration from the changed models: make migrate m="what changes"
	@test -n "$(m)" || { echo 'make migrate m="what changes"'; exit 2; }
	@$(FLASK) db upgrade
	@$(FLASK) db migrate -m "$(m)"

messages: packages  ## collect the texts, bring ru.po and en.po up to date, compile
	@$(PYTHON) -m exchange.translations

packages:
	@scripts/packages requirements.txt

packages-dev:
	@scripts/packages requirements-dev.txt
