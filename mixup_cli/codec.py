"""Bytes to arrays, and arrays resampled: with png.py and draw.py the rooms that know Pillow."""

import contextlib
import io
import os
import warnings
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageCms, ImageColor

from mixup_cli import png
from mixup_cli.errors import SourceError

try:
    import simplejpeg
except ImportError:  # no wheel on this platform: the same pixels, slower
    simplejpeg = None

# What torchvision's ImageFolder lists; a file's content decides, not its name. JPEG includes
# MPO, the JPEG of phones that store a second picture; DIB is a BMP without its header.
FORMATS = ("JPEG", "PNG", "PPM", "BMP", "DIB", "TIFF", "WEBP")
MAX_PIXELS = 100_000_000  # larger ones are decompression bombs, or want a job of their own
_ORIENTATION = 0x0112
_AS_IS = {"L": "L", "LA": "LA", "RGB": "RGB", "RGBA": "RGBA", "1": "L", "La": "LA", "RGBa": "RGBA"}


class Picture(NamedTuple):
    """A decoded file: pixels (H, W, C) uint8 or uint16, C = 1 grey, 2 grey + alpha, 3 RGB, 4 RGBA;
    orientation: EXIF's 1 to 8, not yet applied; format, mode: Pillow's names of what it was;
    extent: (width, height) of the picture in pixels, a fraction less than W and H where it was
    decoded at a part of its size."""

    pixels: np.ndarray
    orientation: int
    format: str
    mode: str
    extent: tuple


def full_size(width, height):
    """The least scale of a picture that is wanted as it is."""
    return 1


def decode(data, max_pixels=MAX_PIXELS, least_scale=full_size):
    """Decode the bytes of an image file; of an animation or a multi-page file the first picture.

    least_scale(width, height), upright, says at which part of its size the picture will do: a JPEG
    is then decoded at 1/2, 1/4 or 1/8, which its transform gives for less than the whole.
    Raises SourceError with the reason, whatever the decoder raised.
    """
    if not data:
        raise SourceError("empty file (0 bytes)")
    if simplejpeg is not None and data[:3] == b"\xff\xd8\xff":
        picture = _decode_jpeg(data, max_pixels, least_scale)
        if picture is not None:
            return picture
    try:
        with warnings.catch_warnings(), _quiet_libtiff(data):
            warnings.simplefilter("ignore")  # a damaged EXIF block is no news; a bomb is caught below
            return _decode_pillow(data, max_pixels, least_scale)
    except SourceError:
        raise
    except Image.UnidentifiedImageError as e:
        raise SourceError("not a JPEG, PNG, WebP, TIFF, BMP or PNM image") from e
    except Exception as e:  # decoders raise nearly everything, not OSError alone
        raise SourceError(f"cannot be decoded: {e or type(e).__name__}".splitlines()[0]) from e


@contextlib.contextmanager
def _quiet_libtiff(data):
    """Damaged TIFFs make libtiff itself write to the console, besides the error that we report."""
    try:
        saved = os.dup(2) if data[:2] in (b"II", b"MM") else None
    except OSError:  # the console is closed already
        saved = None
    if saved is None:
        yield
        return
    null = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(null, 2)
        yield
    finally:
        os.dup2(saved, 2)
        os.close(saved)
        os.close(null)


def _decode_jpeg(data, max_pixels, least_scale):
    """Grey and YCbCr JPEGs by libjpeg-turbo directly; None leaves the file to Pillow."""
    try:
        height, width, colorspace, _ = simplejpeg.decode_jpeg_header(data)
        if colorspace not in ("Gray", "YCbCr") or height * width > max_pixels:
            return None
        mode, name = ("L", "GRAY") if colorspace == "Gray" else ("RGB", "RGB")
        orientation = _jpeg_orientation(data)
        part = _part(width, height, orientation, least_scale)
        if part == 1:
            pixels = simplejpeg.decode_jpeg(data, name)
        else:  # of the sizes that it knows, the decoder takes the least that is no smaller
            least = -(-height // part), -(-width // part)
            pixels = simplejpeg.decode_jpeg(data, name, min_height=least[0], min_width=least[1])
    except (ValueError, MemoryError):
        return None
    return Picture(pixels, orientation, "JPEG", mode, (width / part, height / part))


def _part(width, height, orientation, least_scale):
    """1, 2, 4 or 8: a JPEG is decoded at this part of its size. Both decoders know these, for which
    libjpeg-turbo has fast code: 5/8 saved 14% of decode and resize, 6/8 7%, 7/8 cost more."""
    upright = (height, width) if orientation >= 5 else (width, height)
    least = least_scale(*upright)
    return next((part for part in (8, 4, 2) if part * least <= 1 and min(upright) >= 8), 1)


def _jpeg_orientation(data):
    """EXIF orientation of a JPEG, found by walking its marker segments up to the first scan."""
    position, end = 2, len(data) - 4
    while position <= end and data[position] == 0xFF:
        marker, length = data[position + 1], data[position + 2] << 8 | data[position + 3]
        if marker == 0xDA:
            break
        if marker == 0xE1 and data[position + 4 : position + 10] == b"Exif\0\0":
            return _exif_orientation(data[position + 4 : position + 2 + length])
        position += 1 if marker == 0xFF else 2 + length
    return 1


def _exif_orientation(block):
    exif = Image.Exif()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            exif.load(block)
            return _valid_orientation(exif.get(_ORIENTATION))
    except Exception:  # a broken EXIF block is no reason to lose the picture; nor does Pillow
        return 1


def _pillow_orientation(image):
    try:
        return _valid_orientation(image.getexif().get(_ORIENTATION))
    except Exception:  # as in _exif_orientation
        return 1


def _valid_orientation(value):
    return value if isinstance(value, int) and 1 <= value <= 8 else 1


def _decode_pillow(data, max_pixels, least_scale):
    cap, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None  # ours is checked before any decoding
    try:
        with Image.open(io.BytesIO(data), formats=FORMATS) as image:
            if image.width * image.height > max_pixels:
                raise SourceError(
                    f"{image.width}x{image.height} is over {max_pixels / 1e6:g} megapixels; allow"
                    " more by --max-pixels"
                )
            width, height = image.size
            orientation, part = 1, 1
            if image.format == "PNG":
                png.check_rows(data)
            elif image.format in ("JPEG", "MPO"):
                orientation = _jpeg_orientation(data)
                part = _part(width, height, orientation, least_scale)
                if part > 1:
                    image.draft(None, (width // part, height // part))
            image.load()
            if image.format not in ("JPEG", "MPO"):  # a PNG may have its EXIF after its pixels
                orientation = _pillow_orientation(image)
            extent = width / part, height / part
            return Picture(_pixels(image), orientation, image.format, image.mode, extent)
    finally:
        Image.MAX_IMAGE_PIXELS = cap


def _pixels(image):
    """Any Pillow mode as an array of ours: grey or RGB, with alpha where there is transparency."""
    mode = image.mode
    if mode.startswith("I"):
        return _grey16(image)
    if mode == "F":
        raise SourceError("floating-point pixels have no white level; convert to 8 or 16 bits")
    if mode == "LAB":
        lab, srgb = ImageCms.createProfile("LAB"), ImageCms.createProfile("sRGB")
        image = ImageCms.profileToProfile(image, lab, srgb, outputMode="RGB")
    elif image.has_transparency_data:
        image = image.convert("LA" if mode in ("1", "L", "LA", "La") else "RGBA")
    elif mode != _AS_IS.get(mode):
        image = image.convert(_AS_IS.get(mode, "RGB"))
    pixels = np.asarray(image)
    return pixels[..., None] if pixels.ndim == 2 else pixels


def _grey16(image):
    """16-bit grey, which Pillow gives as I;16 or, for PNM, as I; a transparent level becomes alpha."""
    pixels = np.asarray(image)
    if pixels.min() < 0 or pixels.max() > 0xFFFF:
        raise SourceError("32-bit pixels beyond 0 to 65535; convert to 16 bits")
    pixels = pixels.astype(np.uint16)[..., None]
    transparent = image.info.get("transparency")
    if not isinstance(transparent, int):
        return pixels
    alpha = np.where(pixels == transparent, 0, 0xFFFF).astype(np.uint16)
    return np.concatenate([pixels, alpha], axis=2)


def parse_colour(text):
    """A CSS colour name or #rrggbb as (R, G, B), 0 to 255. Raises ValueError."""
    return ImageColor.getrgb(text)[:3]


def resize(pixels, size, box=None):
    """Resample to size (width, height), from box (left, top, right, bottom; fractions allowed).

    Bilinear with antialiasing, as torchvision's Resize does by default. pixels (H, W, C) uint8 or
    uint16; the colours of RGBA are weighted by its alpha.
    """
    if pixels.itemsize == 2 and pixels.shape[2] > 1:  # Pillow knows 16 bits in one channel only
        channels = np.split(pixels, pixels.shape[2], axis=2)
        return np.concatenate([resize(channel, size, box) for channel in channels], axis=2)
    image = _image(pixels).resize(size, Image.Resampling.BILINEAR, box=box)
    resized = np.asarray(image)
    return resized[..., None] if resized.ndim == 2 else resized


def luma(rgb):
    """(H, W, 3) uint8 to (H, W, 1) by ITU-R 601-2 weights, as Pillow's convert('L')."""
    return np.asarray(_image(rgb).convert("L"))[..., None]


def _image(pixels):
    return Image.fromarray(np.ascontiguousarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels))


def holds(data, pixels):
    """Whether a PNG file holds exactly these pixels, (H, W, C).

    Our own are compared as they are filtered, which reads 16-bit RGB too (Pillow does not); others
    are decoded.
    """
    ours = png.encode_pngs(pixels[None])[0]
    if data == ours:
        return True
    (header, rows), (own_header, own_rows) = png.filtered_rows(data), png.filtered_rows(ours)
    if header != own_header:
        return False
    if rows == own_rows:
        return True
    height = len(pixels)
    return png.filters(rows, height) != png.filters(own_rows, height) and np.array_equal(
        decode(data).pixels, pixels
    )
