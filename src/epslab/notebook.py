"""What a notebook shows of an object: a title and a small table, self-contained HTML of at most ``MOST`` characters.

No scripts, no style sheet, nothing that is fetched: it takes the notebook's own colours, light or dark.
"""

import base64
import io
from collections.abc import Iterable, Sequence
from html import escape
from typing import Any

MOST = 2900
"""Characters."""

_ROW = 'style="text-align:left"'
_NUMBER = 'style="text-align:right"'
_STRIP = 1500  # characters a strip of images may take


def shown(
    title: str,
    rows: Iterable[Sequence[str]],
    columns: Sequence[str] = (),
    *,
    right: Sequence[bool] = (),
    note: str = "",
    strip: str = "",
) -> str:
    """A title over a table; as many rows as fit, and how many are left out.

    >>> shown("Digits", [("images", "1,437")])
    '<div><strong>Digits</strong><table><tr><td style="text-align:left">images</td>...</table></div>'

    Args:
        title: Plain text, as all that follows: it is escaped.
        rows: Texts.
        columns: Headings; none if empty.
        right: Which columns are aligned at the right.
        note: A line below.
        strip: An image as ``strip_of`` makes it.
    """
    styles = [_NUMBER if i < len(right) and right[i] else _ROW for i in range(100)]
    heading = "".join(f"<th {style}>{_cut(text, 60)}</th>" for text, style in zip(columns, styles, strict=False))
    before = f"<div><strong>{_cut(title, 300)}</strong>{strip}<table>{f'<tr>{heading}</tr>' if heading else ''}"
    told = f"<div>{_cut(note, 300)}</div>" if note else ""
    room = MOST - len(before) - len(told) - 100
    kept, left = "", 0
    for row in rows:
        line = "".join(f"<td {style}>{_cut(text, 160)}</td>" for text, style in zip(row, styles, strict=False))
        if left or len(kept) + len(line) + 9 > room:
            left += 1
        else:
            kept += f"<tr>{line}</tr>"
    more = f"<div>… {left:,} more</div>" if left else ""
    return f"{before}{kept}</table>{more}{told}</div>"


# Plain annotation: recipes' settings load without torch, and they load this file.
def strip_of(pixels: Any) -> str:
    """The first images in a row, as an ``img`` that needs no file; empty where they take too many characters.

    Args:
        pixels: uint8 [n c h w], one channel or three.
    """
    from PIL import Image

    for count, side in ((8, 32), (6, 24), (4, 20)):
        some = pixels[:count].cpu()
        if not len(some) or some.shape[1] not in (1, 3) or max(some.shape[2:]) > 512:
            continue
        row = some.permute(2, 0, 3, 1).flatten(1, 2).numpy()  # [h n·w c]
        image = Image.fromarray(row[..., 0] if row.shape[2] == 1 else row)
        if image.height > side:
            image = image.resize((max(1, image.width * side // image.height), side))
        for kind, options in (("png", {"optimize": True}), ("jpeg", {"quality": 60, "optimize": True})):
            data = io.BytesIO()
            image.save(data, kind, **options)
            text = base64.b64encode(data.getvalue()).decode("ascii")
            if len(text) <= _STRIP:
                look = "display:block;image-rendering:pixelated;height:40px"
                return f'<img alt="the first {len(some)} images" style="{look}" src="data:image/{kind};base64,{text}">'
    return ""


def _cut(text: str, most: int) -> str:
    """The text, escaped, in at most this number of characters."""
    short = escape(text if len(text) <= most else f"{text[: most - 1]}…")
    return short if len(short) <= most else escape(f"{text[: most // 6 - 1]}…")
