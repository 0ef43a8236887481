# Every target builds .venv when it is needed and brings it up to date when the requirements change.
#   make PYTHON=/path/to/python3.12 test      chooses another Python for a new .venv

SHELL := /bin/sh
.DEFAULT_GOAL := help

PYTHON ?= $(firstword $(foreach name,python3.11 python3.12 python3.13 python3 python,$(shell \
	$(name) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null && echo $(name))))
VENV := .venv
RUN := $(VENV)/bin/python
JSDDPM := $(VENV)/bin/jsddpm
READY := $(VENV)/.ready
SYSTEM_LIBRARIES := Testing/host/system_libraries.py
MODEL ?= Resources/Models/demo
DATA ?= ../shared/data
CACHE ?= cache/demo

.PHONY: help setup demo test faults gaps lint gui screenshots bench quality walkthrough features template \
	study-demonstration study-leaks study-coverage

help:
	@echo "make demo      synthetic FLAIR slices with lesion masks, in demo-output/"
	@echo "make test      the tests"
	@echo "make faults    training, worker and reading killed 186 times, evenly over what they do"
	@echo "make gaps      how long the window is held during a run, and by what"
	@echo "make lint      style and formatting"
	@echo "make gui       the module on a screen, in a stand-in for Slicer"
	@echo "make quality   the demo bundle against real test subjects: README's quality table"
	@echo "make walkthrough  the demo model fine-tuned on real cases: README's walk-through and its table"
	@echo "make features  the small encoder that the quality table's KID is measured with"
	@echo "make screenshots  the README's pictures of the panels, with images that the demo model makes"
	@echo "make bench     speed and memory, of drawing and of training: README's speed tables"
	@echo "make study-demonstration  a reading study from end to end: the report in docs/"
	@echo "make study-leaks  what else than the pictures tells the arms of a study apart"
	@echo "make study-coverage  how often the intervals of a study hold the truth"
	@echo "make template  the average FLAIR that native scans are aligned to"

setup: $(READY)

$(READY): pyproject.toml constraints.txt
	@test -x $(RUN) || test -n "$(PYTHON)" || { \
		echo "No Python 3.11, 3.12 or 3.13 was found: install one, or say make PYTHON=/path/to/python."; exit 1; }
	@test -x $(RUN) || $(PYTHON) -m venv $(VENV) || { \
		echo "$(PYTHON) could not make a virtual environment: install its venv module (python3-venv on Debian)."; \
		rm -rf $(VENV); exit 1; }
	@echo "Setting up $(VENV): some minutes and 2 GB the first time."
	$(RUN) -m pip install --quiet --disable-pip-version-check --constraint constraints.txt setuptools
	$(RUN) -m pip install --quiet --disable-pip-version-check --constraint constraints.txt \
		--no-build-isolation --editable '.[train,evaluate,study,host,dev]'
	@$(RUN) $(SYSTEM_LIBRARIES)
	@touch $@

demo: $(READY)
	@rm -rf demo-output
	$(JSDDPM) sample --model $(MODEL) --pathology infarct --position 18 --count 4 --seed 1 --out demo-output/infarct
	$(JSDDPM) sample --model $(MODEL) --pathology ms --position 18 --count 4 --seed 1 --out demo-output/ms
	$(JSDDPM) sample --model $(MODEL) --pathology fcd-simulated --position 18 --count 4 --seed 1 \
		--out demo-output/fcd-simulated
	$(JSDDPM) sample --model $(MODEL) --pathology none --position 18 --count 4 --seed 1 --out demo-output/none
	@echo
	@echo "Pictures of what was made, masks outlined:"
	@for pathology in infarct ms fcd-simulated none; do echo "  $(CURDIR)/demo-output/$$pathology/overview.png"; done

# Two test processes with one thread each: sums keep their order, and the processes do not fight over the cores.
test: $(READY)
	@$(RUN) $(SYSTEM_LIBRARIES) --required
	OMP_NUM_THREADS=1 $(RUN) -m pytest -n 2 --dist worksteal -m "not slow"

faults: $(READY)
	@$(RUN) $(SYSTEM_LIBRARIES) --required
	OMP_NUM_THREADS=1 $(RUN) -m pytest -m slow -s -k kills Testing/core/test_fine_tune_faults.py \
		Testing/module/test_faults.py Testing/module/test_reading_kills.py

gaps: $(READY)
	@$(RUN) $(SYSTEM_LIBRARIES) --required
	$(RUN) Testing/benchmarks/window_gaps.py

# On a machine without a screen: xvfb-run make gui.
gui: $(READY)
	@$(RUN) $(SYSTEM_LIBRARIES) --screen --required
	$(RUN) Testing/host/main.py

screenshots: $(READY)
	@$(RUN) $(SYSTEM_LIBRARIES) --required
	$(RUN) Testing/host/screenshots.py

study-demonstration: $(READY)
	@$(RUN) $(SYSTEM_LIBRARIES) --required
	$(RUN) Testing/host/study_demonstration.py

study-leaks: $(READY)
	$(RUN) Testing/benchmarks/study_leaks.py --data $(DATA)

study-coverage: $(READY)
	$(RUN) Testing/benchmarks/study_coverage.py

lint: $(READY)
	$(RUN) -m ruff check .
	$(RUN) -m ruff format --check .

# The slices of the demo model's own cases: what its test subjects and the training images are looked up in.
$(CACHE)/cache.json: | $(READY)
	$(JSDDPM) prepare $(DATA)/soop-axial $(DATA)/ms-volumes --pathology infarct --pathology ms --simulate-fcd 0.6 \
		--split Testing/benchmarks/demo_splits.tsv --out $(CACHE)

quality: $(READY) $(CACHE)/cache.json
	$(RUN) -m jsddpm_core.evaluation.quality --model $(MODEL) --cache $(CACHE) --samples build/quality \
		--out Testing/benchmarks/results/quality.json
	$(RUN) Testing/benchmarks/readme_tables.py

walkthrough: $(READY)
	$(RUN) Testing/benchmarks/walkthrough.py $(DATA)/ms-volumes
	$(RUN) Testing/benchmarks/readme_tables.py

bench: $(READY)
	$(RUN) Testing/benchmarks/bench.py --model $(MODEL) --cache $(CACHE) --data $(DATA)
	$(RUN) Testing/benchmarks/readme_tables.py

features: $(READY) $(CACHE)/cache.json
	$(RUN) -m jsddpm_core.evaluation.encoder_training --cache $(CACHE) --out Resources/Features

template: $(READY)
	$(RUN) -m jsddpm_core.data.template $(DATA)/ms-volumes --out Resources/Templates
