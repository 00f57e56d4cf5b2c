"""A decoded image to the array that a plan's row needs: orientation, transparency, colour, size."""

from dataclasses import dataclass

import numpy as np

from mixup_cli.codec import MAX_PIXELS, full_size, luma, resize
from mixup_cli.errors import InputError

BAND = 64  # rows that are laid over the background at a time
FITS = ("cover", "contain", "stretch")
DECODES = ("scaled", "full")
# A JPEG decoded at a part of its size stays this much larger than it is needed. 200 photos resized to
# 32, 64 and 90 pixels then differ by 51, 52 and 49 dB (medians of the PSNR) from those decoded whole,
# and are 0.4 to 0.7 dB further from a Lanczos resize.
SCALED_MARGIN = 2
# name -> (channels, bytes a channel); `auto` is the richer of the pair, in both respects.
MODES = {"auto": None, "L": (1, 1), "L16": (1, 2), "RGB": (3, 1), "RGB16": (3, 2), "RGBA": (4, 1)}


@dataclass(frozen=True)
class Canvas:
    """How sources become pixels. size: (width, height), or None for the size of a; fit: one of
    FITS; mode: one of MODES; background: (R, G, B), 0 to 255, under transparency and around
    `contain`; max_pixels: larger sources are rejected, and a larger size refused; decode: one of
    DECODES, whether a JPEG much larger than `size` is decoded at a part of its size."""

    size: tuple | None = None
    fit: str = "cover"
    mode: str = "auto"
    background: tuple = (255, 255, 255)
    max_pixels: int = MAX_PIXELS
    decode: str = "scaled"

    def __post_init__(self):
        if self.fit not in FITS:
            raise InputError(f"--fit {self.fit}: give one of {', '.join(FITS)}")
        if self.mode not in MODES:
            raise InputError(f"--mode {self.mode}: give one of {', '.join(MODES)}")
        if self.decode not in DECODES:
            raise InputError(f"--decode {self.decode}: give one of {', '.join(DECODES)}")
        if self.size is not None and not (isinstance(self.size, tuple) and len(self.size) == 2):
            raise InputError(f"size {self.size}: give (width, height)")
        if not isinstance(self.background, tuple):
            raise InputError(f"background {self.background}: give (R, G, B), 0 to 255 each")
        if self.size and not all(1 <= side <= 65_535 for side in self.size):
            raise InputError(f"--size {self.size[0]}x{self.size[1]}: give 1 to 65535 pixels a side")
        if self.size and self.size[0] * self.size[1] > self.max_pixels:
            raise InputError(
                f"--size {self.size[0]}x{self.size[1]}: {self.size[0] * self.size[1]:,} pixels, more than"
                f" --max-pixels {self.max_pixels / 1e6:g} megapixels; give a smaller size, or raise that"
            )

    def least_scale(self, width, height):
        """At which part of its size a picture, upright, is still large enough to be decoded at."""
        if self.size is None or self.decode == "full":
            return full_size(width, height)
        ratios = self.size[0] / width, self.size[1] / height
        return SCALED_MARGIN * (min(ratios) if self.fit == "contain" else max(ratios))


def prepare(picture, canvas):
    """All that does not depend on the partner: upright, opaque, in the mode and size asked for.

    Returns (H, W, C), C = 1 or 3 (4 under mode RGBA), uint8 or uint16.
    """
    pixels = orient(picture.pixels, picture.orientation)
    if canvas.mode != "RGBA" and pixels.shape[2] in (2, 4):
        pixels = flatten(pixels, canvas.background)
    if canvas.size:
        box = orient_box(picture.extent, picture.pixels.shape, picture.orientation)
        pixels = fit(pixels, canvas.size, canvas.fit, canvas.background, box)
    return convert(pixels, *MODES[canvas.mode]) if MODES[canvas.mode] else pixels


def match(a, b, canvas):
    """Bring a prepared pair to one shape and dtype: the size of a, the richer mode of the two."""
    if a.shape == b.shape and a.dtype == b.dtype:
        return a, b
    if a.shape[:2] != b.shape[:2]:
        b = fit(b, (a.shape[1], a.shape[0]), canvas.fit, canvas.background)
    mode = max(a.shape[2], b.shape[2]), max(a.itemsize, b.itemsize)
    if canvas.mode != "auto":  # fitting b may have padded grey with a colour
        mode = MODES[canvas.mode]
    return convert(a, *mode), convert(b, *mode)


def orient(pixels, orientation):
    """Apply an EXIF orientation, 1 to 8, to (H, W, C) pixels: 5 to 8 swap height and width."""
    if orientation >= 5:
        pixels = pixels.swapaxes(0, 1)
    if orientation in (3, 4, 7, 8):
        pixels = pixels[::-1]
    if orientation in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    return pixels


def orient_box(extent, shape, orientation):
    """Where a picture of extent (width, height), at the top left of pixels (H, W, ...), lies after
    orient(): (left, top, right, bottom)."""
    (right, bottom), (height, width) = extent, shape[:2]
    if orientation >= 5:
        right, bottom, width, height = bottom, right, height, width
    left = top = 0
    if orientation in (3, 4, 7, 8):
        top, bottom = height - bottom, height
    if orientation in (2, 3, 6, 7):
        left, right = width - right, width
    return left, top, right, bottom


def flatten(pixels, background):
    """Lay grey + alpha or RGB + alpha over a background: alpha * pixel + (1 - alpha) * background.

    Grey over a coloured background becomes RGB.
    """
    full = np.iinfo(pixels.dtype).max
    under = np.array(background, np.float32) * (full // 255)
    if pixels.shape[2] == 2 and len(set(background)) == 1:
        under = under[:1]
    out = np.empty((*pixels.shape[:2], max(pixels.shape[2] - 1, len(under))), pixels.dtype)
    for top in range(0, len(pixels), BAND):  # a whole photo in float would take its size in memory
        band = pixels[top : top + BAND]
        alpha = band[..., -1:].astype(np.float32) / full
        out[top : top + BAND] = np.rint(alpha * band[..., :-1] + (1 - alpha) * under)
    return out


def convert(pixels, channels, depth):
    """Change channels (1, 3, 4) and depth (1 or 2 bytes). 8 to 16 bits is * 257, back is / 257
    rounded; RGB to grey is luma at 8 bits; a new alpha is opaque, an old one must be flat already."""
    have = pixels.shape[2]
    if have != channels:
        if channels == 1:
            pixels = luma(convert(pixels, 3, 1))
        elif channels == 3:
            pixels = np.repeat(pixels[..., :1], 3, axis=2) if have <= 2 else pixels[..., :3]
        else:
            alpha = pixels[..., -1:] if have == 2 else np.full_like(pixels[..., :1], _full(pixels))
            pixels = np.concatenate([convert(pixels, 3, pixels.itemsize), alpha], axis=2)
    if pixels.itemsize == depth:
        return pixels
    if depth == 2:
        return pixels * np.uint16(257)
    return ((pixels.astype(np.uint32) + 128) // 257).astype(np.uint8)


def _full(pixels):
    return np.iinfo(pixels.dtype).max


def fit(pixels, size, how, background, box=None):
    """Bring (H, W, C) pixels, or the box (left, top, right, bottom) of them, to size (width, height).

    cover scales until the size is filled and crops the centre; contain scales until the picture
    fits inside and pads with the background; stretch ignores the aspect ratio.
    """
    height, width = pixels.shape[:2]
    left, top, right, bottom = box or (0, 0, width, height)
    if (right - left, bottom - top) == tuple(size):
        return pixels
    if how == "stretch":
        return resize(pixels, size, box)
    if how == "cover":
        return resize(pixels, size, _centre_box(left, top, right, bottom, size[0] / size[1]))
    inner = _inside(right - left, bottom - top, size)
    return _pad(resize(pixels, inner, box), size, background)


def _centre_box(left, top, right, bottom, ratio):
    """The largest centred box of a ratio, width / height, inside a box."""
    width, height = right - left, bottom - top
    box_width, box_height = min(width, height * ratio), min(height, width / ratio)
    across, down = (width - box_width) / 2, (height - box_height) / 2
    return (
        left + across, top + down,
        min(left + across + box_width, right), min(top + down + box_height, bottom),
    )


def _inside(width, height, size):
    """The largest size of a picture's own aspect ratio inside `size`, at least one pixel."""
    scale = min(size[0] / width, size[1] / height)
    return max(1, round(width * scale)), max(1, round(height * scale))


def _pad(pixels, size, background):
    """Centre pixels on a background. On grey, a coloured background makes the picture RGB."""
    if pixels.shape[2] == 1 and len(set(background)) > 1:
        pixels = convert(pixels, 3, pixels.itemsize)
    height, width, channels = pixels.shape
    colour = [*background, 255][:channels] if channels > 1 else background[:1]
    padded = np.empty((size[1], size[0], channels), pixels.dtype)
    padded[:] = np.array(colour, pixels.dtype) * (_full(pixels) // 255)
    left, top = round((size[0] - width) / 2), round((size[1] - height) / 2)
    padded[top : top + height, left : left + width] = pixels
    return padded
