"""PNG files: blocks of images encoded at once, and what of a file Pillow does not check."""

import io
import struct
import zlib

import numpy as np
from PIL import Image

from mixup_cli.errors import SourceError

try:
    from isal import isal_zlib
except ImportError:  # no wheel on this platform: the same pixels, slower and larger
    isal_zlib = None

SIGNATURE = b"\x89PNG\r\n\x1a\n"
COMPRESSIONS = ("fast", "small")
_COLOUR_TYPES = {1: 0, 3: 2, 4: 6}  # by channels: grey, RGB, RGBA
_AVERAGE = 3


def encode_pngs(block, compression="fast"):
    """Encode a block of images of one shape, (N, H, W, C) uint8 or uint16, C = 1, 3 or 4.

    compression: one of COMPRESSIONS. Returns N PNG files as bytes, without any metadata.
    Raises ValueError if there is no such compression.
    """
    if compression not in COMPRESSIONS:
        raise ValueError(f"compression must be one of {', '.join(COMPRESSIONS)}, not {compression}")
    if compression == "small":
        return [_encode_small(image) for image in block]
    return _encode_average(block, isal_zlib or zlib, 1)


def _encode_small(image):
    """Pillow's best, some 50 times slower; 16-bit RGB, which Pillow cannot write, by zlib's best."""
    if image.itemsize == 2 and image.shape[2] > 1:
        return _encode_average(image[None], zlib, 9)[0]
    file = io.BytesIO()
    pixels = image[..., 0] if image.shape[2] == 1 else image
    Image.fromarray(np.ascontiguousarray(pixels)).save(file, "PNG", optimize=True)
    return file.getvalue()


def _encode_average(block, deflate, level):
    """Every row has the Average filter (PNG specification, 9.2): it suits photographs, and as it
    predicts from unfiltered pixels, a whole block is filtered in a handful of array operations."""
    count, height, width, channels = block.shape
    depth = block.itemsize
    header = (width, height, 8 * depth, _COLOUR_TYPES[channels], 0, 0, 0)
    head = SIGNATURE + _chunk(b"IHDR", struct.pack(">2I5B", *header))
    tail = _chunk(b"IEND", b"")
    raw = np.ascontiguousarray(block, dtype=f">u{depth}").view(np.uint8).reshape(count, height, -1)
    files = []
    for filtered in _filter_average(raw, channels * depth):
        body = deflate.compress(filtered, level)
        files.append(b"".join((head, *_chunk_parts(b"IDAT", body), tail)))
    return files


def _filter_average(raw, pixel_bytes):
    """(N, H, row bytes) to (N, H, 1 + row bytes): 3, then each byte less (left + above) >> 1.

    Left and above are the same bytes read at two offsets, so that no array is copied to shift it;
    that is wrong where a row or an image begins, and mended there.
    """
    row_bytes = raw.shape[2]
    flat = raw.reshape(-1)
    left, above = flat[row_bytes - pixel_bytes : -pixel_bytes], flat[:-row_bytes]
    predicted = np.empty_like(raw)
    # (left + above) >> 1 without widening: the bits they share, plus half of those that differ.
    average = predicted.reshape(-1)[row_bytes:]
    np.bitwise_xor(left, above, out=average)
    np.right_shift(average, 1, out=average)
    average += left & above
    predicted[:, 1:, :pixel_bytes] = raw[:, :-1, :pixel_bytes] >> 1
    predicted[:, 0, pixel_bytes:] = raw[:, 0, :-pixel_bytes] >> 1
    predicted[:, 0, :pixel_bytes] = 0
    filtered = np.empty((*raw.shape[:2], row_bytes + 1), np.uint8)
    filtered[..., 0] = _AVERAGE
    np.subtract(raw, predicted, out=filtered[..., 1:])
    return filtered


def _chunk_parts(kind, body):
    crc = (isal_zlib or zlib).crc32(body, zlib.crc32(kind))
    return struct.pack(">I", len(body)), kind, body, struct.pack(">I", crc)


def _chunk(kind, body):
    return b"".join(_chunk_parts(kind, body))


def chunks(data):
    """Yield (kind, body) up to IEND. Raises SourceError on a wrong checksum: Pillow checks those of
    no pixel data."""
    position = len(SIGNATURE)
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


def check_rows(data):
    """Refuse a PNG whose pixel data ends before its last row: Pillow would leave the rest black."""
    inflate = (isal_zlib or zlib).decompressobj()
    missing = None
    for kind, body in chunks(data):
        if kind == b"IHDR":
            missing = _row_bytes(*struct.unpack_from(">2I5B", body))
        while kind == b"IDAT" and missing > 0 and len(body):
            missing -= len(inflate.decompress(body, 1 << 20))
            body = inflate.unconsumed_tail
    if missing > 0:
        raise SourceError(f"truncated: {missing:,} bytes of pixels are missing")


def _row_bytes(width, height, depth, colour, compression, filtering, interlaced):
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


def filtered_rows(data):
    """(header, rows): the IHDR of a PNG, and its rows as they are before compression, filtered."""
    found = [(kind, bytes(body)) for kind, body in chunks(data)]
    body = b"".join(body for kind, body in found if kind == b"IDAT")
    return found[0], zlib.decompress(body)


def filters(rows, height):
    """The set of filter types of filtered rows."""
    return set(rows[:: len(rows) // height])
