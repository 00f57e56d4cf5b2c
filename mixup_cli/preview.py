"""Looking before a run: two images at several lam, and the rows of a plan as they would be written."""

import contextlib
import os
from dataclasses import dataclass, replace

import numpy as np

from mixup_cli.run import read_and_plan, rows_job
from mixup_cli.canvas import match, prepare
from mixup_cli.codec import decode, resize
from mixup_cli.dataset import MILLION, weight_text
from mixup_cli.draw import (
    FILL, INK, LINE, MUTED, Sheet, columns_of, half_blocks, thumbnail, visible, within,
)
from mixup_cli.errors import InputError, SourceError
from mixup_cli.kernel import blend
from mixup_cli.render import SourceCache, blend_rows, read_source
from mixup_cli.tables import label_rows

TUTORIAL_LAMS = tuple(tenth / 10 for tenth in range(1, 10))
GRID_SIDE, SHEET_SIDE = 256, 160  # pixels that a picture may take up; smaller ones are enlarged
ROWS = 8  # of a contact sheet
MOST_BARS = 5
GAP, TEXT, TITLE, BARS_WIDTH = 12, 13, 15, 220  # pixels of a sheet
EMPTY = 60  # pixels that stand for a picture that cannot be shown
TERMINAL_CELL, LEAST_CELL = 40, 8  # columns that a picture takes up, at most and at least


@dataclass(frozen=True)
class Cell:
    """A picture, (H, W, 3) uint8, or None where there is none, the lines under it, and what stands
    in the place of a picture that is not there."""

    pixels: np.ndarray | None
    lines: tuple
    missing: str = "not written"


@dataclass(frozen=True)
class Row:
    """Pictures side by side, and beside them the label: (class, weight) pairs, heaviest first."""

    cells: tuple
    bars: tuple = ()


@dataclass(frozen=True)
class Preview:
    """titles: what is shown, in lines; rows; side: pixels that a picture may take up; notes: what the user
    should know; rejects: source -> reason, of those that were needed and cannot be used."""

    titles: tuple
    rows: tuple
    side: int
    notes: tuple = ()
    rejects: dict | None = None


def grid(a, b, lams, canvas):
    """Two image files blended at each lam, three to a row (more, if there are more than nine).

    Raises InputError if one of them cannot be read.
    """
    pixels = []
    for path in (a, b):
        try:
            data = read_source(path, canvas.max_pixels)
            pixels.append(prepare(decode(data, canvas.max_pixels, canvas.least_scale), canvas))
        except SourceError as e:
            raise InputError(f"{path}: {e}; give two images") from e
    pixels = match(*pixels, canvas)
    cells = []
    for lam in lams:
        blended = blend(*(side[None] for side in pixels), np.array([lam]))[0]
        weight = round(lam * MILLION)
        text, rest = weight_text(weight), weight_text(MILLION - weight)
        small = thumbnail(blended, GRID_SIDE, canvas.background)
        cells.append(Cell(small, (f"λ = {text}", f"{text} a + {rest} b")))
    across = max(3, int(np.ceil(np.sqrt(len(cells)))))
    rows = (Row(tuple(cells[i : i + across])) for i in range(0, len(cells), across))
    titles = f"a: {os.path.basename(a)}", f"b: {os.path.basename(b)}"
    return Preview(titles, tuple(rows), GRID_SIDE)


def contact_sheet(source, options, count=ROWS, out=None):
    """`count` rows of the plan that augment would make of `source`, spread evenly over it, rendered
    by the code that renders a run: a, b and their blend, and the label as labels.csv would hold it.

    out: the path that the picture will be written to, if any. Raises InputError as augment would,
    and if out is one of the sources.
    """
    dataset, plan = read_and_plan(source, options)
    if out is not None:
        _check_no_source(dataset, out)
    chosen = np.unique(np.linspace(0, len(plan) - 1, count).round().astype(int))
    shards = np.searchsorted(plan.shard_start, chosen, side="right") - 1
    rows, rejects = [], {}
    for shard in np.unique(shards).tolist():
        job = rows_job(dataset, plan, shard, options)
        numbers = chosen[shards == shard]
        triples, reasons = _render_triples(job, numbers - plan.rows(shard).start)
        rejects |= reasons
        labels = label_rows(dataset, plan, shard, numbers.tolist(), wide=True)
        for row, triple, label in zip(numbers.tolist(), triples, labels, strict=True):
            bars = [(name, float(w)) for name, w in zip(dataset.classes, label[1:], strict=True)]
            bars = sorted((bar for bar in bars if bar[1]), key=lambda bar: -bar[1])
            rows.append(Row(_cells(dataset, plan, row, label[0], triple), tuple(bars)))
    written = sum(row.cells[-1].pixels is not None for row in rows)
    title = f"{source or dataset.root}: {written:,} of the {len(plan):,} outputs of this plan"
    if written < len(rows):
        title += f", and {len(rows) - written:,} that would not be written"
    return Preview((title,), tuple(rows), SHEET_SIDE, plan.notes, rejects)


def _check_no_source(dataset, out):
    """A list, and links, name sources anywhere: none of them may be written over."""
    if not os.path.isfile(out):
        return
    there = os.stat(out)
    for source in dataset.sources:
        with contextlib.suppress(OSError):  # whoever needs that source will say what it is
            if os.path.samestat(there, os.stat(os.path.join(dataset.root, source))):
                raise InputError(f"-o {out}: is the source {source}; choose another place")


def _render_triples(job, rows):
    """(a, b, blend) of some rows of a shard, each (H, W, 3) uint8 or None, and the rejects.

    Every row is rendered three times: by lam = 1, which is a, by lam = 0, which is b, and by its own.
    A source whose partner cannot be used is shown as it would be with itself.
    """
    rows = np.repeat(rows, 3)
    lam = job.lam[rows]
    lam[0::3], lam[1::3] = 1, 0
    job = replace(job, files=[job.files[i] for i in rows], a=job.a[rows], b=job.b[rows], lam=lam)
    pixels, rejects = _thumbnails(job)
    alone = np.array([k for k, there in enumerate(pixels) if there is None and k % 3 < 2], int)
    if len(alone):
        side = np.where(alone % 3 == 0, job.a[alone], job.b[alone])
        found, rejects = _thumbnails(replace(
            job, files=[job.files[k] for k in alone], a=side, b=side, lam=lam[alone], rejected=rejects
        ))
        for k, image in zip(alone, found, strict=True):
            pixels[k] = image
    return list(zip(pixels[0::3], pixels[1::3], pixels[2::3], strict=True)), rejects


def _thumbnails(job):
    """The picture of each row, or None, and the rejects."""
    cache, pixels = SourceCache(job), [None] * len(job.files)
    for places, images in blend_rows(job, cache):
        for place, image in zip(places, images, strict=True):
            pixels[place] = thumbnail(image, SHEET_SIDE, job.canvas.background)
    return pixels, cache.rejects


def _cells(dataset, plan, row, file, triple):
    """The three pictures of a row with what is written under them."""
    lam = weight_text(round(float(plan.lam[row]) * MILLION))
    file = file.removeprefix("images/")
    sources = int(plan.source_a[row]), int(plan.source_b[row])
    named = [(dataset.sources[i], dataset.label_text(i)) for i in sources]
    if sources[0] == sources[1]:
        return (Cell(triple[2], (named[0][0], f"{named[0][1]}, as itself", file)),)
    return (*(Cell(pixels, lines, "cannot be used") for pixels, lines in zip(triple, named, strict=False)),
            Cell(triple[2], (f"λ = {lam}", file)))


def png(preview):
    """A preview as the bytes of a PNG."""
    cells = [cell for row in preview.rows for cell in row.cells]
    width = max([preview.side * 3 // 4, *(c.pixels.shape[1] for c in cells if c.pixels is not None)])
    across = max(len(row.cells) for row in preview.rows)
    has_bars = any(row.bars for row in preview.rows)
    top = GAP + (TITLE + GAP) * len(preview.titles)
    heights = [_height(row) for row in preview.rows]
    total = GAP + across * (width + GAP) + has_bars * (BARS_WIDTH + GAP)
    sheet = Sheet(total, top + sum(heights) + GAP * len(heights))
    for k, title in enumerate(preview.titles):
        sheet.text((GAP, GAP + k * (TITLE + GAP)), title, TITLE, width=total - 2 * GAP)
    for row, height in zip(preview.rows, heights, strict=True):
        for k, cell in enumerate(row.cells):
            _draw_cell(sheet, cell, GAP + k * (width + GAP), top, width, height)
        if row.bars:
            _draw_bars(sheet, row.bars, GAP + across * (width + GAP), top)
        top += height + GAP
    return sheet.png()


def _lines_height(count):
    return count * (TEXT + 4)


def _height(row):
    pictures = [EMPTY if c.pixels is None else c.pixels.shape[0] for c in row.cells]
    words = _lines_height(max(len(cell.lines) for cell in row.cells))
    return max(max(pictures) + 4 + words, _lines_height(2 * len(_most(row.bars))))


def _draw_cell(sheet, cell, x, y, width, height):
    words = _lines_height(len(cell.lines))
    if cell.pixels is None:
        sheet.rectangle(x, y, x + width, y + height - words - 4, LINE)
        sheet.text((x + width / 2, y + (height - words) / 2), cell.missing, TEXT, anchor="mm")
    else:
        sheet.paste(cell.pixels, x + (width - cell.pixels.shape[1]) // 2, y)
        height = cell.pixels.shape[0] + 4 + words
    for i, line in enumerate(cell.lines):
        place = x + width / 2, y + height - words + _lines_height(i)
        sheet.text(place, line, TEXT, MUTED if i else INK, anchor="ma", width=width)


def _most(bars):
    """The bars that are shown; the rest is summed up."""
    if len(bars) <= MOST_BARS:
        return bars
    rest = bars[MOST_BARS - 1 :]
    return (*bars[: MOST_BARS - 1], (f"{len(rest):,} more classes", sum(w for _, w in rest)))


def _draw_bars(sheet, bars, x, y):
    for name, weight in _most(bars):
        sheet.text((x, y), name, TEXT, width=BARS_WIDTH - 75)
        sheet.text((x + BARS_WIDTH, y), weight_text(round(weight * MILLION)), TEXT, anchor="ra")
        sheet.rectangle(x, y + TEXT + 4, x + BARS_WIDTH, y + TEXT + 12, LINE)
        sheet.rectangle(x, y + TEXT + 4, x + BARS_WIDTH * weight, y + TEXT + 12, FILL)
        y += _lines_height(2)


def terminal(preview, columns):
    """A preview as lines for a terminal of so many columns; the captions are text."""
    for title in preview.titles:
        yield clipped(title, columns)
    for row in preview.rows:
        across = min(len(row.cells), max(1, (columns + 1) // (LEAST_CELL + 1)))
        width = max(1, min(TERMINAL_CELL, (columns + 1) // across - 1))
        for i in range(0, len(row.cells), across):
            yield ""
            yield from _side_by_side(row.cells[i : i + across], width)
        for name, weight in _most(row.bars):
            number, bar = weight_text(round(weight * MILLION)), round(weight * max(1, columns - 36))
            yield clipped(f"{clipped(name, max(1, min(24, columns - 9)))} {number:8} {'█' * bar}", columns)


def _side_by_side(cells, width):
    """The lines of pictures, `width` columns each, and of what is written under them."""
    blocks = [_block(cell, width) for cell in cells]
    for k in range(max(map(len, blocks))):
        yield " ".join(block[k] if k < len(block) else " " * width for block in blocks)
    for lines in zip(*(cell.lines for cell in cells), strict=True):
        yield " ".join(clipped(line, width) for line in lines)


def _block(cell, width):
    """The lines of a picture, `width` columns each."""
    if cell.pixels is None:
        return [clipped(cell.missing, width)]
    size = within(cell.pixels.shape[1], cell.pixels.shape[0], width)
    left = (width - size[0]) // 2
    right = width - size[0] - left
    return [" " * left + line + " " * right for line in half_blocks(resize(cell.pixels, size))]


def clipped(text, columns):
    """Text padded or cut to so many columns of a terminal, where wide characters take two."""
    text = visible(text)
    if columns_of(text) > columns:
        while text and columns_of(text) > columns - 1:
            text = text[:-1]
        text += "…" * (columns > 0)
    return text + " " * (columns - columns_of(text))
