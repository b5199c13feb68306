"""What the checks of every SDK share: a list that they join, bytes to send, and the run that ends the program."""

import hashlib
import sys
import traceback


class Checks(list):
    """Functions in the order of their definition; `check = Checks()` and `@check` makes one of them."""

    def __call__(self, run):
        self.append(run)
        return run


def noise(length, seed=0):
    """Bytes that repeat nowhere, the same for the same length and seed."""
    return hashlib.shake_128(f"{length} {seed}".encode()).digest(length)


def run_all(sdk, runs):
    """Calls the function of each (name, function), prints what came of it, and ends the program: with 1 when one failed."""
    failed = 0
    for name, run in runs:
        name = name.replace("_", " ")
        try:
            run()
        except Exception as e:  # each check reports its own failure, the others still run
            failed += 1
            print(f"{sdk} … FAILED {name}: {type(e).__name__}: {e}", flush=True)
            traceback.print_exc()
        else:
            print(f"{sdk} … ok {name}")
    print(f"{sdk}: {len(runs) - failed} passed, {failed} failed", flush=True)
    sys.exit(1 if failed else 0)
