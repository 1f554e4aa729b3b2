"""An image as a generative model is sent it: the file's own bytes where every server reads the same from them."""

import base64
import io
import warnings
from dataclasses import dataclass

from PIL import Image

from snellen.zoom.render import FORMATS, UnreadableImage, decode

# Counts up when the same file would be sent as other bytes.
RULE = 1
# What all servers decode: the llama.cpp server reads no WebP, and of a GIF some see one frame and some all.
SENT_AS_IS = {"JPEG": "image/jpeg", "PNG": "image/png"}
# Modes that all decode to the same RGB; CMYK, 16 bits and transparency are read in several ways.
PLAIN_MODES = ("RGB", "L")
ORIENTATION = 0x0112  # the EXIF tag
JPEG_QUALITY = 95


@dataclass(frozen=True)
class Picture:
    """The bytes that are sent, their MIME type, and the size of the image in its file (before any border is cut)."""

    data: bytes
    mime: str
    width: int
    height: int

    @property
    def url(self) -> str:
        """The image as a data: URL."""
        return f"data:{self.mime};base64,{base64.b64encode(self.data).decode()}"


def picture(data: bytes, max_side: int, border: int = 0) -> Picture:
    """The image file `data` as it is sent, without `border` pixels on each side, no side longer than `max_side`.

    A JPEG or PNG file in RGB or grey, of one frame, not turned by an EXIF tag, with nothing to cut and no side too
    long is sent as it is. Any other image is decoded as everywhere else (first frame, EXIF rotation ignored) and cut;
    if it is too large it is shrunk (Pillow, bicubic) and sent as JPEG of quality 95 without chroma subsampling, else
    it is sent as PNG, with the very same pixels.

    Raises UnreadableImage for what cannot be decoded whole, and where the border leaves nothing.
    """
    image = decode(data)
    width, height = image.size
    mime = _mime_as_is(data)
    if mime and not border and max(width, height) <= max_side:
        return Picture(data, mime, width, height)
    if border:
        if min(width, height) <= 2 * border:
            raise UnreadableImage(f"{width} x {height} pixels, of which a border of {border} leaves nothing")
        image = image.crop((border, border, width - border, height - border))
    large = max(image.size) > max_side
    if large:
        share = max_side / max(image.size)
        size = (max(1, round(image.width * share)), max(1, round(image.height * share)))
        image = image.resize(size, Image.Resampling.BICUBIC)
    file = io.BytesIO()
    if large:
        image.save(file, "JPEG", quality=JPEG_QUALITY, subsampling=0)
    else:
        image.save(file, "PNG")
    return Picture(file.getvalue(), "image/jpeg" if large else "image/png", width, height)


def _mime_as_is(data: bytes) -> str | None:
    """The MIME type of a decodable file that may be sent as it is, or None."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # `decode` has judged its size
        try:
            with Image.open(io.BytesIO(data), formats=FORMATS) as image:
                plain = image.mode in PLAIN_MODES and "transparency" not in image.info
                single = getattr(image, "n_frames", 1) == 1
                upright = image.getexif().get(ORIENTATION, 1) == 1
                return SENT_AS_IS.get(image.format or "") if plain and single and upright else None
        except Exception:  # metadata that Pillow cannot read, with pixels that it can
            return None
