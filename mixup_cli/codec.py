"""Bytes to arrays and arrays to PNG bytes. The only room that knows Pillow and the other codecs."""

import contextlib
import io
import os
import struct
import warnings
import zlib
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageCms, ImageColor

from mixup_cli.errors import SourceError

try:
    from isal import isal_zlib
except ImportError:  # no wheel on this platform: the same pixels, slower and larger
    isal_zlib = None
try:
    import simplejpeg
except ImportError:
    simplejpeg = None

# What torchvision's ImageFolder lists; a file's content decides, not its name. JPEG includes
# MPO, the JPEG of phones that store a second picture; DIB is a BMP without its header.
FORMATS = ("JPEG", "PNG", "PPM", "BMP", "DIB", "TIFF", "WEBP")
MAX_PIXELS = 100_000_000  # larger ones are decompression bombs, or want a job of their own
PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_ORIENTATION = 0x0112
_AS_IS = {"L": "L", "LA": "LA", "RGB": "RGB", "RGBA": "RGBA", "1": "L", "La": "LA", "RGBa": "RGBA"}
_MODE_OF_CHANNELS = {1: "L", 2: "LA", 3: "RGB", 4: "RGBA"}


class Picture(NamedTuple):
    """A decoded file: pixels (H, W, C) uint8 or uint16, C = 1 grey, 2 grey + alpha, 3 RGB, 4 RGBA;
    orientation: EXIF's 1 to 8, not yet applied; format, mode: Pillow's names of what it was."""

    pixels: np.ndarray
    orientation: int
    format: str
    mode: str


def decode(data, max_pixels=MAX_PIXELS):
    """Decode the bytes of an image file; of an animation or a multi-page file the first picture.

    Raises SourceError with the reason, whatever the decoder raised.
    """
    if not data:
        raise SourceError("empty file (0 bytes)")
    if simplejpeg is not None and data[:3] == b"\xff\xd8\xff":
        picture = _decode_jpeg(data, max_pixels)
        if picture is not None:
            return picture
    try:
        with warnings.catch_warnings(), _quiet_libtiff(data):
            warnings.simplefilter("ignore")  # a damaged EXIF block is no news; a bomb is caught below
            return _decode_pillow(data, max_pixels)
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


def _png_chunks(data):
    """Yield (kind, body) up to IEND. Raises SourceError on a wrong checksum: Pillow checks those of
    no pixel data."""
    position = len(PNG_SIGNATURE)
    while position + 8 <= len(data):
        length, kind = struct.unpack_from(">I4s", data, position)
        end = position + 8 + length
        stored = data[end : end + 4]
        name = f"chunk {kind.decode()}" if kind.isalpha() else "an unknown chunk"
        if len(stored) < 4:
            raise SourceError(f"truncated in {name}")
        checked = memoryview(data)[position + 4 : end]
        # A chunk with a capital is needed for the picture (PNG specification, 5.4).
        if kind[:1].isupper() and zlib.crc32(checked) != int.from_bytes(stored):
            raise SourceError(f"damaged: wrong checksum of {name}")
        yield kind, checked[4:]
        if kind == b"IEND":
            return
        position = end + 4
    raise SourceError("truncated: no end of the PNG")


def _check_png_rows(data):
    """Refuse a PNG whose pixel data ends before its last row: Pillow would leave the rest black."""
    inflate = (isal_zlib or zlib).decompressobj()
    missing = None
    for kind, body in _png_chunks(data):
        if kind == b"IHDR":
            missing = _png_bytes(*struct.unpack_from(">2I5B", body))
        while kind == b"IDAT" and missing > 0 and len(body):
            missing -= len(inflate.decompress(body, 1 << 20))
            body = inflate.unconsumed_tail
    if missing > 0:
        raise SourceError(f"truncated: {missing:,} bytes of pixels are missing")


def _png_bytes(width, height, depth, colour, compression, filtering, interlaced):
    """The bytes of all rows before compression, each with its filter type; Adam7 has 7 passes."""
    bits = depth * {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}[colour]
    passes = [(0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2),
              (0, 1, 1, 2)] if interlaced else [(0, 0, 1, 1)]
    total = 0
    for left, top, across, down in passes:
        columns, rows = -(-(width - left) // across), -(-(height - top) // down)
        if columns > 0:
            total += max(rows, 0) * (1 + -(-columns * bits // 8))
    return total


def _decode_jpeg(data, max_pixels):
    """Grey and YCbCr JPEGs by libjpeg-turbo directly; None leaves the file to Pillow."""
    try:
        height, width, colorspace, _ = simplejpeg.decode_jpeg_header(data)
        if colorspace not in ("Gray", "YCbCr") or height * width > max_pixels:
            return None
        pixels = simplejpeg.decode_jpeg(data, "GRAY" if colorspace == "Gray" else "RGB")
    except (ValueError, MemoryError):
        return None
    return Picture(pixels, _jpeg_orientation(data), "JPEG", "L" if colorspace == "Gray" else "RGB")


def _jpeg_orientation(data):
    """EXIF orientation of a JPEG, found by walking its marker segments up to the first scan."""
    position = 2
    while position + 4 <= len(data) and data[position] == 0xFF:
        marker, length = data[position + 1], int.from_bytes(data[position + 2 : position + 4])
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


def _valid_orientation(value):
    return value if isinstance(value, int) and 1 <= value <= 8 else 1


def _decode_pillow(data, max_pixels):
    cap, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None  # ours is checked before any decoding
    try:
        with Image.open(io.BytesIO(data), formats=FORMATS) as image:
            if image.width * image.height > max_pixels:
                raise SourceError(
                    f"{image.width}x{image.height} is over {max_pixels / 1e6:g} megapixels; allow"
                    " more by --max-pixels"
                )
            if image.format == "PNG":
                _check_png_rows(data)
            image.load()
            format, mode = image.format, image.mode
            try:
                orientation = _valid_orientation(image.getexif().get(_ORIENTATION))
            except Exception:  # as in _exif_orientation
                orientation = 1
            return Picture(_pixels(image), orientation, format, mode)
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


def encode_pngs(block):
    """Encode a block of images of one shape, (N, H, W, C) uint8 or uint16, C = 1, 3 or 4.

    Returns N PNG files as bytes, without any metadata. Every row has the Average filter (PNG
    specification, 9.2), which suits photographs and vectorises: the encoder predicts from the
    unfiltered pixels to the left and above, so the whole block is filtered at once.
    """
    count, height, width, channels = block.shape
    depth = block.itemsize
    header = struct.pack(">2I5B", width, height, 8 * depth, {1: 0, 3: 2, 4: 6}[channels], 0, 0, 0)
    head = PNG_SIGNATURE + _chunk(b"IHDR", header)
    tail = _chunk(b"IEND", b"")
    raw = np.ascontiguousarray(block, dtype=f">u{depth}").view(np.uint8)
    filtered = _filter_average(raw.reshape(count, height, -1), channels * depth)
    return [head + _chunk(b"IDAT", _deflate(image)) + tail for image in filtered]


def holds(png, pixels):
    """Whether a PNG file holds exactly these pixels, (H, W, C).

    Ours are compared as filtered, which reads 16-bit RGB too (Pillow does not); others decoded.
    """
    ours = encode_pngs(pixels[None])[0]
    if png == ours:
        return True
    (header, body), (own_header, own_body) = _inflated(png), _inflated(ours)
    if header != own_header:
        return False
    if body == own_body:
        return True
    filters = body[:: len(body) // pixels.shape[0]]
    return set(filters) != {3} and np.array_equal(decode(png).pixels, pixels)


def _inflated(png):
    """The header of a PNG and its pixels, still filtered."""
    chunks = [(kind, bytes(body)) for kind, body in _png_chunks(png)]
    body = b"".join(body for kind, body in chunks if kind == b"IDAT")
    return chunks[0], zlib.decompress(body)


def _filter_average(raw, pixel_bytes):
    """(N, H, row bytes) to (N, H, 1 + row bytes): 3, then each byte less (left + above) >> 1."""
    filtered = np.empty((*raw.shape[:2], raw.shape[2] + 1), np.uint8)
    filtered[..., 0] = 3
    body = filtered[..., 1:]
    above = np.zeros_like(raw)
    above[:, 1:] = raw[:, :-1]
    left = np.zeros_like(raw)
    left[..., pixel_bytes:] = raw[..., :-pixel_bytes]
    # (left + above) >> 1 without widening: shared bits, plus half of those that differ.
    np.subtract(raw, (left & above) + ((left ^ above) >> 1), out=body)
    return filtered


def _deflate(array):
    if isal_zlib is not None:
        return isal_zlib.compress(array, 1)
    return zlib.compress(array, 1)


def _chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(data, zlib.crc32(kind)))
