"""``make mutants``: put small errors into the code one at a time, and name those that no test notices.

Exits with 1 where an error survives that ``equivalent.txt`` does not declare harmless, or where a line there names no
error any more. By default a sample; ``--all`` takes hours.
"""

import argparse
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from mutants.errors import Mutant, mutants

ROOT = Path(__file__).parents[2]
EQUIVALENT = Path(__file__).with_name("equivalent.txt")
TESTS = {
    "attacks": ("tests/attacks", "tests/theory/test_attacks.py", "tests/contracts"),
    "geometry": ("tests/test_geometry.py", "tests/theory/test_norm_balls.py", "tests/geometry"),
    "probability": ("tests/probability", "tests/theory"),
    "seeds": ("tests/test_seeds.py",),
    "evaluation": ("tests/evaluation",),
}
"""What is changed, under ``src/epslab``, and the tests that must notice."""


def found(package: str) -> list[Mutant]:
    """All errors of a package or a file."""
    home = ROOT / "src" / "epslab"
    paths = sorted((home / package).rglob("*.py")) or [home / f"{package}.py"]
    return [
        mutant for path in paths for mutant in mutants(path, ".".join(path.relative_to(home).with_suffix("").parts))
    ]


def survives(mutant: Mutant | None, tests: tuple[str, ...], seconds: float) -> bool:
    """Whether all tests pass with the error in the code (None: as it is); tests that run too long have noticed it."""
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "src"
        shutil.copytree(ROOT / "src", source, ignore=shutil.ignore_patterns("__pycache__"))
        if mutant is not None:
            (source / mutant.path.relative_to(ROOT / "src")).write_text(mutant.source(), encoding="utf-8")
        child = os.fork()  # of a process that has imported torch: each run starts seconds sooner
        if child == 0:
            os.setsid()
            os._exit(_tested(source, tests))
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            done, status = os.waitpid(child, os.WNOHANG)
            if done:
                return os.waitstatus_to_exitcode(status) == 0
            time.sleep(0.1)
        os.killpg(child, signal.SIGKILL)
        os.waitpid(child, 0)
        return False


def _tested(source: Path, tests: tuple[str, ...]) -> int:
    """Run the tests on this source, in this process, silently; pytest's exit code."""
    import pytest

    sys.path.insert(0, str(source))
    os.environ["PYTHONPATH"] = str(source)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.dup2(nowhere, 2)
    there = [test for test in tests if (ROOT / test).exists()]
    return int(pytest.main(["-x", "-q", "-p", "no:cacheprovider", "-m", "not full and not processes", *there]))


def main() -> int:
    """Draw errors, run the tests on each, and judge those that survive."""
    parser = argparse.ArgumentParser(prog="make mutants", description=__doc__)
    parser.add_argument("packages", nargs="*", default=list(TESTS), help=f"of {', '.join(TESTS)}; all if none")
    parser.add_argument("--number", type=int, default=60, help="errors drawn (default 60)")
    parser.add_argument("--all", action="store_true", help="every error: hours")
    parser.add_argument("--seed", type=int, default=0, help="of the draw")
    parser.add_argument("--seconds", type=float, default=600, help="after which a test run has noticed the error")
    parser.add_argument("--processes", type=int, default=2, help="test runs at a time")
    asked = parser.parse_args()
    everything = [(mutant, package) for package in asked.packages for mutant in found(package)]
    declared = dict(
        line.partition("  # ")[::2] for line in EQUIVALENT.read_text(encoding="utf-8").splitlines() if line.strip()
    )
    known = {mutant.name for package in TESTS for mutant in found(package)}
    gone = [name for name in declared if name not in known]
    open_ones = [pair for pair in everything if pair[0].name not in declared]
    chosen = open_ones
    if not asked.all:
        chosen = random.Random(asked.seed).sample(open_ones, min(asked.number, len(open_ones)))
    print(f"{len(everything):,} errors, {len(everything) - len(open_ones)} declared harmless; {len(chosen)} are tried.")
    for package in {package for _, package in chosen}:
        if not survives(None, TESTS[package], 10 * asked.seconds):
            print(f"The tests of {package} fail on the code as it is: mend that first.")
            return 1
    survivors = []
    with ThreadPoolExecutor(asked.processes) as pool:
        tried = pool.map(lambda pair: survives(pair[0], TESTS[pair[1]], asked.seconds), chosen)
        for (mutant, _), alive in zip(chosen, tried, strict=True):
            verdict = "SURVIVES" if alive else "noticed "
            print(f"{verdict}  {mutant.path.name}:{mutant.span[0]}  {mutant.name}", flush=True)
            survivors += [mutant] if alive else []
    print(f"{len(chosen) - len(survivors)} of {len(chosen)} noticed.")
    for name in gone:
        print(f"equivalent.txt declares an error that there is no more: {name}")
    return 1 if survivors or gone else 0


if __name__ == "__main__":
    import pytest  # noqa: F401
    import torch

    torch.set_num_threads(1)
    sys.exit(main())
