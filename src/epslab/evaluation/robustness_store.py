"""Where an evaluation's results are kept as they come, batch by batch: in memory, or in a folder that outlives a kill.

A folder holds ``evaluation.json`` (what is evaluated), ``results/JOB/FIRST.safetensors`` (one file a batch, named by
its first example) and, at the end, the report.
"""

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Bool, Int, Shaped
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from epslab.errors import UserError
from epslab.files import write_atomic
from epslab.types import Images

KEPT = 64
"""Without a folder, the adversarial images of so many examples are kept, the first ones."""
VERSION = 2
"""Of the fingerprints in ``evaluation.json``. The first, without a number, missed plain attributes and constants."""
_SETTINGS = "evaluation.json"
_LEFT = re.compile(r"\.\w+\.(json|csv|safetensors)\.\w+")
"""What a kill in the middle of writing a file leaves beside it."""
_PICTURES = ("images", "pixels")


@runtime_checkable
class Store(Protocol):
    """Results by job and example."""

    def done(self, job: str, n: int) -> Bool[Tensor, " n"]:
        """Which of the n examples have a result."""
        ...

    def write(self, job: str, indices: Int[Tensor, " k"], results: Mapping[str, Shaped[Tensor, "k ..."]]) -> None:
        """Keep the results of a batch."""
        ...

    def read(self, job: str) -> dict[str, Tensor]:
        """All results of a job but its images, in the order of the examples; "indices" are theirs."""
        ...

    def images(self, job: str, indices: Sequence[int]) -> Images:
        """The images a job returned for these examples."""
        ...


class MemoryStore:
    """Results kept in memory; images of the first ``KEPT`` examples only."""

    def __init__(self) -> None:
        self._parts: dict[str, list[dict[str, Tensor]]] = {}
        self._images: dict[str, dict[int, Tensor]] = {}

    def done(self, job: str, n: int) -> Bool[Tensor, " n"]:
        """Which of the n examples have a result."""
        return _mask([part["indices"] for part in self._parts.get(job, [])], n)

    def write(self, job: str, indices: Int[Tensor, " k"], results: Mapping[str, Shaped[Tensor, "k ..."]]) -> None:
        """Keep the results of a batch."""
        part = {"indices": indices} | {name: value.cpu() for name, value in results.items() if name not in _PICTURES}
        self._parts.setdefault(job, []).append(part)
        if "images" in results:
            own = self._images.setdefault(job, {})
            for row, index in enumerate(indices.tolist()):
                if index < KEPT:
                    own[index] = results["images"][row].cpu().clone()

    def read(self, job: str) -> dict[str, Tensor]:
        """All results of a job but its images, in the order of the examples."""
        return _joined(self._parts[job])

    def images(self, job: str, indices: Sequence[int]) -> Images:
        """The images a job returned for these examples.

        Raises:
            UserError: An example's are not kept.
        """
        own = self._images.get(job, {})
        if missing := [index for index in indices if index not in own]:
            raise UserError(
                f"The adversarial image of example {missing[0]} is not kept: without out= the evaluation keeps those of"
                f" the first {KEPT} examples; give out= a folder to keep all."
            )
        return torch.stack([own[index] for index in indices])


class FolderStore:
    """Results kept in a folder; opened by ``prepare`` in one process, then used by all.

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
                others = sorted(path.name for path in self.folder.iterdir() if not _LEFT.fullmatch(path.name))
                if others:
                    raise UserError(
                        f"'{self.folder}' holds other things ({others[0]}) and no evaluation: choose a new folder."
                    )
                write_atomic(file, json.dumps(settings, indent=1))
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

    def done(self, job: str, n: int) -> Bool[Tensor, " n"]:
        """Which of the n examples have a result."""
        return _mask([self._tensors(path, ("indices",))["indices"] for path in self._files(job)], n)

    def write(self, job: str, indices: Int[Tensor, " k"], results: Mapping[str, Shaped[Tensor, "k ..."]]) -> None:
        """Keep the results of a batch: a whole file, or none."""
        folder = self.folder / "results" / job
        folder.mkdir(parents=True, exist_ok=True)
        tensors = {"indices": indices, **{name: value.cpu().contiguous() for name, value in results.items()}}
        write_atomic(folder / f"{int(indices[0]):09d}.safetensors", save(tensors))

    def read(self, job: str) -> dict[str, Tensor]:
        """All results of a job but its images, in the order of the examples."""
        return _joined([self._tensors(path) for path in self._files(job)])

    def images(self, job: str, indices: Sequence[int]) -> Images:
        """The images a job returned for these examples.

        Raises:
            UserError: There is no such example.
        """
        found: dict[int, Tensor] = {}
        for path in self._files(job):
            rows = {index: row for row, index in enumerate(self._tensors(path, ("indices",))["indices"].tolist())}
            if wanted := [index for index in indices if index in rows]:
                images = self._tensors(path, ("images",))["images"]
                found |= {index: images[rows[index]] for index in wanted}
        if missing := [index for index in indices if index not in found]:
            raise UserError(f"There is no example {missing[0]} in '{self.folder / 'results' / job}'.")
        return torch.stack([found[index] for index in indices])

    def _files(self, job: str) -> list[Path]:
        return sorted((self.folder / "results" / job).glob("[0-9]*.safetensors"))

    def _tensors(self, path: Path, names: Sequence[str] | None = None) -> dict[str, Tensor]:
        """These tensors of a file, or all but images."""
        try:
            with safe_open(path, "pt") as file:
                chosen = [name for name in file.keys() if name not in _PICTURES] if names is None else names  # noqa: SIM118
                return {name: file.get_tensor(name) for name in chosen}
        except (SafetensorError, OSError) as error:
            raise UserError(f"'{path}' is damaged ({error}): delete it, and resume to compute it again.") from error

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


def _difference(before: object, now: object) -> str:
    """What differs, short enough for a sentence."""
    if isinstance(before, dict) and isinstance(now, dict):
        name = next(key for key in [*before, *now] if before.get(key) != now.get(key))
        return f"{name}: {_difference(before.get(name), now.get(name))}"
    old, new = (text if len(text) <= 60 else f"{text[:28]}…{text[-28:]}" for text in (str(before), str(now)))
    return f"{old} then, {new} now"


def _mask(parts: Sequence[Tensor], n: int) -> Tensor:
    mask = torch.zeros(n, dtype=torch.bool)
    for indices in parts:
        mask[indices] = True
    return mask


def _joined(parts: Sequence[Mapping[str, Tensor]]) -> dict[str, Tensor]:
    """The parts' tensors in the order of the examples."""
    whole = {name: torch.cat([part[name] for part in parts]) for name in parts[0]}
    order = whole["indices"].argsort()
    return {name: value[order] for name, value in whole.items()}
