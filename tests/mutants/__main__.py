"""``make mutants``: put small errors into the code one at a time, and name those that no test notices.

Exits with 1 where an error survives that ``equivalent.txt`` does not declare harmless, or where a line there names no
error any more. By default a sample, in some ten minutes on two cores; ``--all`` takes an hour or two.
"""

import argparse
import importlib
import random
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from queue import SimpleQueue

from mutants.errors import Mutant, mutants
from mutants.running import ROOT, Copy, Coverage

EQUIVALENT = Path(__file__).with_name("equivalent.txt")
TESTS = {
    "attacks": ("tests/attacks", "tests/theory/test_attacks.py", "tests/theory/test_gradient_steps.py",
                "tests/contracts"),
    "geometry": ("tests/test_geometry.py", "tests/theory/test_norm_balls.py", "tests/theory/test_ball_and_box.py"),
    "probability": ("tests/probability", "tests/theory/test_bounds.py", "tests/theory/test_divergences.py",
                    "tests/theory/test_likelihoods.py", "tests/theory/test_linear_gaussian.py", "tests/generative"),
    "seeds": ("tests/test_seeds.py",),
    "evaluation": ("tests/evaluation",),
}  # fmt: skip
"""What is changed, under ``src/epslab``, and the tests that must notice."""


def found(package: str) -> list[Mutant]:
    """All errors of a package or a file."""
    home = ROOT / "src" / "epslab"
    paths = sorted((home / package).rglob("*.py")) or [home / f"{package}.py"]
    return [
        mutant for path in paths for mutant in mutants(path, ".".join(path.relative_to(home).with_suffix("").parts))
    ]


def declared() -> dict[str, str]:
    """The errors that ``equivalent.txt`` declares harmless, each with the reason."""
    lines = EQUIVALENT.read_text(encoding="utf-8").splitlines()
    return dict(line.partition("  # ")[::2] for line in lines if line.strip())


def main() -> int:
    """Draw errors, run the tests on each, and judge those that survive."""
    parser = argparse.ArgumentParser(prog="make mutants", description=__doc__)
    parser.add_argument("packages", nargs="*", default=list(TESTS), help=f"of {', '.join(TESTS)}; all if none")
    parser.add_argument("--number", type=int, default=100, help="errors drawn (default 100)")
    parser.add_argument("--all", action="store_true", help="every error: hours")
    parser.add_argument("--seed", type=int, default=0, help="of the draw")
    parser.add_argument("--processes", type=int, default=2, help="test runs at a time")
    asked = parser.parse_args()
    harmless = declared()
    known = {mutant.name for package in TESTS for mutant in found(package)}
    gone = [name for name in harmless if name not in known]
    everything = [(mutant, package) for package in asked.packages for mutant in found(package)]
    chosen = [pair for pair in everything if pair[0].name not in harmless]
    print(f"{len(everything):,} errors, {len(everything) - len(chosen)} declared harmless.", flush=True)
    if not asked.all:
        chosen = random.Random(asked.seed).sample(chosen, min(asked.number, len(chosen)))
    with tempfile.TemporaryDirectory() as folder:
        survivors = _survivors(chosen, Path(folder), asked.processes)
    if survivors is None:
        return 1
    print(f"{len(chosen) - len(survivors)} of {len(chosen)} noticed.")
    for name in gone:
        print(f"equivalent.txt declares an error that there is no more: {name}")
    return 1 if survivors or gone else 0


def _survivors(chosen: list[tuple[Mutant, str]], folder: Path, processes: int) -> list[Mutant] | None:
    """The errors that no test notices; None where a test fails without any."""
    copies: SimpleQueue[Copy] = SimpleQueue()
    for number in range(processes):
        copies.put(Copy(folder / str(number)))

    def covered(package: str) -> Coverage | None:
        copy = copies.get()
        try:
            return copy.covers(TESTS[package])
        finally:
            copies.put(copy)

    def survives(pair: tuple[Mutant, str]) -> bool:
        copy = copies.get()
        try:
            return copy.survives(pair[0], coverage[pair[1]])
        finally:
            copies.put(copy)

    survivors = []
    with ThreadPoolExecutor(processes) as pool:
        packages = list(dict.fromkeys(package for _, package in chosen))
        coverage = {}
        for package, lines in zip(packages, pool.map(covered, packages), strict=True):
            if lines is None:
                print(f"The tests of {package} fail on the code as it is: mend that first.")
                return None
            print(f"{package}: {len(lines.seconds)} tests pass in {sum(lines.seconds.values()):.0f} s.", flush=True)
            coverage[package] = lines
        for (mutant, _), alive in zip(chosen, pool.map(survives, chosen), strict=True):
            verdict = "SURVIVES" if alive else "noticed "
            print(f"{verdict}  {mutant.path.name}:{mutant.span[0]}  {mutant.name}", flush=True)
            survivors += [mutant] if alive else []
    return survivors


if __name__ == "__main__":
    for heavy in ("torch", "lightning", "torchmetrics", "scipy.stats", "sklearn.datasets", "beartype"):
        importlib.import_module(heavy)  # once, before the test runs are forked off
    import torch

    torch.set_num_threads(1)
    sys.exit(main())
