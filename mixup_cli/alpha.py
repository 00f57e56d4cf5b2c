"""What alpha does: the Beta distribution of lam, exactly, and a picture of its density."""

import math
from dataclasses import dataclass
from typing import NamedTuple

from mixup_cli.draw import COLOURS, INK, LINE, MUTED, Sheet, half_blocks
from mixup_cli.errors import InputError

# An 8-bit output equals a source where the other one's weight, rounded to 6 decimals as lam is,
# times 255 is below 1/2: 0.001960 still is, so the boundary lies half a millionth above it.
EQUAL_BELOW = 0.0019605
CAPTION = "α → 0 is plain training (λ is 0 or 1), α → ∞ always blends half and half (λ = ½)"
NORMAL_ABOVE = 5e7  # a and b: the Beta distribution is a normal one to 9 digits, to 4 where b >> a
DEFAULT_ALPHAS = (0.1, 0.2, 1.0, 8.0)
# Pixels of the picture, its plot and its margins.
WIDTH, PLOT_HEIGHT, LEFT, TOP, RIGHT, BOTTOM = 720, 298, 48, 40, 20, 78
KEY_HEIGHT, KEYS = 24, 4  # pixels of a line of the legend, and how many curves it names
TERMINAL_PIXELS = 40  # the height of a plot in a terminal, two in a line
HIGHEST = 12  # density that the picture reaches at most


@dataclass(frozen=True)
class Effect:
    """alpha, or (A, B); mean_min: the mean of min(lam, 1 - lam), 0 to 0.5, the weight of the weaker
    image; share_equal: of outputs whose 8-bit pixels equal a source's."""

    alpha: float | tuple
    mean_min: float
    share_equal: float


class Plot(NamedTuple):
    """Where densities are drawn: the pixels of its edges, and the density of the upper one."""

    left: float
    top: float
    right: float
    bottom: float
    highest: float

    def place(self, x, y):
        """The pixel of lam = x at density y."""
        return (self.left + x * (self.right - self.left),
                self.bottom - y / self.highest * (self.bottom - self.top))


def effect(alpha):
    """The Effect of alpha, a number >= 0 or (A, B), two > 0; exact, nothing is drawn at random."""
    a, b = _parameters(alpha)
    if a == 0:
        return Effect(alpha, 0.0, 1.0)
    mean = a / (a + b)
    # E[lam; lam < 1/2] is the mean times a probability of Beta(a + 1, b), and the other half alike.
    below = mean * beta_cdf(0.5, a + 1, b)
    above = b / (a + b) * beta_cdf(0.5, b + 1, a)
    return Effect(alpha, below + above, beta_cdf(EQUAL_BELOW, a, b) + beta_cdf(EQUAL_BELOW, b, a))


def _parameters(alpha):
    """(a, b), both within what the sampler takes (kernel.sample_lam)."""
    a, b = alpha if isinstance(alpha, tuple) else (alpha, alpha)
    return (a, b) if a == 0 else (min(max(a, 1e-12), 1e18), min(max(b, 1e-12), 1e18))


def beta_cdf(x, a, b):
    """The probability that Beta(a, b) is at most x: the regularised incomplete beta function.

    x: 0 to 1, not as near to an end as 1 - x rounds; a, b > 0. Source: DLMF 8.17.22, the continued fraction, evaluated by Lentz's method.
    """
    if x <= 0 or x >= 1:
        return float(x >= 1)
    if min(a, b) > NORMAL_ABOVE:
        mean, spread = _normal(a, b)
        return 0.5 * math.erfc((mean - x) / spread / math.sqrt(2))
    factor = math.exp(a * math.log(x) + b * math.log1p(-x) - _log_beta(a, b))
    if x > (a + 1) / (a + b + 2):  # the fraction converges fast on the other side
        below = 1 - factor / b * _fraction(1 - x, b, a)
    else:
        below = factor / a * _fraction(x, a, b)
    return min(max(below, 0.0), 1.0)


def _normal(a, b):
    """The mean and the standard deviation of Beta(a, b)."""
    mean = a / (a + b)
    return mean, math.sqrt(mean * (b / (a + b)) / (a + b + 1))


def _log_beta(a, b):
    """log(Gamma(a) Gamma(b) / Gamma(a + b))"""
    a, b = sorted((a, b))
    if b < 1e6:
        return math.lgamma(a) + math.lgamma(b) - math.lgamma(a + b)
    # The two large terms by Stirling's formula, their difference without its cancellation.
    return math.lgamma(a) - (b - 0.5) * math.log1p(a / b) - a * math.log(a + b) + a + (1 / b - 1 / (a + b)) / 12


def _fraction(x, a, b):
    c, d = 1.0, 1 / _not_zero(1 - (a + b) * x / (a + 1))
    value, m = d, 0
    while True:
        m += 1
        even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))
        odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))
        for term in (even, odd):
            d = 1 / _not_zero(1 + term * d)
            c = _not_zero(1 + term / c)
            value *= c * d
        if abs(c * d - 1) < 1e-15:
            return value


def _not_zero(x):
    return x if abs(x) > 1e-300 else 1e-300


def density(x, alpha):
    """The density of lam at x, 0 < x < 1."""
    a, b = _parameters(alpha)
    if min(a, b) > NORMAL_ABOVE:  # the terms below would cancel out, digit by digit
        mean, spread = _normal(a, b)
        return math.exp(-(((x - mean) / spread) ** 2) / 2) / spread / math.sqrt(2 * math.pi)
    return math.exp((a - 1) * math.log(x) + (b - 1) * math.log1p(-x) - _log_beta(a, b))


def picture(alphas):
    """The density of each alpha as the bytes of a PNG. Raises InputError for more than 8."""
    if len(alphas) > len(COLOURS):
        raise InputError(f"{len(alphas)} values of alpha, but {len(COLOURS)} fit a picture; give fewer")
    top = TOP + KEY_HEIGHT * -(-len(alphas) // KEYS)
    height = top + PLOT_HEIGHT + BOTTOM
    sheet = Sheet(WIDTH, height)
    plot = Plot(LEFT, top, WIDTH - RIGHT, height - BOTTOM, _highest(alphas))
    _draw_axes(sheet, plot)
    _draw_curves(sheet, plot, alphas)
    _draw_legend(sheet, alphas)
    of = "" if _has_pairs(alphas) else " ~ Beta(α, α)"
    sheet.text((LEFT, 12), f"Density of λ{of}, the weight of the first image", 16)
    sheet.text((WIDTH / 2, height - 24), CAPTION, 13, MUTED, anchor="ma", width=WIDTH - 20)
    return sheet.png()


def _highest(alphas):
    """A density that the picture reaches: of every curve the peak, or what it has at 0.02, and at
    least 1, the flat density."""
    inner = [0.02 + 0.96 * i / 480 for i in range(481)]
    tops = [max(density(x, alpha) for x in inner) for alpha in alphas if alpha != 0]
    return min(max([1.0, *tops]) * 1.08, HIGHEST)


def terminal(alphas, columns):
    """The density of each alpha as lines for a terminal of so many columns, at most 8 of them."""
    alphas = alphas[: len(COLOURS)]
    sheet = Sheet(columns, TERMINAL_PIXELS)
    _draw_curves(sheet, Plot(0, 0, columns, TERMINAL_PIXELS - 1, _highest(alphas)), alphas, width=1)
    yield from half_blocks(sheet.pixels())
    yield "  ".join(
        "\033[38;2;{};{};{}m▬\033[0m {}".format(*colour, alpha_text(alpha))
        for alpha, colour in zip(alphas, COLOURS, strict=False)
    )


def _draw_curves(sheet, plot, alphas, width=2):
    for alpha, colour in zip(alphas, COLOURS, strict=False):
        for points in _curves(alpha, plot.highest):
            sheet.curve([plot.place(x, y) for x, y in points], colour, width)


def _curves(alpha, highest):
    """The parts of a density that lie below `highest`, as lists of (x, y)."""
    if alpha == 0:
        yield [(1, 0), (1, highest)]
        return
    a, b = _parameters(alpha)
    if beta_cdf(1 / WIDTH, a, b) + beta_cdf(1 / WIDTH, b, a) > 0.999:  # within a pixel of the ends
        for end, share in ((0, b), (1, a)):
            if share > 0.001 * (a + b):
                yield [(end, 0), (end, highest)]
        return
    part, steps = [], 8 * WIDTH
    for x in sorted({a / (a + b), *(i / steps for i in range(1, steps))} - {0.0, 1.0}):
        y = density(x, alpha)
        part.append((x, min(y, highest)))
        if y > highest:
            if len(part) > 1 and part[-2][1] < highest:
                yield part
            part = part[-1:]
    yield part


def _draw_axes(sheet, plot):
    for tenth in range(0, 11, 2):
        x, _ = plot.place(tenth / 10, 0)
        sheet.rectangle(x, plot.top, x + 1, plot.bottom, LINE)
        sheet.text((x, plot.bottom + 6), f"{tenth / 10:g}", 12, anchor="ma")
    step = max(1, math.ceil(plot.highest / 6))
    for level in range(0, math.floor(plot.highest) + 1, step):
        _, y = plot.place(0, level)
        sheet.rectangle(plot.left, y, plot.right, y + 1, LINE)
        sheet.text((plot.left - 8, y), str(level), 12, anchor="rm")
    sheet.rectangle(plot.left, plot.bottom, plot.right, plot.bottom + 1, INK)
    sheet.text(((plot.left + plot.right) / 2, plot.bottom + 24), "λ", 13, anchor="ma")


def _draw_legend(sheet, alphas):
    """Names above the plot, where they cover no curve."""
    width = (WIDTH - LEFT - RIGHT) / KEYS
    for i, alpha in enumerate(alphas):
        x, y = LEFT + i % KEYS * width, TOP + i // KEYS * KEY_HEIGHT
        sheet.rectangle(x, y + 7, x + 18, y + 10, COLOURS[i])
        sheet.text((x + 24, y), key_text(alpha, _has_pairs(alphas)), 13, width=width - 28)


def _has_pairs(alphas):
    return any(isinstance(alpha, tuple) for alpha in alphas)


def key_text(alpha, pairs):
    """alpha as the legend names it: α = 0.2, or beside pairs of numbers Beta(0.2, 0.2)."""
    if not pairs:
        return f"α = {alpha_text(alpha)}"
    a, b = alpha if isinstance(alpha, tuple) else (alpha, alpha)
    return f"Beta({a:g}, {b:g})"


def alpha_text(alpha):
    """alpha as it is typed: 0.2, or 0.2,1."""
    return ",".join(f"{x:g}" for x in (alpha if isinstance(alpha, tuple) else (alpha,)))
