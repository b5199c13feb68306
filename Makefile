# The table of contents of what can be run. Each target installs what it needs, or says exactly how to.
.DEFAULT_GOAL := help
.PHONY: help demo test test-all bench official fuzz soak mutants

help: ## this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 12

demo: ## a real video travels, survives kill -9 of both ends, and comes back byte for byte (VIDEO=path, SIZE_MB=200)
	@scripts/demo.sh

test: ## everything CI runs
	@scripts/test.sh

test-all: ## test, and what takes longer: long end-to-end forms, fuzz, soak, defects on purpose, a short bench
	@scripts/test-all.sh

official: ## official SDKs as black-box clients of our server
	@scripts/official.sh

bench: ## client and server beside the official SDKs and the floors under them, as ratios of one run (SIZE_MB, ROUNDS, ONLY=upload,server,…)
	@scripts/bench.sh

fuzz: ## everything that is read from outside, under a fuzzer, on nightly (SECONDS_EACH=60)
	@SECONDS_EACH=$(or $(SECONDS_EACH),60) scripts/fuzz.sh

soak: ## many simulated worlds, then the server under load (SEEDS=1000000, MINUTES=10; MINUTES=0 leaves the server out)
	@SEEDS=$(or $(SEEDS),1000000) MINUTES=$(or $(MINUTES),10) scripts/soak.sh

mutants: ## defects on purpose: a list, each with its test, then every one that cargo-mutants makes of the engine (SHARD=0/4, PARTS=list)
	@scripts/mutants.sh
