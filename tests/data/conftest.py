import contextlib
import dataclasses
import gzip
import hashlib
import http.server
import threading

import pytest
import torch

from epslab.data.idx import _NAMES, IdxSource


def idx_bytes(values):
    """An IDX file of unsigned bytes."""
    header = bytes([0, 0, 8, values.ndim]) + b"".join(size.to_bytes(4, "big") for size in values.shape)
    return header + values.to(torch.uint8).numpy().tobytes()


@dataclasses.dataclass
class Release:
    """A small made-up release of four IDX files: the source that knows its checksums, and the files' content."""

    source: IdxSource
    content: dict[str, bytes]

    @staticmethod
    def idx(values):
        return idx_bytes(values)

    def gzipped(self, name):
        return gzip.compress(self.content[name], compresslevel=1)

    def place(self, root, compressed=True):
        folder = root / self.source.name
        folder.mkdir(parents=True, exist_ok=True)
        for name, content in self.content.items():
            (folder / (f"{name}.gz" if compressed else name)).write_bytes(self.gzipped(name) if compressed else content)
        return folder


@pytest.fixture
def release():
    g = torch.Generator().manual_seed(0)
    tensors = [
        torch.randint(256, (50, 28, 28), generator=g),
        torch.randint(10, (50,), generator=g),
        torch.randint(256, (20, 28, 28), generator=g),
        torch.randint(10, (20,), generator=g),
    ]
    content = {name: idx_bytes(values) for name, values in zip(_NAMES, tensors, strict=True)}
    checksums = tuple(f"md5:{hashlib.md5(data).hexdigest()}" for data in content.values())
    return Release(IdxSource("little", tuple("0123456789"), checksums, (), 60_000, (1, 28, 28), (50, 20)), content)


class Mirror(http.server.ThreadingHTTPServer):
    """A mirror with faults to order: what it serves, whether it knows Range, and after how many bytes it hangs up."""

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.files, self.ranges, self.cuts, self.asked = {}, True, [], []

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_address[1]}/"


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        name, asked = self.path[1:], self.headers.get("Range")
        self.server.asked.append((name, asked))
        content = self.server.files.get(name)
        if content is None:
            self.send_error(404)
            return
        start = int(asked.removeprefix("bytes=").removesuffix("-")) if asked and self.server.ranges else 0
        if start >= len(content):
            self.send_error(416)
            return
        self.send_response(206 if start else 200)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        self.send_header("Content-Length", str(len(content) - start))
        self.end_headers()
        cut = self.server.cuts.pop(0) if self.server.cuts else len(content)
        self.wfile.write(content[start : start + cut])

    def log_message(self, *args):
        pass


@contextlib.contextmanager
def _serving():
    mirror = Mirror()
    thread = threading.Thread(target=mirror.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield mirror
    finally:
        mirror.shutdown()
        thread.join()
        mirror.server_close()


@pytest.fixture
def serving():
    """A context in which another mirror runs."""
    return _serving


@pytest.fixture
def mirror():
    with _serving() as server:
        yield server
