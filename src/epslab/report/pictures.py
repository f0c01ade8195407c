"""PNG bytes out of whatever a picture was given as, as small as they can be without losing a pixel."""

from matplotlib.figure import Figure

from epslab import figures
from epslab.errors import UserError
from epslab.report.blocks import Image

_SIGNATURE = b"\x89PNG\r\n\x1a\n"


def png(image: Image) -> bytes:
    """The picture as an optimised PNG; files and bytes are taken as they are.

    Raises:
        UserError: The file cannot be read, or what was given is no PNG.
    """
    if isinstance(image, Figure):
        return figures.png(image)
    if isinstance(image, bytes):
        data, name = image, "given as bytes"
    else:
        try:
            data, name = image.read_bytes(), f"'{image}'"
        except OSError as error:
            raise UserError(
                f"The picture '{image}' cannot be read ({error.strerror}); give the path of a PNG."
            ) from error
    if not data.startswith(_SIGNATURE):
        raise UserError(f"The picture {name} is not a PNG; give one, or a matplotlib figure.")
    return data
