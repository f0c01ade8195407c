"""Where an evaluation keeps its results, batch by batch: in memory, or in a folder that outlives a kill.

A folder holds ``evaluation.json`` (what is evaluated), ``provenance.json`` (by which versions, by which command),
``results/JOB/FIRST.safetensors`` (one file per batch, named by its first example) and, at the end, the report.
"""

import json
import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import torch
from jaxtyping import Bool, Int, Shaped
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from epslab.errors import UserError
from epslab.files import write_atomic
from epslab.runs import provenance
from epslab.runs.lock import of_a_lock
from epslab.types import Images

KEPT = 64
"""Without a folder, this many adversarial images are kept: those of the first examples."""
VERSION = 3
"""Of ``evaluation.json`` and the results: 1 missed plain attributes and constants, 2 whether outputs have gradients."""
PICTURES = ("images", "pixels")
"""The results that are large: ``read`` leaves them out."""
_SETTINGS = "evaluation.json"
_PROVENANCE = "provenance.json"
_LEFT = re.compile(r"\.\w+\.(json|csv|safetensors)\.\w+")
"""A file that was being written when the process was killed."""
_Batch = tuple[Iterable[str], Callable[[str], Tensor]]
"""The names of a batch's results, and a function that gets one by its name."""


class Store(ABC):
    """Results by job and example."""

    @abstractmethod
    def write(self, job: str, indices: Int[Tensor, " k"], results: Mapping[str, Shaped[Tensor, "k ..."]]) -> None:
        """Keep the results of a batch: all of them, or none."""

    @abstractmethod
    def _batches(self, job: str) -> Iterator[_Batch]: ...

    @abstractmethod
    def _missing(self, job: str, index: int) -> UserError: ...

    def done(self, job: str, n: int) -> Bool[Tensor, " n"]:
        """Which of the n examples have a result."""
        mask = torch.zeros(n, dtype=torch.bool)
        for _, get in self._batches(job):
            mask[get("indices")] = True
        return mask

    def read(self, job: str) -> dict[str, Tensor]:
        """All results of a job but its images, in the order of the examples, whose "indices" are among them."""
        parts = [{name: get(name) for name in names if name not in PICTURES} for names, get in self._batches(job)]
        order = torch.cat([part["indices"] for part in parts]).argsort()
        return {name: torch.cat([part[name] for part in parts])[order] for name in parts[0]}

    def images(self, job: str, indices: Sequence[int]) -> Images:
        """The images a job returned for these examples.

        Raises:
            UserError: There is no such example, or its image is not kept.
        """
        found: dict[int, Tensor] = {}
        for _, get in self._batches(job):
            own = get("indices").tolist()
            if not set(indices).isdisjoint(own):
                found |= dict(zip(own, get("images"), strict=False))
        if missing := [index for index in indices if index not in found]:
            raise self._missing(job, missing[0])
        return torch.stack([found[index] for index in indices])


class MemoryStore(Store):
    """Results kept in memory; images of the first ``KEPT`` examples only."""

    def __init__(self) -> None:
        self._parts: dict[str, list[dict[str, Tensor]]] = {}

    def write(self, job: str, indices: Int[Tensor, " k"], results: Mapping[str, Shaped[Tensor, "k ..."]]) -> None:
        """Keep the results of a batch."""
        part = {"indices": indices} | {name: value.cpu() for name, value in results.items() if name != "pixels"}
        if "images" in part:
            part["images"] = part["images"][indices < KEPT]  # a copy; indices ascend, so these are the first rows
        self._parts.setdefault(job, []).append(part)

    def _batches(self, job: str) -> Iterator[_Batch]:
        return ((part, part.__getitem__) for part in self._parts.get(job, []))

    def _missing(self, job: str, index: int) -> UserError:
        return UserError(
            f"The adversarial image of example {index} is not kept: without out= the evaluation keeps those of the"
            f" first {KEPT} examples; give `out=` a folder to keep all."
        )


class FolderStore(Store):
    """Results kept in a folder; one process calls ``prepare``, then all use it.

    Args:
        folder: Where it is.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def prepare(self, settings: Mapping[str, object], *, resume: bool, unknown: Sequence[str] = ()) -> None:
        """Make the folder, or check that it belongs to this evaluation.

        Args:
            settings: What is evaluated, with the version of its fingerprints.
            resume: Whether the folder may hold a part of this evaluation.
            unknown: What the settings do not show, each a sentence without its full stop.

        Raises:
            UserError: The folder holds an evaluation and ``resume`` is false; it holds an evaluation of something else,
                or of what cannot be compared; it holds other things; it cannot be written.
        """
        file = self.folder / _SETTINGS
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            if not file.exists():
                others = sorted(path.name for path in self.folder.iterdir() if not _is_left(path))
                if others:
                    raise UserError(
                        f"'{self.folder}' holds other things ({others[0]}) and no evaluation: choose a new folder."
                    )
                write_atomic(file, json.dumps(settings, indent=1))
                # What it was begun by: a page tells how to repeat it.
                write_atomic(self.folder / _PROVENANCE, json.dumps(provenance(), indent=1))
            elif not resume:
                raise UserError(
                    f"'{self.folder}' already holds an evaluation: carry it on with resume, or choose another folder."
                )
            else:
                self._compare(json.loads(file.read_text()), json.loads(json.dumps(settings)), unknown)
            for path in self.folder.rglob(".*"):
                if _LEFT.fullmatch(path.name):
                    path.unlink(missing_ok=True)
        except (OSError, json.JSONDecodeError) as error:
            raise UserError(f"'{self.folder}' cannot be used for results: {error}.") from error

    def write(self, job: str, indices: Int[Tensor, " k"], results: Mapping[str, Shaped[Tensor, "k ..."]]) -> None:
        """Keep the results of a batch, in one file."""
        folder = self.folder / "results" / job
        folder.mkdir(parents=True, exist_ok=True)
        tensors = {"indices": indices, **{name: value.cpu().contiguous() for name, value in results.items()}}
        write_atomic(folder / f"{int(indices[0]):09d}.safetensors", save(tensors))

    def _batches(self, job: str) -> Iterator[_Batch]:
        for path in sorted((self.folder / "results" / job).glob("[0-9]*.safetensors")):
            try:
                with safe_open(path, "pt") as file:
                    yield file.keys(), file.get_tensor
            except (SafetensorError, OSError) as error:
                raise UserError(f"'{path}' is damaged ({error}): delete it, and resume to compute it again.") from error

    def _missing(self, job: str, index: int) -> UserError:
        return UserError(f"There is no example {index} in '{self.folder / 'results' / job}'.")

    def _compare(self, before: Mapping[str, object], now: Mapping[str, object], unknown: Sequence[str]) -> None:
        if before.get("fingerprints") != now["fingerprints"]:
            raise UserError(
                f"'{self.folder}' was begun by another version of epslab, which compared models differently: its"
                " results can be read and reported, but not resumed; choose another folder."
            )
        if unknown:
            raise UserError(
                f"'{self.folder}' cannot be resumed: {unknown[0]}, which cannot be compared with what was there then;"
                " keep it out, or choose another folder."
            )
        for name in before.keys() | now.keys():
            if before.get(name) != now.get(name):
                what = _difference(before.get(name), now.get(name))
                raise UserError(
                    f"'{self.folder}' holds an evaluation with other settings, {name} ({what}):"
                    " resume it with what it was begun with, or choose another folder."
                )


def _is_left(path: Path) -> bool:
    """Whether a file was left by a process that was killed."""
    return _LEFT.fullmatch(path.name) is not None or of_a_lock(path)


def _difference(before: object, now: object) -> str:
    """What differs, short enough for a sentence."""
    if isinstance(before, dict) and isinstance(now, dict):
        name = next(key for key in [*before, *now] if before.get(key) != now.get(key))
        return f"{name}: {_difference(before.get(name), now.get(name))}"
    old, new = (text if len(text) <= 60 else f"{text[:28]}…{text[-28:]}" for text in (str(before), str(now)))
    return f"{old} then, {new} now"
