import base64
import io
import re
from html.parser import HTMLParser

import numpy as np
import pytest
from markupsafe import escape
from matplotlib.figure import Figure
from PIL import Image

from epslab import figures
from epslab.errors import UserError
from epslab.report import Page, Picture, Section, Table, number, render, write

EVIL = """<script>alert("x")</script>'&"""
VOID = {"meta", "link", "img", "br"}


class Checked(HTMLParser):
    """Collects tags and attributes, and sees that every element is closed in order."""

    def __init__(self):
        super().__init__()
        self.open, self.tags, self.attributes = [], [], []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def parse(html):
    parser = Checked()
    parser.feed(html)
    assert parser.open == []
    return parser


def full_page():
    figure = figures.bars([1.0, 2.0])
    section = Section(
        "A section",
        lead="The result.",
        text=("A paragraph.",),
        pictures=(Picture("What to see", figure), Picture("", figures.png(figure), alt="bars")),
        tables=(Table("Numbers", ("what", "value"), (("a", 0.5),), "A note."),),
        warnings=("Beware.",),
        details=(Table("Settings", ("setting", "value"), (("seed", "0"),)),),
        code="epslab train vae",
    )
    return Page("A page", "In one line.", (section, Section("Another"), Section("Another")))


def test_a_page_is_well_formed_and_whole():
    html = render(full_page())
    parser = parse(html)
    for text in ("A page", "In one line.", "The result.", "A paragraph.", "What to see", "A note.", "Beware.", "vae"):
        assert text in html
    assert {"img", "table", "details", "pre", "nav"} <= set(parser.tags)
    anchors = [attributes["id"] for tag, attributes in parser.attributes if tag == "section"]
    links = [attributes["href"] for tag, attributes in parser.attributes if tag == "a"]
    assert len(set(anchors)) == 3
    assert [link for link in links if link[1:] in anchors] == [f"#{anchor}" for anchor in anchors]
    targets = [attributes["id"] for _, attributes in parser.attributes if "id" in attributes]
    assert len(set(targets)) == len(targets)
    assert {link[1:] for link in links} <= set(targets)
    # Under the section that has them: its pictures, its tables, the folded ones, how to repeat it.
    assert re.findall(r"<li><a [^>]*>([^<]*)</a>", html[: html.index("</nav>")]) == [
        "A section", "Pictures", "Numbers", "Settings", "How to repeat it", "Another", "Another",
    ]  # fmt: skip


def test_a_page_of_one_run_lists_its_parts_and_one_of_many_only_its_sections():
    (section, *_) = full_page().sections
    alone = render(Page("A section", sections=(section,)))
    links = re.findall(r'<a href="#([^"]*)">([^<]*)</a>', alone)
    assert [title for _, title in links] == ["Pictures", "Numbers", "Settings", "How to repeat it"]
    assert all(f'id="{anchor}"' in alone for anchor, _ in links)
    many = render(Page("Many", sections=(section,) * 8))
    assert re.findall(r'<a href="#[^"]*">([^<]*)</a>', many) == ["A section"] * 8


def test_pictures_of_unlike_heights_leave_no_holes():
    """Columns are filled one under another; rows of a grid would be as high as their highest picture."""
    style = render(full_page()).split("</style>")[0]
    assert re.search(r"\.pictures \{ columns: 2 23rem;", style)
    assert re.search(r"figure \{[^}]*break-inside: avoid", style)
    assert "grid" not in style


@pytest.mark.parametrize("inside", [True, False])
def test_paths_are_relative(tmp_path, monkeypatch, inside):
    """To the folder epslab runs in, if the page is there; else to the page's own."""
    home = tmp_path / "home"
    (home / "other").mkdir(parents=True)
    monkeypatch.chdir(home if inside else home / "other")
    run = home / "runs" / "vae"
    section = Section(
        "s",
        lead=f"See {run}.",
        text=(f"Of {tmp_path}x and x{run}.",),
        warnings=(f"'{run}/a'",),
        tables=(Table("t", ("c",), [(f"{run}/b",), (1.0,), ("/data/sets",)]),),
        details=(Table("t", ("c",), [(str(run.parent.parent),)]),),
        code=f"epslab train --config {run}/config.yaml --out {run}-again",
    )
    html = write(Page("p", sections=(section,)), home / "runs" / "page.html").read_text()
    there = "runs/vae" if inside else "vae"
    assert f"See {there}." in html
    assert f"Of …/{tmp_path.name}x and x{run}." in html  # another place, and what is no path
    assert f"--config {there}/config.yaml --out {there}-again" in html
    assert f"&#39;{there}/a&#39;" in html
    assert f">{there}/b<" in html
    assert ">…/sets<" in html
    assert f">{'.' if inside else '..'}<" in html


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("--data-root /mnt/data/sets --seed 0", "--data-root …/sets --seed 0"),
        ("--out='/Users/ada lovelace/my runs'", "--out='…/my runs'"),
        (r"C:\Users\ada\runs", "…/runs"),
        ("ipykernel_launcher.py -f /var/local/share/kernel-1.json", "ipykernel_launcher.py -f …/kernel-1.json"),
        ("train/loss, 8/255, n/a, https://example.org/a/b", "train/loss, 8/255, n/a, https://example.org/a/b"),
    ],
)
def test_no_page_names_a_folder_of_the_machine(text, shown):
    table = Table("t", ("c",), [(text,)], text)
    html = render(Page(text, text, [Section(text, text, [text], tables=[table], warnings=[text], code=text)]))
    assert escape(shown) in html
    assert html.count(escape(shown)) >= 7
    assert shown == text or escape(text) not in html
    assert ("# … stands for folders that this page does not name." in html) is (shown != text)


def test_a_page_asks_for_nothing():
    """No scripts, no requests: every address is data in the page itself or an anchor."""
    html = render(full_page())
    parser = parse(html)
    assert "script" not in parser.tags
    for _, attributes in parser.attributes:
        for name in ("src", "href"):
            assert attributes.get(name, "#").startswith(("data:", "#"))
        assert not any(name.startswith("on") for name in attributes)
    assert not re.search(r"@import|url\(|https?:", html)


def test_pictures_have_words_and_sizes_and_lose_nothing():
    figure = figures.bars([1.0, 2.0])
    plain = Figure()
    given = [
        Picture("Caption", figure, "Words"),
        Picture("Caption", figure),
        Picture("Caption", plain),
        Picture("", plain),
    ]
    html = render(Page("p", sections=(Section("s", pictures=given),)))
    images = [attributes for tag, attributes in parse(html).attributes if tag == "img"]
    assert [image["alt"] for image in images] == ["Words", figure.alt, "Caption", "figure"]
    assert "1: 1; 2: 2" in figure.alt
    data = base64.b64decode(images[0]["src"].removeprefix("data:image/png;base64,"))
    assert data == figures.png(figure)
    assert Image.open(io.BytesIO(data)).size == (int(images[0]["width"]), int(images[0]["height"]))


def test_every_text_is_escaped():
    table = Table(EVIL, (EVIL,), ((EVIL,),), EVIL)
    picture = Picture(EVIL, figures.bars([1.0]), EVIL)
    section = Section(EVIL, EVIL, (EVIL,), (picture,), (table,), (EVIL,), (table,), EVIL)
    for sections in ((section,), (section, section, section)):
        html = render(Page(EVIL, EVIL, sections))
        parser = parse(html)
        assert "script" not in parser.tags
        assert "<script" not in html
        assert "&lt;script&gt;" in html


def test_it_reads_on_a_phone_in_the_dark_and_on_paper():
    html = render(full_page())
    assert '<meta name="viewport" content="width=device-width, initial-scale=1">' in html
    assert "@media (prefers-color-scheme: dark)" in html
    assert "@media print" in html
    # A wide table scrolls in its own box: the table's parent is that box.
    assert re.search(r'<div class="scroll"[^>]*><table>', html)
    assert re.search(r"\.scroll \{[^}]*overflow-x: auto", html)
    # No text below 12 CSS pixels (0.75rem).
    assert min(float(size) for size in re.findall(r"font(?:-size)?: (\.?[\d.]+)rem", html)) >= 0.75


def test_a_page_of_one_section_says_its_title_and_result_once():
    html = render(Page("Only", sections=(Section("Only", lead="The result."),)))
    assert html.count(">Only<") == 2  # the tab's title and the heading
    assert html.count("The result.") == 1
    assert "<nav" not in html


def test_numbers_stand_at_the_right_and_words_at_the_left():
    rows = (("a", 1.5, "0.536 ± 0.002", "2.13.0"), ("b", None, "≈ −97", "x"))
    html = render(Page("p", sections=(Section("s", tables=(Table("t", ("w", "x", "y", "z"), rows),)),)))
    cells = re.findall(r'<td(?: class="(\w+)")?>([^<]*)</td>', html)
    assert [text for kind, text in cells if kind == "number"] == ["1.5", "0.536 ± 0.002", "", "≈ −97"]


def test_a_page_of_figures_is_small(tmp_path, noisy_grid):
    """Even figures of noise, which cannot be compressed, take less than 150 KB each."""
    values = np.random.default_rng(0).random(81).tolist()
    columns = {f"{side}/{name}": values for side in ("train", "val") for name in ("bits_per_dim", "kl")}
    curves = figures.curves({"epoch": [float(i) for i in range(81)], **columns})
    pictures = (Picture("noise", noisy_grid), Picture("curves", curves))
    out = write(Page("p", sections=(Section("s", pictures=pictures),)), tmp_path / "new" / "page.html")
    assert 50_000 < out.stat().st_size < 300_000


def test_writing_where_one_cannot_says_so_and_leaves_nothing(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(UserError, match="Cannot write"):
        write(Page("p"), tmp_path / "file" / "page.html")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_a_picture_that_is_none_is_refused(tmp_path):
    for image in (b"GIF89a", tmp_path / "none.png"):
        with pytest.raises(UserError, match="picture"):
            render(Page("p", sections=(Section("s", pictures=(Picture("c", image),)),)))


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.53612, "0.536"), (-103.0, "−103"), (1234567.0, "1,230,000"), (10000, "10,000"), (0, "0"), (0.0, "0"),
        (1.54e-7, "1.54·10⁻⁷"), (2e9, "2·10⁹"), (float("nan"), "NaN"), (float("-inf"), "−∞"), (None, ""),
        (True, "yes"), ("0.5 ± 0.1", "0.5 ± 0.1"), (12345, "12,345"), (6.3, "6.3"), (6.304, "6.3"), (0.9996, "1"),
        (999.6, "1,000"), (0.00012349, "0.000123"), (9.999e6, "1·10⁷"), (-0.25, "−0.25"), (600.0, "600"),
    ],
)  # fmt: skip
def test_numbers_are_written_with_three_digits(value, text):
    assert number(value) == text


def test_a_table_with_a_row_of_another_length_is_refused():
    with pytest.raises(ValueError, match="has 2 columns, but a row of 1"):
        Table("t", ("a", "b"), (("only one",),))
