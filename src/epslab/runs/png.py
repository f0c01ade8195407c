"""PNG bytes of a picture, as small as they can be without loss."""

import io
from pathlib import Path
from typing import TYPE_CHECKING

from epslab.errors import UserError

if TYPE_CHECKING:
    import numpy as np
    from matplotlib.figure import Figure
    from PIL import Image

_DESCRIPTION = "Description"  # the keyword of the PNG specification
_SIGNATURE = b"\x89PNG\r\n\x1a\n"


def png(image: "Figure | Path | bytes") -> bytes:
    """The picture as a PNG: a figure without loss and optimised, a file or bytes unchanged.

    What a figure says of itself (its attribute ``alt``) goes into the file; ``description`` reads it.

    Raises:
        UserError: The file cannot be read, or what was given is no PNG.
    """
    if isinstance(image, bytes):
        data, name = image, "given as bytes"
    elif isinstance(image, Path):
        try:
            data, name = image.read_bytes(), f"'{image}'"
        except OSError as error:
            raise UserError(
                f"The picture '{image}' cannot be read ({error.strerror}); give the path of a PNG."
            ) from error
    else:
        return _drawn(image)
    if not data.startswith(_SIGNATURE):
        raise UserError(f"The picture {name} is not a PNG; give one, or a matplotlib figure.")
    return data


def size(data: bytes) -> tuple[int, int]:
    """Width and height of a PNG in pixels: every PNG starts with its IHDR chunk, which holds them."""
    return int.from_bytes(data[16:20]), int.from_bytes(data[20:24])


def description(data: bytes) -> str:
    """What a PNG says of itself, for readers who cannot see it; empty if it says nothing."""
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(io.BytesIO(data)) as image:
            return str(image.info.get(_DESCRIPTION, ""))
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError):
        return ""


def _drawn(figure: "Figure") -> bytes:
    """The figure, in shades of grey or with a palette if that loses nothing."""
    import numpy as np
    from PIL import Image
    from PIL.PngImagePlugin import PngInfo

    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=figure.dpi)
    pixels = np.asarray(Image.open(buffer).convert("RGB"))
    out = io.BytesIO()
    told = PngInfo()
    if alt := getattr(figure, "alt", ""):
        told.add_itxt(_DESCRIPTION, alt)
    _smallest(pixels).save(out, format="PNG", optimize=True, pnginfo=told)
    return out.getvalue()


def _smallest(pixels: "np.ndarray") -> "Image.Image":
    """The image mode that needs the fewest bits per pixel and keeps every colour of ``pixels`` [h w 3]."""
    import numpy as np
    from PIL import Image

    if (pixels[..., 0] == pixels[..., 1]).all() and (pixels[..., 1] == pixels[..., 2]).all():
        return Image.fromarray(np.ascontiguousarray(pixels[..., 0]))
    packed = pixels.astype(np.uint32) @ np.array([1 << 16, 1 << 8, 1], dtype=np.uint32)
    colours, indices = np.unique(packed, return_inverse=True)
    if len(colours) > 256:
        return Image.fromarray(pixels)
    image = Image.fromarray(indices.reshape(packed.shape).astype(np.uint8), mode="P")
    image.putpalette(np.stack([colours >> 16, colours >> 8 & 255, colours & 255], axis=1).astype(np.uint8).tobytes())
    return image
