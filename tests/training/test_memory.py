"""Training asks glibc to keep the memory a step frees; what it saves is shown by ``benchmarks/vae_training.py``."""

import ctypes
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from training_samples import train

from epslab.training.surroundings import keep_freed_memory

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # as in malloc.h


@pytest.mark.skipif(sys.platform != "linux", reason="glibc's allocator is Linux's")
def test_both_thresholds_are_raised(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[int, int]] = []
    library = SimpleNamespace(mallopt=lambda parameter, value: asked.append((parameter, value)))
    monkeypatch.setattr(ctypes, "CDLL", lambda name: library)
    keep_freed_memory()
    assert asked == [(M_TRIM_THRESHOLD, 2**30), (M_MMAP_THRESHOLD, 2**25)]


def test_training_asks_for_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[str] = []
    monkeypatch.setattr("epslab.training.loop.keep_freed_memory", lambda: calls.append("kept"))
    train("denoiser", tmp_path / "run", epochs=1)
    assert calls == ["kept"]


def test_glibc_takes_these_values_and_other_libraries_are_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        assert mallopt(M_TRIM_THRESHOLD, 2**30) == 1
        assert mallopt(M_MMAP_THRESHOLD, 2**25) == 1
    monkeypatch.setattr(ctypes, "CDLL", lambda name: SimpleNamespace())
    assert keep_freed_memory() is None
