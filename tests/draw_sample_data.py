"""Draw the pictures of sample_data/: boats, cats, houses and trees.

The project needs a small labelled image set for its tests and its first-steps guide, with no
licence question attached and with every file property that the tool must cope with (three
formats, several sizes, greyscale, palette, transparency, EXIF orientation).  So it is drawn by
this script, which uses Pillow and numpy only, no fonts and no global random state:

    python tests/draw_sample_data.py [FOLDER]

Each picture is a row of PICTURES: a file name, a size and the layers painted one over the other.
Scene layers work in fractions of the frame; a motif stands at (x, y), its own unit being `size`
times the shorter side, with y pointing down and the ground or the waterline at 0.
"""

import sys
import zlib
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from PIL import Image, ImageColor, ImageDraw, ImageFilter

SCALE = 3  # everything is drawn this much too large, then reduced, for clean edges
SAMPLE_DATA = Path(__file__).resolve().parent.parent / "sample_data"


# --- Drawing tools -------------------------------------------------------------------------------


def rgba(colour):
    """Return a "#rrggbb" or "#rrggbbaa" colour as four floats."""
    return np.array(ImageColor.getcolor(colour, "RGBA"), float)


def spline(points, closed=True, steps=10):
    """Round a list of points off to a Catmull-Rom curve through all of them."""
    p = np.asarray(points, float)
    p = np.vstack([p[-1:], p, p[:2]]) if closed else np.vstack([p[:1], p, p[-1:]])
    t = np.linspace(0, 1, steps, endpoint=False)[:, None]
    parts = [
        b + 0.5 * t * (c - a + t * (2 * a - 5 * b + 4 * c - d + t * (3 * (b - c) + d - a)))
        for a, b, c, d in zip(p, p[1:], p[2:], p[3:], strict=False)
    ]
    return np.vstack(parts if closed else [*parts, p[-1:]])


def oval(x, y, rx, ry):
    """Return the outline of an ellipse."""
    angle = np.linspace(0, 2 * np.pi, 32, endpoint=False)
    return np.stack([x + rx * np.cos(angle), y + ry * np.sin(angle)], 1)


def box(x, y, width, height):
    """Return the corners of a rectangle."""
    return [(x, y), (x + width, y), (x + width, y + height), (x, y + height)]


def mirrored(points):
    """Complete the right half of an outline, listed top to bottom, with its left half."""
    return [*points, *[(-x, y) for x, y in reversed(points) if x]]


def noise(rng, width, height, cells):
    """Return smooth fractal noise, roughly between 0 and 1, `cells` bumps wide and high."""
    total = np.zeros((height, width))
    for octave in range(4):
        shape = [max(2, n * 2**octave) for n in reversed(cells)]
        grid = Image.fromarray(rng.random(shape).astype(np.float32))
        total += np.asarray(grid.resize((width, height), Image.Resampling.BICUBIC)) / 2**octave
    return total / 1.875


class Canvas:
    """An oversized picture, its random numbers, and the frame in which points are given."""

    def __init__(self, width, height, seed):
        self.size = np.array([width, height]) * SCALE
        self.image = Image.new("RGBA", (width * SCALE, height * SCALE))
        self.rng = np.random.default_rng(seed)
        self.unit = float(self.size.min())
        self.origin, self.matrix, self.basis = np.zeros(2), np.diag(self.size), np.eye(2)

    @contextmanager
    def at(self, x, y, size, turn=0, flip=False):
        """Give the points drawn inside in a frame of their own; frames may be nested."""
        saved = self.origin, self.matrix, self.basis, self.unit
        cos, sin = np.cos(np.radians(turn)), np.sin(np.radians(turn))
        self.origin, self.unit = self.pixels([(x, y)])[0], float(self.unit * size)
        self.basis = self.basis @ [[-cos if flip else cos, -sin], [-sin if flip else sin, cos]]
        self.matrix = self.basis * self.unit
        yield
        self.origin, self.matrix, self.basis, self.unit = saved

    def pixels(self, points):
        """Turn points of the present frame into pixels."""
        return np.asarray(points, float) @ self.matrix.T + self.origin

    def shape(self, points, fill, *, smooth=True, depth=0.0, soft=0.0, strokes=None):
        """Fill an outline with a colour or a (top, bottom) pair of colours.

        depth makes it look round, lit from the upper left; soft blurs its edge; strokes, as
        (colours, count, length, angle), is a texture of short lines, radial for angle None.
        """
        outline = self.pixels(spline(points) if smooth else points)
        low, high = outline.min(0), outline.max(0)
        pad = int(soft * self.unit * 2.5) + 2
        left, top = np.maximum(low - pad, -pad).astype(int)
        right, bottom = np.minimum(high + pad, self.size + pad).astype(int) + 1
        width, height = right - left, bottom - top
        if min(width, height) < 1:
            return
        mask = Image.new("L", (width, height))
        ImageDraw.Draw(mask).polygon([tuple(p) for p in outline - (left, top)], fill=255)
        first, last = (fill, fill) if isinstance(fill, str) else fill
        along = np.clip((np.arange(top, bottom) - low[1]) / (high[1] - low[1]), 0, 1)
        rows = rgba(first) + along[:, None] * (rgba(last) - rgba(first))
        patch = np.broadcast_to(rows[:, None], (height, width, 4)).copy()
        if strokes:
            patch[..., :3] = self._stroked(patch[..., :3], strokes)
        if depth:
            radius = 0.13 * float(min(high - low))
            blurred = np.asarray(mask.filter(ImageFilter.GaussianBlur(radius)), float) / 255
            reach = max(1, int(radius))
            edge = np.pad(blurred, reach, mode="edge")
            slope = edge[: -2 * reach, : -2 * reach] - edge[2 * reach :, 2 * reach :]
            patch[..., :3] *= 1 - depth * slope[..., None]
        if soft:
            mask = mask.filter(ImageFilter.GaussianBlur(soft * self.unit))
        patch[..., 3] *= np.asarray(mask) / 255
        self.overlay(patch, left, top)

    def _stroked(self, patch, strokes):
        """Return the RGB patch with short random lines on it; the shape's mask trims them."""
        colours, count, length, angle = strokes
        image = Image.fromarray(patch.astype(np.uint8))
        draw, size = ImageDraw.Draw(image), np.array(image.size)
        for start in self.rng.random((count, 2)) * size:
            out = start - size / 2
            way = np.arctan2(out[1], out[0]) if angle is None else np.radians(angle)
            way += self.rng.normal(0, 0.25 if angle is None else 0.12)
            step = np.array([np.cos(way), np.sin(way)]) * length * self.unit
            colour = colours[self.rng.integers(len(colours))]
            draw.line([*start, *(start + step)], colour, max(1, int(0.006 * self.unit)))
        return np.asarray(image, float)

    def overlay(self, patch, left=0, top=0):
        """Lay an RGBA array over the picture, cut to the frame."""
        patch = patch[max(0, -top) :, max(0, -left) :]
        left, top = max(0, int(left)), max(0, int(top))
        if patch.size and left < self.size[0] and top < self.size[1]:
            layer = Image.fromarray(np.clip(patch, 0, 255).astype(np.uint8))
            self.image.alpha_composite(layer, (left, top))

    def line(self, points, colour, width, smooth=True):
        """Draw an open line with round ends."""
        path = self.pixels(spline(points, closed=False) if smooth else points)
        draw, radius = ImageDraw.Draw(self.image), max(1.0, width * self.unit / 2)
        draw.line([tuple(p) for p in path], colour, max(1, round(radius * 2)), joint="curve")
        for x, y in path[[0, -1]]:
            draw.ellipse((x - radius, y - radius, x + radius, y + radius), colour)

    def ribbon(self, points, start, end, fill, **style):
        """Draw a band along a curve, its width running from start to end: tails, trunks, legs."""
        path = spline(points, closed=False)
        way = np.gradient(path, axis=0)
        side = np.stack([-way[:, 1], way[:, 0]], 1) / np.hypot(*way.T)[:, None]
        side *= np.linspace(start, end, len(path))[:, None] / 2
        turn = np.linspace(0, np.pi, 9)[:, None]  # half a circle closes the far end
        tip = path[-1] + np.cos(turn) * side[-1] + np.sin(turn) * side[-1][::-1] * (1, -1)
        outline = np.vstack([path + side, tip, (path - side)[::-1]])
        self.shape(outline, fill, smooth=False, **style)

    def ruled(self, quad, count, colour, width):
        """Rule a four-cornered face, listed clockwise, from its left to its right side."""
        a, b, c, d = np.asarray(quad, float)
        for t in (np.arange(count) + 0.5) / count:
            self.line([a + t * (d - a), b + t * (c - b)], colour, width, smooth=False)

    def dabs(self, centres, colour, size, flat=1.0, vary=0.12):
        """Dot small ovals of slightly varying size and brightness."""
        draw = ImageDraw.Draw(self.image)
        for x, y in self.pixels(centres):
            radius = size * self.unit * self.rng.uniform(0.6, 1.2)
            tone = np.clip(rgba(colour)[:3] * self.rng.normal(1, vary), 0, 255).astype(int)
            draw.ellipse((x - radius, y - radius * flat, x + radius, y + radius * flat), (*tone,))

    def finished(self):
        """Add mottling, grain and a vignette, so that it reads as a picture, and reduce."""
        width, height = self.size // SCALE
        image = np.array(self.image.resize((width, height), Image.Resampling.LANCZOS), float)
        y, x = np.mgrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j]
        light = 1.03 - 0.1 * (x * x + y * y) + 0.12 * (noise(self.rng, width, height, (9, 9)) - 0.5)
        image[..., :3] *= light[..., None]
        image[..., :3] += self.rng.normal(0, 2.2, (height, width, 1))
        return Image.fromarray(np.clip(image, 0, 255).round().astype(np.uint8))


# --- Scenes --------------------------------------------------------------------------------------


def sky(c, top, bottom):
    """Fill the frame from top to bottom; the ground then covers the lower part."""
    c.shape(box(0, 0, 1, 1), (top, bottom), smooth=False)


def clouds(c, colour, cover, down=0.6):
    """Cloud `cover` of the sky, thinning out towards the height `down`."""
    width, height = c.size
    bank = noise(c.rng, width, height, (3, 5)) - (0.72 - 0.4 * cover)
    fade = np.clip(1.2 - np.linspace(0, 1, height) / down, 0, 1)[:, None]
    patch = np.broadcast_to(rgba(colour), (height, width, 4)).copy()
    patch[..., 3] *= np.clip(bank * 5, 0, 0.92) * fade
    c.overlay(patch)


def sun(c, x, y, radius, colour):
    """Put up a sun, or a moon, in its glow."""
    with c.at(x, y, radius):
        c.shape(oval(0, 0, 2.2, 2.2), colour + "70", soft=0.9)
        c.shape(oval(0, 0, 1, 1), colour, soft=0.04)


def stars(c, count):
    """Scatter stars over the upper part."""
    c.dabs(c.rng.random((count, 2)) * (1, 0.6), "#f4f1dc", 0.005)


def hills(c, y, height, fill, bumps=4):
    """Fill everything below a wavy ridge."""
    ridge = noise(c.rng, 60, 2, (bumps, 1))[0]
    top = [(x, y - height * h) for x, h in zip(np.linspace(-0.05, 1.05, 60), ridge, strict=True)]
    c.shape([*top, (1.05, 1.05), (-0.05, 1.05)], fill, smooth=False)


def strewn(c, y, colours, count, way, length=0.05):
    """Strew strokes from the height y down, larger when nearer: waves, grass, snow glints."""
    for depth in np.sort(c.rng.random(count)):
        x, size = c.rng.uniform(-0.05, 1.05), length * (0.25 + depth)
        end = np.array(way) * size * c.rng.uniform(0.5, 1.5) + c.rng.normal(0, 0.06, 2) * size
        start = np.array([x, y + (1.02 - y) * depth])
        colour = colours[c.rng.integers(len(colours))]
        c.line([start, start + end], colour, 0.003 + 0.006 * depth, smooth=False)


def sea(c, y, far, near, glints):
    """Lay out water from y down, with waves."""
    c.shape(box(0, y, 1, 1 - y), (far, near), smooth=False)
    strewn(c, y, glints, 260, (1.6, 0))


def grass(c, y, far, near, blades):
    """Lay out a meadow from y down."""
    hills(c, y + 0.02, 0.05, (far, near), 3)
    strewn(c, y + 0.02, blades, 600, (0.15, -0.8))


def snow(c, y, far="#dfeaf5", near="#ffffff"):
    """Lay out snow-covered ground from y down."""
    hills(c, y + 0.03, 0.06, (far, near), 3)
    strewn(c, y + 0.04, ["#c9d9ea", "#ffffff"], 120, (1, 0))


def flakes(c, count):
    """Let snow fall in front of everything."""
    c.dabs(c.rng.random((count, 2)), "#ffffff", 0.009, vary=0.02)


def room(c, y, wall, stripe, floor, plank):
    """A papered wall down to y, then floorboards running away from the viewer."""
    c.shape(box(0, 0, 1, y), wall, smooth=False)
    for x in np.arange(0.02, 1, 0.12):
        c.shape(box(x, 0, 0.05, y), stripe, smooth=False)
    grain = ([plank, floor[0]], 200, 0.12, 2)
    c.shape(box(0, y, 1, 1 - y), floor, smooth=False, strokes=grain)
    for x in np.linspace(-1, 2, 19):
        c.line([(0.5 + (x - 0.5) * 0.7, y), (0.5 + (x - 0.5) * 1.3, 1)], plank, 0.006, smooth=False)
    c.shape(box(0, y - 0.05, 1, 0.05), ("#f3ece0", "#cfc5b4"), smooth=False)


def pane(c, x, y, width, height, glass, frame="#f4efe4", bars=2):
    """A window in its frame, in the unit of whatever it is part of."""
    edge = 0.12 * min(width, height)
    outer = box(x - edge, y - edge, width + 2 * edge, height + 2 * edge)
    c.shape(outer, frame, smooth=False, depth=0.3)
    c.shape(box(x, y, width, height), glass, smooth=False)
    shine = [(x, y + height * 0.7), (x, y + height * 0.2), (x + width * 0.5, y), (x + width, y)]
    c.shape(shine, "#ffffff38", smooth=False)
    for i in range(1, bars):
        middle = x + width * i / bars
        c.line([(middle, y), (middle, y + height)], frame, edge * 0.7, smooth=False)
    c.line([(x, y + height / 2), (x + width, y + height / 2)], frame, edge * 0.7, smooth=False)


# The rows of coordinates and of layers from here on read best unwrapped.
# fmt: off


def cushion(c, x, y, width, height, fill, weave):
    """A woven cushion to lie or sit on."""
    with c.at(x, y, 1):
        c.shape(oval(0, 0.05, width, height), "#00000060", soft=0.03)
        dents = [(-width, -height), (0, -height * 0.8), (width, -height), (width * 0.94, 0),
                 (width, height), (0, height * 0.9), (-width, height), (-width * 0.94, 0)]
        c.shape(dents, fill, depth=0.5, strokes=([weave], 500, 0.03, 35))


def shadow(c, width, height=0.06, x=0.0):
    """Ground a motif with a soft shadow under it."""
    c.shape(oval(x, 0, width, height), "#00001860", soft=0.04)


def reflect(c, y, strength):
    """Mirror what stands above y in the water below it, broken up by the waves."""
    line = int(y * c.size[1])
    above = np.asarray(c.image, float)[line - 1 :: -1][: c.size[1] - line].copy()
    depth = np.arange(len(above))
    sway = np.sin(depth / (2 + depth * 0.03)) * (1 + depth * 0.05)
    for row, shift in enumerate(sway.astype(int)):
        above[row] = np.roll(above[row], shift, 0)
    above[..., 3] *= (strength * (1 - 0.7 * depth / c.size[1]))[:, None]
    c.overlay(above, 0, line)


# --- Boats ---------------------------------------------------------------------------------------


def hull(c, outline, paint, band):
    """A hull with its waterline band, its gunwale and the foam around it."""
    c.shape(outline, paint, depth=0.5)
    bow, stern = np.array(outline[0]), np.array(outline[1])
    c.line([bow, (bow + stern) / 2 + (0, 0.035), stern], band, 0.022)
    c.line([bow * 0.86 + (0, 0.075), stern * 0.86 + (0, 0.075)], band, 0.012)
    for x in c.rng.uniform(-0.44, 0.4, 26):
        c.shape(oval(x, c.rng.uniform(0.035, 0.065), 0.035, 0.006), "#ffffff90", soft=0.004)


def sloop(c, x, y, size, paint, band, main, jib, turn=0, flip=False):
    """A sailing boat with a main sail and a jib."""
    with c.at(x, y, size, turn, flip):
        c.line([(0.02, 0), (0.02, -1.12)], "#5d452f", 0.022)
        c.shape([(0.05, -1.08), (0.17, -0.8), (0.36, -0.45), (0.5, -0.22), (0.05, -0.2)], main,
                smooth=False, depth=0.35)
        c.shape([(-0.01, -1.0), (-0.15, -0.7), (-0.32, -0.4), (-0.48, -0.17), (-0.25, -0.2),
                 (-0.05, -0.25)], jib, smooth=False, depth=0.35)
        for h in (0.35, 0.52, 0.69, 0.86):
            c.line([(0.05, -h), (0.05 + (1.06 - h) * 0.55, -h + 0.02)], "#00000030", 0.006)
        c.line([(0.02, -0.19), (0.52, -0.2)], "#5d452f", 0.022)
        c.shape([(0.02, -1.14), (0.16, -1.1), (0.02, -1.06)], band, smooth=False)
        c.shape(box(-0.1, -0.19, 0.3, 0.1), ("#f6efe0", "#cdbfa5"), smooth=False, depth=0.2)
        hull(c, [(-0.52, -0.15), (0.5, -0.13), (0.44, 0.0), (0.3, 0.06), (-0.3, 0.06),
                 (-0.43, -0.03)], paint, band)


def tall_ship(c, x, y, size, paint, band, sail):
    """A square-rigged three-master."""
    with c.at(x, y, size):
        c.line([(-0.42, -0.16), (-0.72, -0.32)], "#4a3626", 0.02)
        for mast, height in ((-0.27, 0.9), (0.03, 1.05), (0.31, 0.82)):
            c.line([(mast, 0), (mast, -height)], "#4a3626", 0.022)
            for low, high, half in ((0.2, 0.46, 0.15), (0.48, 0.7, 0.125), (0.72, 0.87, 0.09)):
                foot, head = -height * low, -height * high
                c.shape([(mast - half * 0.85, head), (mast + half * 0.85, head),
                         (mast + half * 1.1, (head + foot) / 2), (mast + half, foot),
                         (mast, foot - 0.05), (mast - half, foot),
                         (mast - half * 0.75, (head + foot) / 2)], sail, depth=0.5, smooth=False)
                c.line([(mast - half, head), (mast + half, head)], "#4a3626", 0.014)
            c.shape([(mast, -height - 0.06), (mast + 0.14, -height - 0.03), (mast, -height)], band,
                    smooth=False)
            c.line([(mast, -height), (mast + 0.2, -0.15)], "#3a2c2080", 0.005)
        c.shape([(-0.68, -0.32), (-0.36, -0.62), (-0.38, -0.24)], sail, smooth=False, depth=0.4)
        hull(c, [(-0.54, -0.19), (0.55, -0.3), (0.5, -0.02), (0.36, 0.06), (-0.3, 0.06),
                 (-0.45, -0.02)], paint, band)
        for port in np.linspace(-0.32, 0.36, 7):
            c.shape(box(port, -0.1 - 0.05 * (port > 0.3), 0.04, 0.04), "#20150d", smooth=False)


def trawler(c, x, y, size, paint, band, cabin, flip=False):
    """A small fishing boat."""
    with c.at(x, y, size, flip=flip):
        for top, foot in (((0.2, -0.86), (0.2, -0.1)), ((0.2, -0.8), (0.5, -0.36)),
                          ((0.2, -0.84), (-0.46, -0.26)), ((0.44, -0.6), (0.2, -0.22))):
            c.line([top, foot], "#453c36", 0.016, smooth=False)
        c.shape(box(-0.24, -0.5, 0.34, 0.4), cabin, smooth=False, depth=0.35)
        c.shape(box(-0.28, -0.54, 0.42, 0.05), band, smooth=False, depth=0.3)
        for left in (-0.2, -0.07):
            pane(c, left, -0.44, 0.1, 0.13, ("#cfe9f2", "#41677d"), "#3b3f45", 1)
        c.shape(box(-0.02, -0.68, 0.07, 0.15), ("#d9b23c", "#94711b"), smooth=False, depth=0.4)
        hull(c, [(-0.58, -0.3), (0.53, -0.17), (0.49, 0.0), (0.36, 0.07), (-0.32, 0.07),
                 (-0.45, -0.04)], paint, band)
        for left in (-0.2, 0.02, 0.24):
            c.shape(oval(left, -0.06, 0.045, 0.055), "#1c1c1e", depth=0.5)
            c.shape(oval(left, -0.06, 0.02, 0.028), "#6d6a66")


def steamer(c, x, y, size, paint, band, white, flip=False, window="#39566b"):
    """A passenger steamer with two funnels."""
    with c.at(x, y, size, flip=flip):
        for left in (-0.14, 0.12):
            for puff in range(7):
                c.shape(oval(left + 0.07 * puff, -0.62 - 0.04 * puff, 0.05 + 0.015 * puff, 0.045),
                        "#e9e6e290", soft=0.02)
            c.shape([(left - 0.05, -0.58), (left + 0.06, -0.58), (left + 0.08, -0.3),
                     (left - 0.03, -0.3)], (band, band), smooth=False, depth=0.6)
            c.shape(box(left - 0.055, -0.59, 0.12, 0.06), "#1d1d20", smooth=False)
        for low, high, front, back in ((0.14, 0.26, -0.38, 0.42), (0.25, 0.36, -0.3, 0.32)):
            c.shape(box(front, -high, back - front, high - low + 0.05), white, smooth=False,
                    depth=0.25)
            for left in np.arange(front + 0.03, back - 0.05, 0.075):
                c.shape(box(left, -high + 0.03, 0.045, 0.05), window, smooth=False)
        c.line([(-0.44, -0.18), (-0.4, -0.55)], "#3f3a38", 0.014)
        hull(c, [(-0.6, -0.24), (0.56, -0.18), (0.5, 0.0), (0.38, 0.06), (-0.36, 0.06),
                 (-0.5, -0.02)], paint, band)


def rowing_boat(c, x, y, size, paint, inside, trim, turn=0):
    """A rowing boat at rest with its oars out."""
    with c.at(x, y, size, turn):
        c.shape(oval(0, 0.1, 0.52, 0.07), "#00102070", soft=0.03)
        c.shape([(-0.6, -0.2), (-0.3, -0.13), (0.1, -0.1), (0.5, -0.16), (0.47, 0.02), (0.3, 0.12),
                 (-0.2, 0.12), (-0.44, 0.02)], paint, depth=0.5,
                strokes=([trim + "40"], 90, 0.1, 0))
        rim = [(-0.6, -0.2), (-0.3, -0.26), (0.1, -0.27), (0.5, -0.2), (0.5, -0.15), (0.1, -0.08),
               (-0.3, -0.1)]
        c.shape(rim, inside, depth=-0.6)
        for left in (-0.24, 0.06, 0.32):
            c.shape([(left, -0.25), (left + 0.09, -0.25), (left + 0.11, -0.1), (left + 0.02, -0.1)],
                    ("#d9a868", "#a87436"), smooth=False, depth=0.3)
        c.line([*rim, rim[0]], trim, 0.025)
        for grip, blade in (((0.02, -0.3), (-0.36, 0.2)), ((0.2, -0.24), (0.62, 0.16))):
            c.line([grip, blade], "#e0b878", 0.02)
            c.ribbon([blade, np.array(blade) * 1.14 + (0, 0.02)], 0.05, 0.08, "#e9c88c")


# --- Cats ----------------------------------------------------------------------------------------
# A coat is (top, bottom) of the fur, stripe, bib and eye colour.

GINGER = (("#f0a04a", "#c96a1e"), "#a34a10", "#fbe9d0", "#8fbf3f")
TABBY = (("#a89a88", "#75675a"), "#3a3029", "#e6dccb", "#d8b93a")
TUXEDO = (("#3c3d47", "#15161c"), "#101015", "#f6f4ef", "#e6d24a")
SNOWY = (("#ffffff", "#cfd3dc"), "#e3e1e4", "#ffffff", "#3f9fd8")
SMOKE = (("#93a2b4", "#56657a"), "#4b596c", "#b6c1cd", "#f0a93a")
CREAM = (("#f9ecd4", "#dcbf96"), "#a9825c", "#fff6e4", "#4a9fe0")


def fur(coat, count=260, length=0.045, angle=None):
    """Return the style of a shape covered in short hair."""
    (top, bottom), stripe, *_ = coat
    return {"fill": (top, bottom), "depth": 0.45, "strokes": ([top, bottom, bottom, stripe], count,
                                                              length, angle)}


def cat_head(c, x, y, size, coat, turn=0, asleep=False, pupil=0.035):
    """A head from the front, with a unit of about its width."""
    _, stripe, bib, eye = coat
    with c.at(x, y, size, turn):
        for side in (-1, 1):
            c.shape([(side * 0.47, 0.0), (side * 0.45, -0.4), (side * 0.42, -0.62),
                     (side * 0.26, -0.5), (side * 0.08, -0.34)], **fur(coat, 60))
            c.shape([(side * 0.4, -0.16), (side * 0.39, -0.52), (side * 0.17, -0.34)],
                    ("#e9a79a", "#b5706a"), smooth=False)
        c.shape(mirrored([(0, -0.4), (0.28, -0.36), (0.46, -0.12), (0.53, 0.12), (0.4, 0.29),
                          (0.18, 0.39), (0, 0.41)]), **fur(coat, 420, 0.07))
        for bend in (-0.12, 0, 0.12):
            c.ribbon([(bend * 1.2, -0.38), (bend * 0.7, -0.2)], 0.05, 0.015, stripe)
        for side in (-1, 1):
            for low in (0.02, 0.13):
                c.ribbon([(side * 0.5, low), (side * 0.33, low + 0.03)], 0.045, 0.01, stripe)
            c.shape(oval(side * 0.1, 0.2, 0.14, 0.11), bib, soft=0.015)
        c.shape(oval(0, 0.3, 0.11, 0.07), bib, soft=0.015)
        for side in (-1, 1):
            lid = [(side * 0.34, -0.06), (side * 0.22, -0.13), (side * 0.09, 0.02),
                   (side * 0.21, 0.05)]
            if asleep:
                c.line([lid[0], (side * 0.22, 0.03), lid[2]], "#2a1c14", 0.028)
            else:
                c.shape(lid, "#1b1410")
                c.shape(oval(side * 0.215, -0.035, 0.092, 0.078), (eye, "#f7f2b0"))
                c.shape(oval(side * 0.21, -0.035, pupil, 0.072), "#0c0a09")
                c.shape(oval(side * 0.21 - 0.03, -0.07, 0.02, 0.02), "#ffffff")
            for rise in (-0.05, 0.02, 0.09):
                c.line([(side * 0.16, 0.2 + rise / 3), (side * 0.4, 0.17 + rise),
                        (side * 0.68, 0.2 + rise * 2)], "#fffdf7c0", 0.009)
            c.line([(0, 0.17), (side * 0.02, 0.235), (side * 0.12, 0.25)], "#4a2c24", 0.016)
        c.shape([(-0.065, 0.1), (0.065, 0.1), (0.0, 0.18)], ("#e58f8a", "#b85f60"), depth=0.3)


def leg(c, points, start, end, coat, sock):
    """A leg with its paw at the end of the points."""
    c.ribbon(points, start, end, **fur(coat, 70, 0.04, 90))
    x, y = points[-1]
    c.shape(oval(x - 0.012, y, end * 0.72, end * 0.42), sock, depth=0.35)


def tail(c, points, coat, width=0.1):
    """A ringed tail."""
    c.ribbon(points, width, width * 0.7, **fur(coat, 90, 0.03, 20))
    path = spline(points, closed=False)
    for i in range(len(path) // 5, len(path) - 2, 7):
        across = (path[i] - path[i - 1])[::-1] * (-1, 1)
        across *= width * 0.36 / np.hypot(*across)
        c.line([path[i] - across, path[i] + across], coat[1] + "90", 0.022)


def stripes(c, coat, arcs):
    """Tapering bands in the fur, one along each arc."""
    for arc in arcs:
        c.ribbon(arc, 0.035, 0.008, coat[1])


def cat_front(c, x, y, size, coat, turn=0, pupil=0.035):
    """A cat sitting upright and looking at us."""
    with c.at(x, y, size):
        shadow(c, 0.42)
        tail(c, [(0.2, -0.06), (0.38, -0.04), (0.5, -0.12), (0.5, -0.28), (0.44, -0.36)], coat)
        c.shape(mirrored([(0, -0.68), (0.17, -0.58), (0.22, -0.4), (0.3, -0.18), (0.27, -0.02),
                          (0, 0.0)]), **fur(coat, 400, 0.05, 80))
        for side in (-1, 1):
            c.shape(oval(side * 0.23, -0.12, 0.1, 0.12), **fur(coat, 80))
            stripes(c, coat, [[(side * 0.25, -h), (side * 0.15, -h + 0.03)] for h in (0.4, 0.31)])
            c.shape(oval(side * 0.22, -0.02, 0.1, 0.035), coat[2], depth=0.3)
        c.shape([(0, -0.62), (0.12, -0.5), (0.09, -0.3), (0, -0.2), (-0.09, -0.3), (-0.12, -0.5)],
                coat[2], soft=0.012, strokes=([coat[2], coat[0][0]], 60, 0.04, 90))
        for side in (-1, 1):
            leg(c, [(side * 0.08, -0.38), (side * 0.075, -0.03)], 0.12, 0.095, coat, coat[2])
        cat_head(c, 0, -0.76, 0.52, coat, turn, pupil=pupil)


def cat_profile(c, x, y, size, coat, flip=False):
    """A cat sitting in profile, facing left."""
    _, stripe, bib, eye = coat
    with c.at(x, y, size, flip=flip):
        shadow(c, 0.5, x=0.1)
        tail(c, [(0.28, -0.06), (0.46, -0.04), (0.6, -0.14), (0.57, -0.32), (0.64, -0.4)], coat)
        c.shape([(-0.14, -0.74), (-0.22, -0.52), (-0.19, -0.3), (-0.1, -0.06), (0.1, 0.0),
                 (0.33, -0.01), (0.38, -0.18), (0.3, -0.42), (0.13, -0.62), (0.0, -0.74)],
                **fur(coat, 420, 0.05, 60))
        c.shape([(-0.15, -0.7), (-0.21, -0.52), (-0.18, -0.32), (-0.12, -0.34), (-0.1, -0.55)], bib,
                soft=0.012)
        stripes(c, coat, [[(0.1 + d, -0.6 + d), (0.02 + d, -0.42 + d)] for d in (0, 0.1, 0.19)])
        leg(c, [(-0.06, -0.36), (-0.07, -0.03)], 0.1, 0.08, coat, bib)
        c.shape(oval(0.19, -0.15, 0.17, 0.15), **fur(coat, 90))
        c.shape(oval(0.06, -0.025, 0.11, 0.032), bib, depth=0.3)
        leg(c, [(-0.11, -0.42), (-0.15, -0.03)], 0.13, 0.085, coat, bib)
        for ear in (-0.05, 0.01):
            c.shape([(ear - 0.11, -0.9), (ear - 0.05, -1.09), (ear + 0.06, -0.88)], **fur(coat, 30),
                    smooth=False)
        c.shape([(-0.07, -0.92), (-0.035, -1.04), (0.02, -0.9)], ("#e9a79a", "#b5706a"),
                smooth=False)
        c.shape([(0.0, -0.93), (-0.14, -0.95), (-0.25, -0.89), (-0.295, -0.8), (-0.335, -0.75),
                 (-0.32, -0.675), (-0.24, -0.64), (-0.1, -0.62), (0.03, -0.7), (0.06, -0.83)],
                **fur(coat, 200, 0.04))
        c.shape(oval(-0.27, -0.705, 0.055, 0.045), bib, soft=0.01)
        c.shape([(-0.27, -0.83), (-0.22, -0.86), (-0.18, -0.81), (-0.23, -0.79)], "#15100c")
        c.shape(oval(-0.228, -0.824, 0.03, 0.028), eye)
        c.shape(oval(-0.24, -0.825, 0.012, 0.026), "#0c0a09")
        c.shape(oval(-0.326, -0.752, 0.02, 0.018), "#c76a66")
        c.line([(-0.32, -0.718), (-0.28, -0.69), (-0.24, -0.7)], "#4a2c24", 0.009)
        for rise in (-0.04, 0.0, 0.04):
            c.line([(-0.28, -0.72), (-0.38, -0.7 + rise), (-0.5, -0.68 + rise * 2)], "#fffdf7c0",
                   0.006)
        stripes(c, coat, [[(-0.04, -0.78 + d), (-0.13, -0.77 + d)] for d in (0, 0.07)])


def cat_asleep(c, x, y, size, coat, flip=False):
    """A cat curled up, its tail around its nose."""
    with c.at(x, y, size, flip=flip):
        shadow(c, 0.6, 0.09)
        c.shape([(-0.52, -0.16), (-0.4, -0.42), (-0.1, -0.58), (0.25, -0.54), (0.5, -0.34),
                 (0.54, -0.12), (0.36, 0.0), (-0.3, 0.02)], **fur(coat, 600, 0.06))
        stripes(c, coat, [[(d, -0.56 + abs(d) * 0.35), (d + 0.05, -0.3)]
                          for d in (-0.18, -0.04, 0.1, 0.24, 0.36)])
        c.shape([(0.12, -0.16), (0.2, -0.36), (0.38, -0.38), (0.48, -0.2), (0.42, -0.03),
                 (0.2, 0.0)], **fur(coat, 160))
        cat_head(c, -0.26, -0.22, 0.5, coat, -14, asleep=True)
        tail(c, [(0.5, -0.12), (0.38, 0.0), (0.1, 0.03), (-0.14, 0.02), (-0.3, 0.0)], coat, 0.13)


def cat_walking(c, x, y, size, coat, flip=False):
    """A cat walking to the left with its tail up."""
    with c.at(x, y, size, flip=flip):
        shadow(c, 0.6)
        for hip, foot in ((-0.2, -0.12), (0.4, 0.5)):
            leg(c, [(hip, -0.35), ((hip + foot) / 2 + 0.03, -0.18), (foot, -0.03)], 0.13, 0.08,
                coat, coat[2])
        tail(c, [(0.42, -0.46), (0.58, -0.56), (0.62, -0.76), (0.56, -0.92), (0.62, -1.02)], coat)
        c.shape([(-0.42, -0.52), (-0.2, -0.6), (0.12, -0.57), (0.38, -0.58), (0.5, -0.44),
                 (0.42, -0.24), (0.1, -0.22), (-0.2, -0.2), (-0.42, -0.3)],
                **fur(coat, 500, 0.06, 8))
        stripes(c, coat, [[(d, -0.57), (d + 0.04, -0.36)] for d in np.arange(-0.2, 0.4, 0.11)])
        for hip, foot in ((-0.32, -0.42), (0.34, 0.26)):
            leg(c, [(hip, -0.36), ((hip + foot) / 2 + 0.03, -0.18), (foot, -0.03)], 0.16, 0.09,
                coat, coat[2])
        cat_head(c, -0.46, -0.66, 0.44, coat, -6)


def cat_behind(c, x, y, size, coat):
    """A cat seen from behind, looking out."""
    with c.at(x, y, size):
        shadow(c, 0.4)
        for side in (-1, 1):
            c.shape([(side * 0.22, -0.78), (side * 0.2, -1.06), (side * 0.03, -0.9)],
                    **fur(coat, 40), smooth=False)
        c.shape(mirrored([(0, -0.7), (0.16, -0.6), (0.24, -0.38), (0.32, -0.16), (0.26, 0.0),
                          (0, 0.03)]), **fur(coat, 500, 0.06, 90))
        c.shape(oval(0, -0.77, 0.25, 0.2), **fur(coat, 160, 0.04, 90))
        for up in (0.66, 0.55, 0.44, 0.33, 0.22):
            bow = [(0.16, -up - 0.03), (0, -up), (-0.16, -up - 0.03)]
            c.line(bow, coat[1] + "b0", 0.028)
        c.ribbon([(0, -0.95), (0, -0.1)], 0.03, 0.06, coat[1] + "90")
        tail(c, [(0.2, -0.07), (0.36, -0.05), (0.5, -0.14), (0.52, -0.3), (0.45, -0.4)], coat)


# --- Houses --------------------------------------------------------------------------------------


def cottage(c, x, y, size, wall, roof, trim, door, glass, flip=False, rows=11):
    """A house seen at an angle: the gable to the left, the long side to the right."""
    light, dark = wall
    with c.at(x, y, size, flip=flip):
        shadow(c, 0.62)
        c.shape(box(0.22, -0.98, 0.1, 0.3), ("#b5634a", "#7e3d2c"), smooth=False, depth=0.4)
        c.shape(box(0.2, -1.0, 0.14, 0.05), "#5b2f24", smooth=False)
        side = [(-0.05, -0.46), (0.52, -0.43), (0.52, -0.02), (-0.05, 0.01)]
        gable = [(-0.52, -0.02), (-0.52, -0.44), (-0.29, -0.82), (-0.05, -0.46), (-0.05, 0.01)]
        eaves = [(-0.29, -0.86), (0.32, -0.8), (0.6, -0.38), (0.0, -0.4)]
        for face, fill in ((side, (dark, dark)), (gable, (light, light))):
            c.shape(face, fill, smooth=False, strokes=([light, dark], 160, 0.06, 0))
        c.ruled(side, rows, "#00000028", 0.006)
        c.ruled([(-0.52, -0.44), (-0.05, -0.46), (-0.05, 0.01), (-0.52, -0.02)], rows, "#00000020",
                0.006)
        c.shape(eaves, roof, smooth=False, strokes=([*roof], 420, 0.05, 56))
        c.ruled(eaves, 8, "#00000048", 0.009)
        c.line([(0.0, -0.4), (-0.29, -0.86), (-0.57, -0.4)], trim, 0.04, smooth=False)
        c.line([(0.0, -0.39), (0.6, -0.37)], trim, 0.025, smooth=False)
        c.shape(box(-0.37, -0.3, 0.16, 0.3), trim, smooth=False)
        c.shape(box(-0.35, -0.28, 0.12, 0.28), door, smooth=False, depth=0.3)
        c.shape(oval(-0.255, -0.13, 0.012, 0.012), "#f0d070")
        pane(c, -0.36, -0.58, 0.14, 0.15, glass, trim)
        for left in (0.05, 0.3):
            pane(c, left, -0.32, 0.14, 0.17, glass, trim)


def front_house(c, x, y, size, wall, roof, trim, door, glass, floors=1, gable=0.36):
    """A house seen straight on, with a pointed roof over one or more floors."""
    top = -0.42 * floors
    with c.at(x, y, size):
        shadow(c, 0.56)
        c.shape(box(0.2, top - gable, 0.11, 0.26), ("#a2523e", "#70352a"), smooth=False, depth=0.4)
        c.shape([(-0.42, 0), (-0.42, top), (0, top - gable), (0.42, top), (0.42, 0)], wall,
                smooth=False, strokes=([*wall], 500, 0.05, 0))
        c.ruled(box(-0.42, top, 0.84, -top), 10 * floors, "#00000028", 0.006)
        c.shape([(0, top - gable - 0.07), (0.54, top + 0.04), (0.45, top + 0.06),
                 (0, top - gable + 0.06), (-0.45, top + 0.06), (-0.54, top + 0.04)], roof,
                smooth=False, depth=0.4, strokes=([*roof], 120, 0.04, 40))
        c.shape(oval(0, top - gable * 0.35, 0.085, 0.085), trim)
        c.shape(oval(0, top - gable * 0.35, 0.062, 0.062), glass)
        for floor in range(floors):
            for left in (-0.34, 0.16) if floor == 0 else (-0.34, -0.09, 0.16):
                pane(c, left, -0.34 - 0.42 * floor, 0.18, 0.2, glass, trim)
        c.shape(box(-0.11, -0.34, 0.22, 0.34), trim, smooth=False)
        c.shape(box(-0.08, -0.31, 0.16, 0.31), door, smooth=False, depth=0.3)
        c.shape(oval(0.05, -0.15, 0.014, 0.014), "#f0d070")
        c.shape(box(-0.16, -0.02, 0.32, 0.04), ("#b9b2a6", "#8a8378"), smooth=False)


def terrace(c, y, paints, glass):
    """A row of narrow old town houses across the frame."""
    for i, (wall, roof, floors) in enumerate(paints):
        front_house(c, (i + 0.5) / len(paints), y, 1.18 / len(paints) * c.size[0] / c.unit, wall,
                    roof, "#f7f2e6", ("#3d5a4a", "#22352b"), glass, floors, 0.4)


def lean_hut(c, x, y, size, roof, front, glass):
    """An A-frame hut: all roof, with a glazed front."""
    with c.at(x, y, size):
        shadow(c, 0.6)
        c.shape([(0, -1.02), (0.56, 0), (-0.56, 0)], roof, smooth=False, depth=0.4)
        c.shape([(0, -0.9), (0.45, 0), (-0.45, 0)], front, smooth=False,
                strokes=([*front], 260, 0.1, 90))
        c.shape([(0, -0.74), (0.14, -0.45), (-0.14, -0.45)], glass, smooth=False)
        c.line([(0, -0.74), (0, -0.45)], "#f4efe4", 0.02)
        for left in (-0.28, 0.14):
            pane(c, left, -0.32, 0.14, 0.2, glass)
        c.shape(box(-0.08, -0.34, 0.16, 0.34), ("#8c2f27", "#5f1d18"), smooth=False, depth=0.3)
        c.shape(box(-0.5, -0.41, 1.0, 0.035), ("#7d5836", "#573a20"), smooth=False)
        c.line([(-0.56, 0.0), (0, -1.04), (0.56, 0.0)], "#f7fbff", 0.05, smooth=False)


def villa(c, x, y, size, glass):
    """A modern house of white boxes with large windows."""
    with c.at(x, y, size):
        shadow(c, 0.8)
        stone = ("#b89a78", "#8a6e50")
        c.shape(box(-0.62, -0.36, 1.2, 0.36), stone, smooth=False, strokes=([*stone], 500, 0.06, 0))
        c.shape(box(-0.72, -0.76, 0.95, 0.4), ("#ffffff", "#dcdcd8"), smooth=False, depth=0.15)
        c.shape(box(-0.76, -0.8, 1.03, 0.06), "#4a4d52", smooth=False)
        c.shape(box(0.15, -0.42, 0.54, 0.06), "#4a4d52", smooth=False)
        pane(c, -0.6, -0.66, 0.42, 0.22, glass, "#3a3d42", 3)
        pane(c, -0.06, -0.66, 0.18, 0.22, glass, "#3a3d42")
        pane(c, -0.52, -0.28, 0.34, 0.26, glass, "#3a3d42", 3)
        pane(c, 0.22, -0.28, 0.3, 0.24, glass, "#3a3d42", 2)
        c.shape(box(-0.04, -0.31, 0.16, 0.31), ("#d0782c", "#9a5218"), smooth=False, depth=0.3)


# --- Trees ---------------------------------------------------------------------------------------


def foliage(c, clusters, tones, count, dab):
    """Build clumps of leaves from dabs, dark ones first and bright ones towards the light."""
    for step, tone in enumerate(tones):
        lit = step / len(tones)
        for x, y, rx, ry in clusters:
            angle, reach = c.rng.random((2, count)) * [[2 * np.pi], [1]]
            reach = np.sqrt(reach) * (1.05 - 0.45 * lit)
            centres = np.stack([x - rx * 0.3 * lit + rx * reach * np.cos(angle),
                                y - ry * 0.4 * lit + ry * reach * np.sin(angle)], 1)
            c.dabs(centres, tone, dab, 0.75)


def branches(c, start, angle, length, width, bark, level):
    """Grow a branch and, out of it, thinner ones."""
    way = np.array([np.sin(angle), -np.cos(angle)]) * length
    middle = start + way * 0.5 + c.rng.normal(0, 0.06, 2) * length
    end = start + way
    c.ribbon([start, middle, end], width, width * 0.62, bark, depth=0.5 * (level > 2))
    for lean in (-0.5, 0.05, 0.52) if level > 1 else ():
        branches(c, end, angle + lean + c.rng.normal(0, 0.14), length * c.rng.uniform(0.6, 0.82),
                 width * 0.58, bark, level - 1)


OAK_CROWN = [(0, -0.62, 0.34, 0.26), (-0.24, -0.52, 0.22, 0.17), (0.25, -0.53, 0.23, 0.17),
             (-0.14, -0.8, 0.22, 0.16), (0.14, -0.82, 0.22, 0.15), (0.0, -0.95, 0.16, 0.1)]
TALL_CROWN = [(0, -0.3 - 0.1 * i, 0.16 * (1 - (i / 7.5) ** 2) + 0.03, 0.13) for i in range(8)]


def leafy(c, x, y, size, bark, tones, crown=OAK_CROWN, fruit=None, dab=0.018):
    """A broad-leaved tree; the crown is a list of (x, y, rx, ry) clumps."""
    with c.at(x, y, size):
        shadow(c, 0.42)
        c.shape([(-0.13, 0.02), (-0.06, -0.12), (-0.05, -0.5), (0.06, -0.5), (0.07, -0.12),
                 (0.15, 0.02)], bark, depth=0.6, strokes=([*bark], 120, 0.08, 90))
        for side in (-1, 1) if crown is OAK_CROWN else ():
            c.ribbon([(0, -0.3), (side * 0.1, -0.45), (side * 0.24, -0.56)], 0.07, 0.03, bark)
        crown = np.array(crown) * c.rng.normal(1, 0.07, (len(crown), 4))  # no two trees alike
        foliage(c, crown, tones, 170, dab)
        if fruit:
            spots = np.array([(cx + rx * a, cy + ry * b) for cx, cy, rx, ry in crown
                              for a, b in c.rng.uniform(-0.75, 0.75, (5, 2))])
            c.dabs(spots, fruit, 0.03, 1)


def birch(c, x, y, size, tones):
    """Two white stems under light foliage."""
    with c.at(x, y, size):
        shadow(c, 0.36)
        for foot, tip in ((-0.05, -0.14), (0.08, 0.17)):
            c.ribbon([(foot, 0.02), (foot, -0.5), (tip, -1.0)], 0.085, 0.025,
                     ("#fbf8f0", "#cfc8bb"), depth=0.5)
            for up in c.rng.uniform(0.03, 0.75, 16):
                c.line([(foot - 0.03, -up), (foot + 0.012, -up + 0.006)], "#2e2a28", 0.014)
        crown = [(a, b, 0.17, 0.12) for a, b in
                 ((-0.2, -0.6), (0.22, -0.58), (-0.1, -0.78), (0.14, -0.8), (0.02, -0.98),
                  (-0.26, -0.44), (0.3, -0.42), (0.02, -0.66))]
        foliage(c, crown, tones, 90, 0.015)


def fir(c, x, y, size, tones, frost=None):
    """A fir in tiers, with snow for frost."""
    with c.at(x, y, size):
        shadow(c, 0.4)
        c.shape(box(-0.05, -0.16, 0.1, 0.18), ("#5e4330", "#3b291c"), smooth=False, depth=0.5)
        for i in range(8):
            foot, half = -0.1 - 0.11 * i, 0.42 * (1 - i / 8.6)
            teeth = [(t * half, foot - (0.05 if j % 2 else 0) + 0.05 * (1 - abs(t)))
                     for j, t in enumerate(np.linspace(1, -1, 13))]
            c.shape([(0, foot - 0.25), *teeth], tones[:2], smooth=False, depth=0.4,
                    strokes=(tones, 240, 0.05, 90))
            if frost:
                rim = c.rng.uniform(-0.9, 0.75, 10)
                c.dabs([(t * half, foot - 0.03 - 0.12 * (1 - abs(t))) for t in rim], frost, 0.034,
                       0.5, 0.03)


def palm(c, x, y, size, lean=0.2, flip=False):
    """A leaning palm with feathered fronds."""
    with c.at(x, y, size, flip=flip):
        shadow(c, 0.3)
        path = [(0, 0.02), (lean * 0.3, -0.35), (lean, -0.78)]
        c.ribbon(path, 0.1, 0.055, ("#b58a5c", "#6e4c2c"), depth=0.6)
        for px, py in spline(path, closed=False)[1:-1]:
            c.line([(px - 0.035, py), (px, py + 0.012), (px + 0.035, py)], "#4d341d", 0.009)
        for i, angle in enumerate(np.radians([200, 340, 165, 15, 230, 310, 185, 355, 255, 285])):
            out = np.array([np.cos(angle), np.sin(angle) * 0.8]) * c.rng.uniform(0.42, 0.54)
            root = np.array([lean, -0.8])
            frond = spline([root, root + out * 0.6 - (0, 0.08), root + out + (0, 0.14)], False)
            green = ["#1f5a2c", "#2f7d38", "#4f9f45"][i * 3 // 10]
            for j, point in enumerate(frond):
                reach = 0.17 * (1 - j / 24)
                for side in (-0.45, 0.45):
                    way = out / np.hypot(*out) * 0.5 + (side * 0.3, 0.75)
                    c.line([point, point + way * reach], green, 0.014, smooth=False)
            c.line(frond, "#8fbf5a", 0.012, smooth=False)
        c.dabs([(lean - 0.05, -0.76), (lean + 0.04, -0.75), (lean, -0.72)], "#6b4423", 0.042)


def bare(c, x, y, size, bark, frost=None):
    """A tree in winter."""
    with c.at(x, y, size):
        shadow(c, 0.34)
        branches(c, np.array([0.0, 0.02]), 0.0, 0.34, 0.12, bark, 5)
        if frost:
            c.dabs(c.rng.normal(0, 1, (260, 2)) * (0.2, 0.13) + (0, -0.75), frost, 0.011, 1, 0.03)


def willow(c, x, y, size, bark, tones):
    """A weeping willow."""
    with c.at(x, y, size):
        shadow(c, 0.5)
        c.shape([(-0.16, 0.03), (-0.07, -0.14), (-0.06, -0.65), (0.07, -0.65), (0.06, -0.14),
                 (0.13, 0.03)], bark, depth=0.6, strokes=([*bark], 120, 0.08, 90))
        foliage(c, [(0, -0.78, 0.36, 0.17), (-0.24, -0.68, 0.2, 0.14), (0.26, -0.68, 0.2, 0.14)],
                tones, 150, 0.016)
        for px in np.sort(c.rng.normal(0, 0.27, 190)):
            px, top = np.clip(px, -0.5, 0.5), -0.72 + c.rng.uniform(-0.18, 0.12)
            fall = c.rng.uniform(0.25, 0.62) * (0.6 + abs(px))
            c.line([(px * 0.85, top), (px * 1.08, top + fall * 0.4), (px * 1.12, top + fall)],
                   tones[c.rng.integers(len(tones))], 0.013)


# --- The pictures --------------------------------------------------------------------------------

# Colours from top to bottom or from far to near; a list holds those of strewn strokes or leaves.
BLUE, DUSK, NIGHT = ("#2f7fd0", "#d6ecf7"), ("#5a3f86", "#ffb060"), ("#0b1437", "#3d4f86")
MIST, ROSE, GREY = ("#b9c9d2", "#eef1ea"), ("#8fa8dc", "#fbd3c8"), ("#6f8191", "#c9d1d2")
MEADOW = ("#9cc25a", "#3f7d2c", ["#2f6a22", "#79b043", "#b5d566"])
AUTUMN_GRASS = ("#c9b45a", "#7d6a2a", ["#8f7a30", "#d8b650", "#b4622a"])
DARK_GRASS = ("#24404a", "#101f28", ["#1a3238", "#2f5258"])
WAVES = ("#4fa3cf", "#0f4f80", ["#8fd0ea80", "#0d447080", "#d8f2fa60"])
GREEN_SEA = ("#7fc0b4", "#156a70", ["#bfe8dc80", "#0f525880", "#e8fff660"])
GOLD_SEA = ("#f0a060", "#3a2a5c", ["#ffd08080", "#2a1c4880", "#ff9a5a70"])
DARK_SEA = ("#33477a", "#0a1230", ["#6f86c060", "#060b2080", "#c9d6ff40"])
STEEL_SEA = ("#9aa9b0", "#3c4c56", ["#d0dade70", "#2c3a4480", "#eef4f650"])
LIT, DAYLIGHT = ("#fff0a8", "#f7a93a"), ("#bfe0f2", "#3f6682")
PARLOUR = (("#7f9f8f", "#5f8072"), "#8fae9d80", ("#b98a5a", "#7d5530"), "#5c3c20")
STUDY = (("#3f5a80", "#2c4264"), "#4c699280", ("#8a5a3c", "#54331f"), "#3a2214")
NURSERY = (("#f2c9b0", "#e0a688"), "#fbdcc880", ("#d9b88a", "#a37c4e"), "#86623a")
BARK = ("#8a6442", "#4c3220")
SUMMER = ["#1f4f1e", "#377a2a", "#62a33a", "#9cc954"]
SPRING = ["#4f7a26", "#7fae3a", "#aed15a", "#d8ec90"]
AUTUMN = ["#7a2410", "#b8431a", "#e2762a", "#f7b544"]
GOLDEN = ["#8a5a10", "#c48a1c", "#eab834", "#fbe070"]
BLOSSOM = ["#a84a78", "#d77aa4", "#f3aac6", "#ffdcea"]
PINE = ("#2f6a4a", "#12382a", "#4f8f62")

# name: (width, height, layers from back to front), each layer a function with its arguments
PICTURES = {
    "boat/boat-01.jpg": (240, 180, [
        (sky, *BLUE), (clouds, "#ffffff", 0.5), (hills, 0.62, 0.14, ("#7fa3b8", "#5b8a7a")),
        (sea, 0.6, *WAVES),
        (sloop, 0.5, 0.82, 0.68, ("#c9302c", "#7e1714"), "#ffffff", ("#fffdf5", "#d9d6cc"),
         ("#fff6e0", "#d8c8a8")), (reflect, 0.82, 0.4)]),
    "boat/boat-02.jpg": (160, 224, [
        (sky, *DUSK), (clouds, "#ff9d8a", 0.4), (sun, 0.7, 0.55, 0.13, "#fff0b0"),
        (sea, 0.62, *GOLD_SEA), (sloop, 0.48, 0.8, 0.82, ("#4a2338", "#200e1e"), "#ffc070",
                                 ("#c8402f", "#7d1f2a"), ("#e5703a", "#9a2f2a"), 5),
        (reflect, 0.83, 0.45)]),
    "boat/boat-03.png": (128, 128, [
        (sky, *MIST), (clouds, "#ffffff", 0.5), (hills, 0.5, 0.2, ("#8fa6a6", "#6d8a86")),
        (sea, 0.5, *GREEN_SEA), (trawler, 0.52, 0.82, 0.82, ("#2368a8", "#123c68"), "#f0a030",
                                 ("#fbf6ea", "#d2c8b4")), (reflect, 0.84, 0.35)]),
    "boat/boat-04.webp": (256, 170, [
        (sky, *GREY), (clouds, "#f2f4f2", 0.7), (sea, 0.6, *STEEL_SEA),
        (steamer, 0.5, 0.8, 1.08, ("#22262e", "#8a2a22"), "#d4472c", ("#ffffff", "#dcd8cf")),
        (reflect, 0.83, 0.3)]),
    "boat/boat-05.jpg": (208, 160, [
        (sky, *MIST), (clouds, "#ffffff", 0.6), (sea, 0.6, *STEEL_SEA),
        (tall_ship, 0.52, 0.83, 0.76, ("#4f3a2a", "#22170f"), "#e8d8b0", ("#fffaf0", "#c9c0ae")),
        (reflect, 0.85, 0.3)]),
    "boat/boat-06.webp": (200, 150, [
        (sky, *ROSE), (hills, 0.42, 0.3, ("#6d8fb0", "#54808a"), 3),
        (hills, 0.46, 0.12, ("#3f7055", "#2c5a40"), 7), (sea, 0.44, *GREEN_SEA),
        (reflect, 0.44, 0.5), (rowing_boat, 0.5, 0.74, 0.98, ("#e9b23c", "#a8641c"),
                               ("#5d3a20", "#8f6238"), "#2f6a50", -3)]),
    "boat/boat-07.png": (112, 144, [
        (sky, "#3fa0dc", "#e6f5f2"), (clouds, "#ffffff", 0.35), (sea, 0.7, *GREEN_SEA),
        (sloop, 0.5, 0.86, 0.84, ("#ffffff", "#b9c6d0"), "#1f6fb0", ("#ffd23c", "#f08a1c"),
         ("#2f9f8a", "#16695e"), -6, True), (reflect, 0.88, 0.35)]),
    "boat/boat-08.webp": (192, 192, [
        (sky, *NIGHT), (stars, 70), (sun, 0.76, 0.2, 0.08, "#f7f3d8"), (sea, 0.62, *DARK_SEA),
        (steamer, 0.49, 0.8, 0.78, ("#2f4a7a", "#18284a"), "#c4523c", ("#b9c6e0", "#8290b8"), True,
         "#ffdf80"), (reflect, 0.82, 0.55)]),
    "boat/boat-09.jpg": (224, 160, [
        (sky, *DUSK), (clouds, "#ffd0a0", 0.45), (hills, 0.58, 0.2, ("#5d4a78", "#3f3a60")),
        (sea, 0.58, *GOLD_SEA), (trawler, 0.52, 0.82, 0.86, ("#b8382c", "#5d1618"), "#f4e4c0",
                                 ("#e8dcc8", "#a8917e"), True), (reflect, 0.85, 0.4)]),
    "cat/cat-01.jpg": (180, 220, [
        (room, 0.72, *PARLOUR), (cat_front, 0.44, 0.94, 0.98, GINGER, 4)]),
    "cat/cat-02.jpg": (220, 170, [
        (room, 0.5, *STUDY), (cushion, 0.5, 0.78, 0.6, 0.18, ("#c8483c", "#7e2420"), "#e88a70"),
        (cat_asleep, 0.52, 0.88, 1.08, TABBY)]),
    "cat/cat-03.png": (128, 128, [
        (room, 0.8, *PARLOUR), (cat_head, 0.5, 0.57, 0.86, TUXEDO, 0, False, 0.055)]),
    "cat/cat-04.webp": (224, 176, [
        (sky, *BLUE), (clouds, "#ffffff", 0.5), (hills, 0.5, 0.15, ("#6fa05a", "#4f8a44")),
        (grass, 0.5, *MEADOW), (cat_walking, 0.52, 0.92, 0.82, SNOWY)]),
    "cat/cat-05.jpg": (168, 224, [
        (room, 0.76, *NURSERY), (cat_profile, 0.38, 0.93, 0.9, SMOKE)]),
    "cat/cat-06.png": (120, 132, [(cat_front, 0.46, 0.95, 0.92, TABBY, -5, 0.05)]),
    "cat/cat-07.jpg": (200, 200, [
        (sky, *DUSK), (sun, 0.74, 0.5, 0.12, "#fff0b0"), (hills, 0.66, 0.2, "#5d4468"),
        (hills, 0.74, 0.1, "#3c2f50", 8), (strewn, 0.95, ["#3c2f50"], 5, (1, 0)),
        (cushion, 0.5, 0.93, 0.8, 0.13, ("#8a5a3c", "#4f2f22"), "#a8754c"),
        (cat_behind, 0.42, 0.88, 0.82, GINGER)]),
    "cat/cat-08.webp": (144, 192, [
        (sky, *MIST), (snow, 0.62), (cat_profile, 0.59, 0.92, 0.96, TUXEDO, True), (flakes, 60)]),
    "cat/cat-09.webp": (192, 144, [
        (room, 0.42, *NURSERY), (cushion, 0.5, 0.76, 0.62, 0.22, ("#3f7f8f", "#1f4c5c"), "#7fb8c0"),
        (cat_asleep, 0.5, 0.88, 1.06, CREAM, True)]),
    "cat/cat-10.png": (104, 104, [
        (room, 0.74, *STUDY), (cat_head, 0.5, 0.58, 0.88, CREAM, 8)]),
    "house/house-01.jpg": (240, 180, [
        (sky, *BLUE), (clouds, "#ffffff", 0.5), (hills, 0.6, 0.25, ("#86ab8a", "#5f8f5a")),
        (grass, 0.72, *MEADOW),
        (cottage, 0.48, 0.92, 0.86, ("#f6ead0", "#d9c39a"), ("#c0553a", "#8a3222"), "#fffaf0",
         ("#3f7a8a", "#24525e"), DAYLIGHT)]),
    "house/house-02.jpg": (180, 220, [
        (sky, *NIGHT), (stars, 80), (sun, 0.82, 0.14, 0.07, "#f7f3d8"), (grass, 0.84, *DARK_GRASS),
        (front_house, 0.5, 0.93, 0.88, ("#6d5f86", "#4a4268"), ("#2a2440", "#3a3252"), "#cfc4dc",
         ("#8a3a34", "#54201f"), LIT, 2)]),
    "house/house-03.png": (132, 116, [
        (sky, *MIST), (snow, 0.76), (front_house, 0.5, 0.9, 1.0, ("#c23b2c", "#8f2219"),
                                     ("#f6fafd", "#c3d3e2"), "#ffffff", ("#2f5a48", "#1b3a2e"),
                                     DAYLIGHT), (flakes, 70)]),
    "house/house-04.webp": (240, 176, [
        (sky, *GREY), (clouds, "#ffffff", 0.6), (terrace, 0.93, [
            (("#e8b04a", "#c4842a"), ("#8a3c2a", "#5f261c"), 2),
            (("#4f8fa8", "#346a82"), ("#5a4a48", "#3a2f30"), 1),
            (("#d8644a", "#a8402c"), ("#6a3228", "#46201a"), 2)], DAYLIGHT),
        (strewn, 0.94, ["#8f8a84", "#5f5b58"], 160, (1, 0))]),
    "house/house-05.jpg": (208, 208, [
        (sky, *ROSE), (hills, 0.55, 0.5, ("#8fa0c8", "#c8d4e8"), 3), (snow, 0.76),
        (fir, 0.12, 0.86, 0.62, PINE, "#ffffff"), (fir, 0.9, 0.84, 0.5, PINE, "#ffffff"),
        (lean_hut, 0.5, 0.9, 0.8, ("#5a3c2c", "#3a251b"), ("#b07a48", "#7f5430"), LIT)]),
    "house/house-06.webp": (256, 160, [
        (sky, "#4aa0d8", "#f2ead8"), (hills, 0.6, 0.3, ("#7fa890", "#5f8f6a")),
        (leafy, 0.9, 0.8, 0.66, BARK, SUMMER), (grass, 0.76, *MEADOW),
        (villa, 0.5, 0.88, 0.94, DAYLIGHT)]),
    "house/house-07.png": (128, 128, [
        (sky, *DUSK), (clouds, "#ffd0a0", 0.4), (grass, 0.76, *AUTUMN_GRASS),
        (cottage, 0.5, 0.88, 0.86, ("#e0b088", "#a87458"), ("#5a4468", "#3a2c4a"), "#f8e8d0",
         ("#8a3a34", "#54201f"), LIT, True)]),
    "house/house-08.jpg": (160, 200, [
        (sky, "#5fb0e0", "#eef4e6"), (clouds, "#ffffff", 0.4), (grass, 0.82, *MEADOW),
        (front_house, 0.5, 0.93, 0.9, ("#f4d9dc", "#dba8b0"), ("#5f7a8a", "#3d5464"), "#ffffff",
         ("#d8643a", "#a83f20"), DAYLIGHT, 2)]),
    "house/house-09.webp": (200, 160, [
        (sky, *GREY), (hills, 0.55, 0.3, ("#6a8078", "#4a6458")), (fir, 0.1, 0.8, 0.7, PINE),
        (fir, 0.92, 0.78, 0.62, PINE), (grass, 0.76, *AUTUMN_GRASS),
        (cottage, 0.5, 0.9, 0.86, ("#b07a48", "#84542c"), ("#5f7a52", "#3c5236"), "#e8d0a0",
         ("#7a2f24", "#4c1a14"), LIT, False, 7)]),
    "tree/tree-01.jpg": (224, 200, [
        (sky, *BLUE), (clouds, "#ffffff", 0.5), (hills, 0.72, 0.15, ("#8fb890", "#6a9f62")),
        (grass, 0.76, *MEADOW), (leafy, 0.5, 0.93, 0.85, BARK, SUMMER)]),
    "tree/tree-02.jpg": (160, 224, [
        (sky, *ROSE), (hills, 0.6, 0.4, ("#8fa0c8", "#dfe6f2"), 3), (snow, 0.82),
        (fir, 0.5, 0.94, 1.16, PINE, "#ffffff"), (flakes, 50)]),
    "tree/tree-03.webp": (208, 208, [
        (sky, "#6f9fd0", "#f6e2c0"), (hills, 0.72, 0.2, ("#b88a5a", "#9a6a3a")),
        (grass, 0.78, *AUTUMN_GRASS), (leafy, 0.5, 0.93, 0.84, BARK, AUTUMN)]),
    "tree/tree-04.jpg": (240, 180, [
        (sky, "#28a0d8", "#d8f4f0"), (clouds, "#ffffff", 0.4), (sea, 0.66, *GREEN_SEA),
        (hills, 0.86, 0.1, ("#f7e2b0", "#d8b878"), 3), (palm, 0.28, 0.94, 0.82),
        (palm, 0.78, 0.95, 0.68, 0.16, True)]),
    "tree/tree-05.png": (128, 128, [
        (sky, "#8fc4ea", "#f4f6ee"), (grass, 0.78, *MEADOW),
        (leafy, 0.5, 0.93, 0.84, ("#6a4a48", "#3a2628"), BLOSSOM)]),
    "tree/tree-06.webp": (160, 208, [
        (sky, *DUSK), (sun, 0.32, 0.62, 0.16, "#fff0b0"), (hills, 0.8, 0.12, "#4c3560"),
        (grass, 0.86, "#4a3048", "#20142c", ["#2c1a34", "#5f3c50"]),
        (bare, 0.5, 0.92, 0.94, ("#2c1a24", "#140a14"))]),
    "tree/tree-07.jpg": (176, 208, [
        (sky, *BLUE), (clouds, "#ffffff", 0.5), (hills, 0.76, 0.2, ("#b8a860", "#94883c")),
        (grass, 0.8, *AUTUMN_GRASS), (birch, 0.5, 0.94, 0.96, GOLDEN)]),
    "tree/tree-08.png": (112, 112, [
        (sky, "#58b0e4", "#eaf6ee"), (grass, 0.78, *MEADOW),
        (leafy, 0.5, 0.93, 0.84, BARK, SUMMER, OAK_CROWN, "#e0342c")]),
    "tree/tree-09.webp": (240, 176, [
        (sky, *MIST), (hills, 0.6, 0.25, ("#9fb8a8", "#7f9f88")), (grass, 0.7, *MEADOW),
        (willow, 0.5, 0.92, 0.94, BARK, SPRING)]),
    "tree/tree-10.jpg": (144, 216, [
        (sky, "#4f8fd8", "#fbe6c0"), (hills, 0.74, 0.3, ("#c8b070", "#a88a48"), 3),
        (grass, 0.8, *AUTUMN_GRASS),
        (leafy, 0.2, 0.88, 0.8, BARK, PINE, TALL_CROWN), (leafy, 0.84, 0.86, 0.7, BARK, PINE,
                                                          TALL_CROWN),
        (leafy, 0.5, 0.95, 1.15, BARK, SUMMER[:3], TALL_CROWN)]),
}
# fmt: on

# The pictures stored in some special way, for the tests of the reader
GREYSCALE, PALETTE = "boat/boat-05.jpg", "house/house-07.png"
SIDEWAYS, CUT_OUT = "house/house-08.jpg", "cat/cat-06.png"


def paint(name):
    """Return the finished picture of that name, upright, in the mode in which it is stored."""
    width, height, layers = PICTURES[name]
    canvas = Canvas(width, height, zlib.crc32(name.encode()))
    for painter, *arguments in layers:
        painter(canvas, *arguments)
    image = canvas.finished()
    if name == CUT_OUT:
        return image
    if name == PALETTE:
        return image.convert("RGB").quantize(128, dither=Image.Dither.FLOYDSTEINBERG)
    return image.convert("L" if name == GREYSCALE else "RGB")


def save(image, name, path):
    """Store a picture in the format of its suffix, one of them as a camera held sideways would."""
    if name == SIDEWAYS:
        exif = Image.Exif()
        exif[0x0112] = 6  # Orientation: turn by 90 degrees clockwise to see it upright
        image.transpose(Image.Transpose.ROTATE_90).save(path, quality=88, exif=exif)
    elif path.suffix == ".png":
        image.save(path, optimize=True)
    else:
        image.save(path, quality=88)


def draw_all(folder):
    """Draw every picture into its class folder below `folder`; return the paths written."""
    paths = []
    for name in PICTURES:
        path = Path(folder, name)
        path.parent.mkdir(parents=True, exist_ok=True)
        save(paint(name), name, path)
        paths.append(path)
    return paths


if __name__ == "__main__":
    written = draw_all(sys.argv[1] if len(sys.argv) > 1 else SAMPLE_DATA)
    print(f"{len(written)} pictures, {sum(p.stat().st_size for p in written) // 1000} kB")
