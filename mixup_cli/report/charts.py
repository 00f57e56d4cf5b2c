"""The charts of a report: SVG by matplotlib, in the colours and the font of the page around it."""

import io
import re
import warnings
from xml.etree import ElementTree

import numpy as np
from matplotlib import rc_context
from matplotlib.figure import Figure

from mixup_cli.draw import columns_of, cut, visible
from mixup_cli.report.facts import BINS, MOST_CLASSES

SVG, XLINK = "http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink"
# What matplotlib draws in, and the page's own names for it: light and dark are the page's business.
INK, GRID, BEFORE, AFTER, DENSITY = "#010203", "#040506", "#070809", "#0a0b0c", "#0d0e0f"
NAMES = {INK: "ink", GRID: "grid", BEFORE: "before", AFTER: "after", DENSITY: "density"}
STYLE = {
    "svg.fonttype": "none", "font.size": 8, "text.parse_math": False, "axes.unicode_minus": False,
    "text.color": INK, "axes.edgecolor": GRID, "axes.labelcolor": INK, "xtick.color": INK,
    "ytick.color": INK, "xtick.major.size": 0, "ytick.major.size": 0, "xtick.major.pad": 5, "grid.color": GRID,
    "axes.spines.top": False, "axes.spines.right": False, "legend.frameon": False,
    "axes.axisbelow": True, "grid.linewidth": 0.6, "legend.fontsize": 8,
}
WIDTH = 3.2  # inches of a plot: on a phone the text is still readable
LETTER = 0.06  # inches, about, of a class name beside it
PIXELS_A_POINT = 1.5  # of the page, for a point of matplotlib's
LONGEST_NAME = 15  # columns of a class name beside a chart; the tables have all
# A number on a field stands out at a contrast of 4.5 or more: above which share of the strongest
# colour it changes sides, in the dark and in the light. The page has a colour for each.
FROM_DARK, FROM_LIGHT = 0.65, 0.92
LEVELS = ("faint", "middle", "strong")
NUMBERED = 12  # classes whose counts are written into the heat map


def lam_histogram(facts):
    """How many mixed outputs have which lam, over what the distribution promises."""

    def draw(axes):
        share = 100 * facts.lam / max(1, facts.lam.sum())
        edges = np.arange(BINS) / BINS
        axes.bar(edges, share, 0.85 / BINS, align="edge", color=AFTER, label="outputs")
        if facts.expected is not None:
            expected = 100 * facts.expected / facts.lam.sum()
            steps = np.append(expected, expected[-1])
            axes.step([*edges, 1], steps, where="post", color=DENSITY, linewidth=1.4,
                      label="Beta density")
        axes.set(xlim=(0, 1), xlabel="λ, the weight of a", ylabel="% of the mixed outputs")
        axes.grid(axis="y")
        _legend(axes)

    middle = int(facts.lam[BINS // 5 : -BINS // 5].sum())
    text = (
        f"Histogram of λ over {int(facts.lam.sum()):,} mixed outputs: {int(facts.lam[0]):,} below"
        f" {1 / BINS:g}, {middle:,} from 0.2 to 0.8, {int(facts.lam[-1]):,} from {1 - 1 / BINS:g}"
    )
    return _svg("lam", "Histogram of λ", text, draw, 2.4)


def label_mass(record):
    """The share of each class in the labels, of the sources and of the outputs."""
    mass = record["label_mass"]
    shares = [_percent([c[when] for c in mass]) for when in ("before", "after")]
    if len(mass) > MOST_CLASSES:
        return _ranked_mass(*shares)
    names = [short(c["class"]) for c in mass]

    def draw(axes):
        y = np.arange(len(names))
        for offset, share, colour, when in (
            (-0.2, shares[0], BEFORE, "before: sources"), (0.2, shares[1], AFTER, "after: outputs"),
        ):
            axes.barh(y + offset, share, 0.38, color=colour, label=when)
        axes.set(yticks=y, ylim=(len(names) - 0.5, -0.5), xlabel="% of the label mass")
        axes.set_yticklabels(names, parse_math=False)
        axes.grid(axis="x")
        _legend(axes)

    listed = "; ".join(
        f"{visible(c['class'])} {before:.2f}% to {after:.2f}%"
        for c, before, after in zip(mass, *shares, strict=True)
    )
    text = f"Share of each class in the labels, before and after: {listed}"
    width = WIDTH + 0.4 - LETTER * max(map(len, names))
    return _svg("mass", "Label mass by class", text, draw, 0.24 * len(names) + 0.2, width)


def _ranked_mass(before, after):
    """Many classes: their shares by rank."""

    def draw(axes):
        order = np.argsort(-before, kind="stable")
        rank = np.arange(1, len(order) + 1)
        axes.plot(rank, after[order], color=AFTER, linewidth=1, label="after: outputs")
        axes.plot(rank, before[order], color=BEFORE, linewidth=1.6, label="before: sources")
        axes.set(xlim=(1, len(order)), xlabel="classes, the largest first", ylim=(0, None),
                 ylabel="% of the label mass")
        axes.grid(axis="y")
        _legend(axes)

    text = (
        f"Shares of {len(before):,} classes in the labels: {before.min():.3f}% to {before.max():.3f}%"
        f" before, {after.min():.3f}% to {after.max():.3f}% after"
    )
    return _svg("mass", "Label mass by class", text, draw, 2.4)


def pair_map(facts):
    """Which class was mixed with which: a by row, b by column."""
    pairs, size = facts.pairs, len(facts.groups)
    names = [short(name) for name in facts.groups]
    top = max(1, int(pairs.max()))

    def draw(axes):
        for row, column in np.argwhere(pairs):
            share = pairs[row, column] / top
            axes.fill([column, column + 0.94, column + 0.94, column],
                      [row, row, row + 0.94, row + 0.94], color=AFTER, alpha=0.08 + 0.92 * share)
            if size <= NUMBERED:
                axes.text(column + 0.47, row + 0.47, f"{pairs[row, column]:,}", ha="center",
                          va="center", size=7 if size > 8 else 8,
                          gid=level(share))
        axes.set(xlim=(0, size), ylim=(size, 0), aspect="equal", xlabel="b", ylabel="a")
        axes.set_xticks(np.arange(size) + 0.47)
        # Anchored at their ends: the browser's font has other widths.
        axes.set_xticklabels(names, rotation=90, rotation_mode="anchor", ha="right", va="center",
                             parse_math=False)
        axes.set_yticks(np.arange(size) + 0.47, names, parse_math=False)
        for spine in axes.spines.values():
            spine.set_visible(False)

    most = np.unravel_index(int(pairs.argmax()), pairs.shape)
    kind = "groups of classes" if size < len(facts.classes) else "classes"
    text = (
        f"Heat map of {size:,} {kind} of a by those of b: most often"
        f" {visible(facts.groups[most[0]])} with {visible(facts.groups[most[1]])},"
        f" {int(pairs.max()):,} outputs; the fewest are {int(pairs.min()):,}"
    )
    side = min(max(2.2, 0.32 * size), 6.0)
    return _svg("pairs", "Which class was mixed with which", text, draw, side, side)


def level(share):
    """The class of a number on a field of this share of the strongest colour."""
    return LEVELS[int(share > FROM_DARK) + int(share > FROM_LIGHT)]


def _legend(axes):
    """Above the plot, where it covers nothing."""
    axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=2, borderaxespad=0.2)


def _percent(values):
    values = np.array(values)
    return 100 * values / max(values.sum(), 1e-12)


def short(name):
    """A class name beside a chart."""
    name = visible(name)
    keep = len(name)
    if columns_of(name) <= LONGEST_NAME:
        return name
    while columns_of(cut(name, keep, "…")) > LONGEST_NAME:
        keep -= 1
    return cut(name, keep, "…")


def _svg(name, title, text, draw, height, width=WIDTH):
    """A chart as an <svg> for the page: draw(axes) draws it, title and text are for who cannot see."""
    with rc_context({**STYLE, "svg.hashsalt": name}), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph")  # the browser has fonts of its own
        figure = Figure((width, height))
        draw(figure.add_axes((0, 0, 1, 1)))
        data = io.StringIO()
        figure.savefig(data, format="svg", bbox_inches="tight", pad_inches=0.04, transparent=True,
                       metadata={"Date": None, "Creator": None})
    return _for_page(data.getvalue(), name, title, text)


def _for_page(svg, name, title, text):
    """matplotlib's file as part of a page: ids of its own, the page's colours, alternative texts."""
    ElementTree.register_namespace("", SVG)
    ElementTree.register_namespace("xlink", XLINK)
    root = ElementTree.fromstring(svg)
    for parent in list(root.iter()):
        for child in list(parent):
            if child.tag in (f"{{{SVG}}}metadata", f"{{{SVG}}}style"):
                parent.remove(child)
    for element in root.iter():
        if element.get("id") in LEVELS:  # there are many of each
            element.set("class", element.attrib.pop("id"))
        for key, value in list(element.attrib.items()):
            element.set(key, _for_page_attribute(key, value, name))
    width, height = (float(size) for size in root.get("viewBox").split()[2:])
    root.set("width", f"{width * PIXELS_A_POINT:.0f}")
    root.set("height", f"{height * PIXELS_A_POINT:.0f}")
    root.set("role", "img")
    root.set("aria-labelledby", f"{name}-title {name}-text")
    for tag, content in (("desc", text), ("title", title)):
        element = ElementTree.Element(f"{{{SVG}}}{tag}", {"id": f"{name}-{tag}".replace("desc", "text")})
        element.text = content
        root.insert(0, element)
    return ElementTree.tostring(root, encoding="unicode")


def _for_page_attribute(key, value, name):
    if key == "id":
        return f"{name}-{value}"
    if key == f"{{{XLINK}}}href":
        return value.replace("#", f"#{name}-", 1)
    value = value.replace("url(#", f"url(#{name}-")
    if key == "style":
        return re.sub("#0[0-9a-f]{5}", lambda found: f"var(--{NAMES[found[0]]})", value)
    return value
