"""Memory a step frees stays with the process: the next step takes it without a page fault."""

import subprocess
import sys

import pytest

CHILD = """
import resource, sys, torch
if sys.argv[1] == "keep":
    from epslab.training.surroundings import keep_freed_memory
    keep_freed_memory()
def step():
    tensors = [torch.ones(2**20) for _ in range(8)]  # 4 MB each, freed together
    del tensors
for _ in range(3):
    step()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(40):
    step()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.processes
@pytest.mark.skipif(sys.platform != "linux", reason="glibc's allocator is Linux's")
def test_steps_take_their_memory_without_page_faults() -> None:
    faults = {
        how: int(subprocess.run([sys.executable, "-c", CHILD, how], capture_output=True, text=True, check=True).stdout)
        for how in ("keep", "default")
    }
    one_step = 8 * 2**10  # 32 MB in pages of 4 kB
    assert faults["default"] > 5 * one_step  # of 40 steps
    assert faults["keep"] < one_step
