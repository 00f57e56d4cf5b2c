"""Pictures with words on them: Pillow's fonts and its pen (its decoders are codec.py's and png.py's)."""

import functools
import importlib.util
import io
import os
import unicodedata

import numpy as np
from PIL import Image, ImageDraw, ImageFont, features

from mixup_cli.canvas import convert, flatten
from mixup_cli.codec import resize

WHITE, INK, MUTED, LINE, FILL = (
    (255, 255, 255), (28, 28, 30), (105, 105, 112), (208, 208, 214), (0, 114, 178),
)
# Eight colours that the colour-blind tell apart (Okabe and Ito 2008), yellow darkened for white paper.
COLOURS = (
    (0, 114, 178), (213, 94, 0), (0, 158, 115), (204, 121, 167), (86, 180, 233), (230, 159, 0),
    (28, 28, 30), (170, 140, 0),
)
# Fonts that systems have, the widest first; Pillow's own knows ASCII and little else.
FONTS = (
    "DejaVuSans.ttf", "Arial Unicode.ttf", "arial.ttf", "Arial.ttf", "NotoSans-Regular.ttf",
    "LiberationSans-Regular.ttf", "NotoSansCJK-Regular.ttc", "msyh.ttc", "NotoSansArabic-Regular.ttf",
)
SPELLED = {  # what we write ourselves, where no font has it
    "λ": "lam", "α": "alpha", "β": "beta", "−": "-", "→": "->", "∞": "infinity", "½": "1/2",
    "≥": ">=", "·": "*", "…": "...", "×": "x",
}
SMOOTH = 4  # a curve is drawn so many times larger, and scaled down


class Sheet:
    """White paper of some pixels, to be pasted and written on; (0, 0) is the upper left."""

    def __init__(self, width, height):
        self.image = Image.new("RGB", (round(width), round(height)), WHITE)
        self.pen = ImageDraw.Draw(self.image)

    def paste(self, pixels, x, y):
        """Put (H, W, 3) uint8 pixels at a place."""
        self.image.paste(Image.fromarray(pixels), (round(x), round(y)))

    def text(self, place, text, size=13, colour=INK, *, anchor="la", width=None):
        """Write one line, shortened to `width` pixels; anchor as Pillow's: la is upper left."""
        font, text = fitting(text, size, width)
        # A name that begins in Hebrew or Arabic must not turn the rest of the line around.
        direction = "ltr" if features.check("raqm") else None
        self.pen.text(place, text, colour, font, anchor=anchor, direction=direction)

    def rectangle(self, left, top, right, bottom, colour):
        """Fill a rectangle, right and bottom excluded; nothing if it is empty."""
        if round(right) > round(left) and round(bottom) > round(top):
            box = round(left), round(top), round(right) - 1, round(bottom) - 1
            self.pen.rectangle(box, colour)

    def curve(self, points, colour, width=2):
        """A smooth line through (x, y) points."""
        if len(points) < 2:
            return
        left, top = (int(min(axis)) - 2 * width for axis in zip(*points, strict=True))
        right, bottom = (int(max(axis)) + 2 * width for axis in zip(*points, strict=True))
        size = right - left, bottom - top
        mask = Image.new("L", (size[0] * SMOOTH, size[1] * SMOOTH))
        scaled = [((x - left) * SMOOTH, (y - top) * SMOOTH) for x, y in points]
        ImageDraw.Draw(mask).line(scaled, 255, width * SMOOTH, joint="curve")
        self.image.paste(colour, (left, top), mask.resize(size, Image.Resampling.BOX))

    def pixels(self):
        """The sheet as (H, W, 3) uint8."""
        return np.asarray(self.image)

    def png(self):
        """The sheet as the bytes of a PNG."""
        return _png(self.image)


def png(pixels):
    """(H, W, 3) uint8 pixels as the bytes of a PNG, as small as Pillow makes it."""
    return _png(Image.fromarray(pixels))


def _png(image):
    data = io.BytesIO()
    image.save(data, "PNG", optimize=True)
    return data.getvalue()


def thumbnail(pixels, side, background=WHITE):
    """Pixels of any mode of ours as 8-bit RGB that fit into a square: scaled down, or up by a whole
    number, so that those of a small image can be told apart."""
    if pixels.shape[2] in (2, 4):
        pixels = flatten(pixels, background)
    pixels = convert(pixels, 3, 1)
    height, width = pixels.shape[:2]
    if max(height, width) > side:
        return resize(pixels, within(width, height, side))
    times = side // max(height, width)
    return pixels.repeat(times, axis=0).repeat(times, axis=1)


def within(width, height, side):
    """The size, (width, height), of a picture scaled into a square, at least one pixel."""
    scale = side / max(width, height)
    return max(1, round(width * scale)), max(1, round(height * scale))


def visible(text):
    """Text without characters that would turn, hide or break what stands around them."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def half_blocks(pixels):
    """(H, W, 3) uint8 pixels as lines of text, two rows of pixels in each: the upper one colours the
    upper half of a block, the lower one what is behind it, in 24-bit colours of ECMA-48."""
    if len(pixels) % 2:
        pixels = np.concatenate([pixels, pixels[-1:]])
    for upper, lower in zip(pixels[0::2].tolist(), pixels[1::2].tolist(), strict=True):
        line = "".join(
            "\033[38;2;{};{};{};48;2;{};{};{}m▀".format(*over, *under)
            for over, under in zip(upper, lower, strict=True)
        )
        yield f"{line}\033[0m"


def columns_of(text):
    """How many columns of a terminal a text takes up: wide characters two, accents none."""
    return sum(
        0 if unicodedata.combining(c) else 1 + (unicodedata.east_asian_width(c) in "WF") for c in text
    )


def fitting(text, size, width=None):
    """(font, text) such that every character can be seen and the line is at most `width` wide."""
    fonts = _fonts(size)
    font = max(fonts, key=lambda f: sum(_has(f, c) for c in text))  # the first of equals
    text = "".join(_visible(c, font) for c in text)
    if width is not None and font.getlength(text) > width:
        # The end tells file names and numbers apart better than the middle does.
        dots, keep = _visible("…", font), len(text)
        while keep and font.getlength(cut(text, keep, dots)) > width:
            keep -= 1
        text = cut(text, keep, dots)
    return font, text


def cut(text, keep, dots):
    """The first and the last characters of a text, `keep` in all, and dots between them."""
    end = keep // 2
    return text[: keep - end] + dots + (text[-end:] if end else "")


def _visible(character, font):
    """A character as this font can show it; one that would turn or hide its neighbours by its code."""
    if character.isprintable() and _has(font, character):
        return character
    return SPELLED.get(character) or character.encode("unicode_escape").decode()


@functools.lru_cache
def _fonts(size):
    """The fonts there are, the preferred first."""
    found = []
    for name in (*FONTS[:1], *_matplotlib_font(), *FONTS[1:]):
        try:
            found.append(ImageFont.truetype(name, size))
        except OSError:
            continue
    return (*found, ImageFont.load_default(size))


def _matplotlib_font():
    """DejaVu Sans as matplotlib ships it, if that is installed."""
    spec = importlib.util.find_spec("matplotlib")
    if spec and spec.origin:
        yield os.path.join(os.path.dirname(spec.origin), "mpl-data/fonts/ttf/DejaVuSans.ttf")


@functools.lru_cache(4096)
def _has(font, character):
    """Whether a font has a character: what it lacks looks like a code point nobody has."""
    if character == " ":
        return True
    if not character.isprintable():  # a line break cannot be laid out
        return False
    drawn, missing = (font.getmask(c) for c in (character, "\U0010ffff"))
    return (drawn.size, bytes(drawn)) != (missing.size, bytes(missing))
