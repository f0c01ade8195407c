"""Standard output and error of any encoding."""

import subprocess
import sys

import pytest

PRINTING = """
import sys
from epslab.cli.streams import write_plainly
write_plainly()
print("✓ L∞ ± × 10⁻⁹ x² − … größe 日 \\udcff")
print("✗", file=sys.stderr)
"""


@pytest.mark.parametrize(
    ("encoding", "printed", "told"),
    [
        ("ascii", r"+ Linf +- x 10^-9 x^2 - ... gr\xf6\xdfe \u65e5 \udcff", "x"),
        ("cp1252", r"+ Linf ± × 10^-9 x² - … größe \u65e5 \udcff", "x"),
        ("utf-8", r"✓ L∞ ± × 10⁻⁹ x² − … größe 日 \udcff", "✗"),
    ],
)
def test_what_a_stream_lacks_is_written_plainly(encoding, printed, told):
    environment = {"PYTHONIOENCODING": encoding, "PYTHONPATH": ":".join(sys.path)}
    done = subprocess.run([sys.executable, "-c", PRINTING], capture_output=True, check=True, env=environment)
    assert done.stdout.decode(encoding).splitlines() == [printed]
    assert done.stderr.decode(encoding).splitlines() == [told]


@pytest.mark.parametrize("verb", [(), ("attack", "--help"), ("study", "--help"), ("data", "list")])
def test_verbs_write_to_a_stream_of_ascii(verb):
    environment = {"PYTHONIOENCODING": "ascii:strict", "PYTHONPATH": ":".join(sys.path)}
    done = subprocess.run(
        [sys.executable, "-m", "epslab", *verb], capture_output=True, check=False, env=environment, timeout=60
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.decode("ascii").strip()


def test_words_that_are_no_text(refused):
    assert "is not UTF-8 text" in refused("train", "vae", "--out", "\udcff")
