"""The result of a study, as an object and as a folder: ``result.json``, ``figures/*.png``, ``tables/*.csv``."""

import json
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from epslab import notebook
from epslab.errors import UserError
from epslab.files import write_atomic
from epslab.report.blocks import Image, Picture, Section
from epslab.runs import Table, png


@dataclass(frozen=True)
class StudyResult:
    """A question with its answer, figures and tables.

    >>> result = StudyResult("coin", "Is the coin fair?", "Yes: heads in 49.8 % of 10,000 throws.")
    >>> study_section(result).title
    'Is the coin fair?'

    Args:
        name: The study's name, as on the command line.
        question: One sentence that ends with a question mark.
        answer: One or two sentences, with the numbers, that answer it.
        tables: Tables, in order.
        figures: Caption to figure (or PNG), in order; the caption says what to see.
        runs: Folders of the runs trained for it.
        code: The command that repeats the study.
        warnings: Reasons to doubt the answer.
    """

    name: str
    question: str
    answer: str
    tables: Sequence[Table] = ()
    figures: Mapping[str, Image] = field(default_factory=dict)
    runs: Sequence[Path] = ()
    code: str = ""
    warnings: Sequence[str] = ()

    def __repr__(self) -> str:
        return f"<StudyResult {self.name}: {self.question} {self.answer}>"

    def _repr_html_(self) -> str:
        rows = [(table.title, f"{len(table.rows)} rows") for table in self.tables]
        rows += [(caption, "figure") for caption in self.figures]
        return notebook.shown(f"{self.question} {self.answer}", rows, ("tables and figures", ""))

    def save(self, folder: Path) -> Path:
        """Write the study into ``folder`` (made if need be), ``result.json`` last; returns that file.

        Run folders inside ``folder`` are noted relative to it, so that the whole can be moved. Figures and tables of
        an earlier result there that have other names now are deleted.

        Raises:
            UserError: The folder holds a run or an attack.
        """
        folder = Path(folder)
        if (folder / "config.yaml").exists() or (folder / "evaluation.json").exists():
            raise UserError(f"'{folder}' holds a run or an attack; save the study in another folder.")
        earlier = _written(folder)
        figures, tables = [], []
        for i, (caption, image) in enumerate(self.figures.items(), start=1):
            figures.append({"caption": caption, "file": f"figures/{i:02d}-{_slug(caption)}.png"})
            _write(folder / figures[-1]["file"], png(image))
        for i, table in enumerate(self.tables, start=1):
            file = f"tables/{i:02d}-{_slug(table.title)}.csv"
            tables.append({**table.to_dict(), "file": file})
            _write(folder / file, table.to_csv())
        content = {
            "name": self.name,
            "question": self.question,
            "answer": self.answer,
            "tables": tables,
            "figures": figures,
            "runs": [_relative(run, folder) for run in self.runs],
            "code": self.code,
            "warnings": list(self.warnings),
        }
        _write(folder / "result.json", json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False) + "\n")
        for old in earlier - _written(folder):
            old.unlink(missing_ok=True)
        return folder / "result.json"

    @classmethod
    def load(cls, folder: Path) -> "StudyResult":
        """Read a study back from its folder; its figures are then the paths of their PNG files.

        Raises:
            UserError: The folder holds no study.
        """
        folder = Path(folder)
        try:
            content = json.loads((folder / "result.json").read_text(encoding="utf-8"))
            return cls(
                name=content["name"],
                question=content["question"],
                answer=content["answer"],
                tables=tuple(Table.from_dict(table) for table in content["tables"]),
                figures={figure["caption"]: folder / figure["file"] for figure in content["figures"]},
                runs=tuple(Path(os.path.normpath(folder / run)) for run in content["runs"]),
                code=content["code"],
                warnings=tuple(content["warnings"]),
            )
        except (OSError, KeyError, TypeError, ValueError) as error:
            raise UserError(
                f"'{folder}' holds no study that can be read ({error}); give the folder that `epslab study` wrote."
            ) from error


def study_section(result: StudyResult) -> Section:
    """A study as a section of a page: the question is its heading's text, the answer its lead."""
    return Section(
        title=result.question,
        lead=result.answer,
        pictures=tuple(Picture(caption, image) for caption, image in result.figures.items()),
        tables=result.tables,
        warnings=result.warnings,
        code=result.code,
    )


def _written(folder: Path) -> set[Path]:
    """The figures and tables that the folder's ``result.json`` names."""
    try:
        content = json.loads((folder / "result.json").read_text(encoding="utf-8"))
        names = [Path(part["file"]) for part in (*content["figures"], *content["tables"])]
        return {folder / name.parent.name / name.name for name in names}
    except (OSError, KeyError, TypeError, ValueError):
        return set()


def _slug(text: str) -> str:
    """A file name out of a caption: lower-case ASCII words, at most 40 characters."""
    return "-".join(re.findall(r"[a-z0-9]+", text.lower()))[:40].rstrip("-") or "untitled"


def _relative(run: Path, folder: Path) -> str:
    """The run's folder relative to the study's, so that both can be moved and nothing is said of the machine."""
    try:
        return Path(os.path.relpath(Path(run).absolute(), folder.absolute())).as_posix()
    except ValueError:  # on another drive of Windows
        return str(Path(run).absolute())


def _write(path: Path, content: bytes | str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomic(path, content)
