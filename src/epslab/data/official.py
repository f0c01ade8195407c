"""The files of an official release, and how a file on disk compares with them.

Checksums are of the **uncompressed** content, since every mirror compresses in its own way.
"""

import gzip
import hashlib
import tarfile
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Literal, cast

from epslab.errors import UserError

DIFFERS = "checksum differs from the official release"


@dataclass(frozen=True)
class OfficialFile:
    """One file of a release.

    Args:
        name: Its name when uncompressed.
        checksum: ``md5:…`` or ``sha256:…`` of its uncompressed content.
    """

    name: str
    checksum: str

    def matches(self, *content: bytes | memoryview) -> bool:
        """Whether this is its content, uncompressed and in any number of parts."""
        kind, _, expected = self.checksum.partition(":")
        digest = hashlib.new(kind, usedforsecurity=False)
        for part in content:
            digest.update(part)
        return digest.hexdigest() == expected


@dataclass(frozen=True)
class FileStatus:
    """The state of one file of a data set.

    Args:
        path: Where it is, or should be.
        state: ``ok``: the official content. ``missing``. ``differs``: the shape is right, so the file is used, but the
            content is not the official one. ``corrupt``: it cannot be used.
        note: One sentence for the user, or empty.
    """

    path: Path
    state: Literal["ok", "missing", "differs", "corrupt"]
    note: str = ""


def broken(path: Path, problem: str, name: str) -> UserError:
    """The error for a file that cannot be used."""
    return UserError(
        f"'{path}' {problem}: run `epslab data fetch {name}` to download it again, or put the official file there."
    )


def missing(name: str, folder: Path, files: Iterable[str]) -> UserError:
    """The error for a data set that is not there."""
    return UserError(
        f"The data set '{name}' is not in '{folder}': run `epslab data fetch {name}`, or put {', '.join(files)} there"
        " (another place: `root=` or EPSLAB_DATA)."
    )


@contextmanager
def reading(path: Path, name: str) -> Iterator[None]:
    """Turn errors while a file is read and decoded into one sentence that names the file."""
    try:
        yield
    except UserError:
        raise
    except EOFError as error:
        raise broken(path, "is truncated", name) from error
    except (gzip.BadGzipFile, zlib.error, tarfile.TarError) as error:
        raise broken(path, f"is corrupted ({error})", name) from error
    except OSError as error:
        problem = error.strerror or error
        raise UserError(f"'{path}' cannot be read ({problem}): check the file and its permissions.") from error
    except ValueError as error:
        raise broken(path, str(error), name) from error


@contextmanager
def uncompressed(path: Path) -> Iterator[BinaryIO]:
    """The file's content, unzipped if its first bytes say so, whatever its name."""
    with path.open("rb") as file:
        compressed = file.read(2) == b"\x1f\x8b"
        file.seek(0)
        if not compressed:
            yield file
            return
        with gzip.GzipFile(fileobj=file) as content:
            yield cast(BinaryIO, content)
