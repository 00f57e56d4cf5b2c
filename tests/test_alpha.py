"""What alpha does: against scipy, against draws, and the picture against scipy's densities."""

import io
import json
import os
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from scipy import special, stats

from helpers import run_without
from mixup_cli.alpha import DEFAULT_ALPHAS, beta_cdf, density, effect, picture, terminal
from mixup_cli.draw import COLOURS, Sheet
from mixup_cli.errors import InputError
from mixup_cli.kernel import sample_lam
from mixup_cli.plan import make_plan

ALPHAS = [1e-12, 1e-6, 0.01, 0.1, 0.2, 0.4, 1.0, 2.5, 8.0, 100.0, 1e4, 1e6, 1e9, 1e18,
          (0.2, 1.0), (1.0, 0.2), (3.0, 50.0), (5.0, 1e7), (5.0, 1e9), (1e9, 5.0), (0.2, 1e12), (1e7, 1e10),
          (5.0, 1e18), (1e-9, 1e6), (1e5, 5e7)]


@pytest.mark.parametrize("alpha", ALPHAS)
def test_the_numbers_are_scipys(alpha):
    a, b = alpha if isinstance(alpha, tuple) else (alpha, alpha)
    mean = a / (a + b)
    mean_min = mean * special.betainc(a + 1, b, 0.5) + (1 - mean) * special.betainc(b + 1, a, 0.5)
    found = effect(alpha)
    assert found.mean_min == pytest.approx(mean_min, rel=1e-7)
    # lam is rounded to 6 decimals: 0.001960 still leaves every 8-bit level, 0.001961 does not.
    equal = special.betainc(a, b, 0.0019605) + special.betainc(b, a, 0.0019605)
    assert found.share_equal == pytest.approx(equal, rel=1e-9, abs=1e-200)


@pytest.mark.parametrize("alpha", [0.1, 0.2, 1.0, (0.2, 1.0)])
def test_the_numbers_are_those_of_draws(alpha):
    """300,000 lam as a plan draws them; 5 standard errors."""
    lam = sample_lam(np.random.default_rng(5), alpha, 300_000)
    weaker = np.minimum(lam, 1 - lam)
    equal = weaker * 255 < 0.5
    found = effect(alpha)
    assert abs(weaker.mean() - found.mean_min) < 5 * weaker.std() / np.sqrt(len(lam))
    error = np.sqrt(found.share_equal * (1 - found.share_equal) / len(lam))
    assert abs(equal.mean() - found.share_equal) < 5 * error


def test_a_weight_at_the_boundary_moves_no_pixel_and_the_next_one_does():
    levels = np.arange(256)
    a, b = np.meshgrid(levels, levels)
    for weight, equal in ((0.001960, True), (0.001961, False)):
        assert np.array_equal(np.rint((1 - weight) * a + weight * b), a) == equal


def test_the_share_is_the_one_that_a_plan_counts():
    plan = make_plan(np.arange(100_000) % 10)
    assert plan.share_equal_to_source() == pytest.approx(effect(0.2).share_equal, abs=0.005)


@given(st.floats(0, 1, allow_subnormal=False), st.floats(0.01, 1000), st.floats(0.01, 1000))
def test_the_distribution_function(x, a, b):
    assert beta_cdf(x, a, b) == pytest.approx(special.betainc(a, b, x), abs=1e-11)


@pytest.mark.parametrize("a, b", [(5.0, 1e9), (1e9, 5.0), (1e4, 1e9), (1e6, 1e10), (4e7, 4e7), (1e9, 1e9)])
def test_around_the_mean_of_a_narrow_distribution(a, b):
    """Where gamma functions cancel out, digit by digit, unless their difference is computed as one."""
    exact = stats.beta(a, b)
    for x in exact.ppf([0.01, 0.3, 0.5, 0.9, 0.99]):
        assert beta_cdf(x, a, b) == pytest.approx(exact.cdf(x), abs=2e-7)
        assert density(x, (a, b)) == pytest.approx(exact.pdf(x), rel=1e-6)


def test_the_ends():
    """alpha = 0 mixes nothing; a large one mixes half and half."""
    assert effect(0.0).share_equal == 1 and effect(0.0).mean_min == 0
    assert effect(1e18).mean_min == pytest.approx(0.5) and effect(1e18).share_equal == 0


def test_the_curves_lie_where_the_densities_are():
    """Of every colour the topmost pixel in a column is at scipy's density, by the axis' own scale."""
    pixels = np.asarray(Image.open(io.BytesIO(picture(DEFAULT_ALPHAS)))).astype(int)
    height, left, right = {}, 48, 699  # the plot, in pixels

    def row(colour, lam):
        column = round(left + lam * (720 - 48 - 20))
        distance = np.abs(pixels[:, column] - np.array(colour)).sum(axis=1)
        rows = np.flatnonzero(distance < 90)
        return rows[rows > 100].mean()  # below the legend

    for alpha, colour in zip(DEFAULT_ALPHAS, COLOURS, strict=False):
        for lam in (0.3, 0.7):
            height[alpha, lam] = row(colour, lam), stats.beta(alpha, alpha).pdf(lam)
    rows, densities = np.array(list(height.values())).T
    slope, base = np.polyfit(densities, rows, 1)
    assert slope < -50 and np.abs(base + slope * densities - rows).max() < 1.5
    assert abs(base - (440 - 78)) < 2  # density 0 is on the axis


@pytest.mark.parametrize("alphas", [
    (0.1, 0.2, 0.4, 1.0, 2.0, 4.0, 8.0, 32.0), ((1000.0, 2000.0), 0.2, (1e-6, 1e18)),
])
def test_the_legend_names_the_curves_in_full_and_covers_none(alphas):
    """Beside each colour stands the whole name of its curve, and all of it above the plot."""
    pixels = np.asarray(Image.open(io.BytesIO(picture(alphas))))
    lines = -(-len(alphas) // 4)
    assert pixels.shape == (40 + 24 * lines + 298 + 78, 720, 3)
    for i, alpha in enumerate(alphas):
        x, y = 48 + i % 4 * 163, 40 + i // 4 * 24
        assert (pixels[y + 7 : y + 10, x : x + 18] == COLOURS[i]).all()
        a, b = alpha if isinstance(alpha, tuple) else (alpha, alpha)
        name = Sheet(139, 20)
        name.text((0, 0), f"Beta({a:g}, {b:g})" if len(alphas) == 3 else f"α = {a:g}")
        assert np.array_equal(pixels[y : y + 20, x + 24 : x + 163], name.pixels())
        assert y + 20 < 40 + 24 * lines


@pytest.mark.parametrize("alpha", [1e18, 1e14, (1e17, 1.0), (1e18, 3e17), (1e18, 1e-12), 1e-12])
def test_extreme_densities_can_be_drawn(alpha):
    assert picture([alpha])[:4] == b"\x89PNG"
    assert len(list(terminal([alpha], 40))) == 21


@pytest.mark.parametrize("alpha", [2.0, 1e7, 4.9e7, 5.1e7, 1e12, 1e14, 1e18])
def test_a_density_keeps_its_digits(alpha):
    """At the middle and one standard deviation beside it; above 1e7 against the normal one."""
    spread = 1 / np.sqrt(4 * (2 * alpha + 1))
    for x in (0.5, 0.5 + spread):
        exact = stats.beta(2, 2).pdf(x) if alpha == 2 else stats.norm(0.5, spread).pdf(x)
        assert density(x, alpha) == pytest.approx(exact, rel=1e-5)


def test_more_curves_than_colours_are_refused():
    with pytest.raises(InputError, match="9 values"):
        picture([0.1] * 9)


def test_the_command_needs_no_extra(tmp_path):
    result = run_without(["matplotlib", "jinja2", "scipy"], "alpha", "0.1", "0.2", "0.2,1", "-o",
                         tmp_path / "beta.png")
    assert result.returncode == 0, result.stderr
    lines = result.stdout.decode().splitlines()
    assert [line.split()[0] for line in lines] == ["alpha", "0.1", "0.2", "0.2,1"]
    assert lines[2].split() == ["0.2", "0.1012", "30.2548%"]
    assert "α → 0 is plain training" in result.stderr.decode()
    with Image.open(tmp_path / "beta.png") as image:
        assert image.format == "PNG" and image.size == (720, 440)


def test_the_picture_on_stdout_and_the_table_as_json():
    result = run_without([], "alpha", "-o", "-")
    assert result.returncode == 0 and result.stdout == picture(DEFAULT_ALPHAS)
    assert b"30.2548%" in result.stderr
    table = json.loads(run_without([], "alpha", "0.2", "0.2,1", "--json").stdout)
    assert [row["alpha"] for row in table] == [0.2, [0.2, 1.0]]
    assert table[0]["share_equal"] == effect(0.2).share_equal


@pytest.mark.parametrize("arguments", [
    ["-1"], ["much"], ["0.2", "-o", "beta.jpg"], ["0.2", "-o", "no/such/beta.png"],
    [*"123456789", "-o", "beta.png"],
])
@pytest.mark.slow
def test_wrong_usage(tmp_path, arguments):
    end_of_options = ["--"] if arguments[0] == "-1" else []
    result = run_without([], "alpha", *end_of_options, *arguments, cwd=tmp_path)
    assert result.returncode == 2 and result.stdout == b"" and b"Error: " in result.stderr
    assert os.listdir(tmp_path) == []


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX pipes")
@pytest.mark.slow
def test_a_pipe_is_written_to_and_not_replaced(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    reader = os.open(tmp_path / "pipe", os.O_RDONLY | os.O_NONBLOCK)
    result = run_without([], "alpha", "0.2", "-o", tmp_path / "pipe")
    data = os.read(reader, 1 << 20)
    os.close(reader)
    assert result.returncode == 0 and data.startswith(b"\x89PNG")
    assert (tmp_path / "pipe").is_fifo()


@pytest.mark.parametrize("alpha", [1e-9, 1e-6, (1e-7, 3e-7)])
def test_a_density_within_a_pixel_of_the_ends_is_seen_there(alpha):
    """Two spikes that reach the top, not a flat line at 0."""
    image = np.asarray(Image.open(io.BytesIO(picture((alpha,)))).convert("RGB")).astype(int)
    colour = np.array(COLOURS[0])
    columns = np.count_nonzero(np.abs(image - colour).sum(axis=2) < 30, axis=0)
    assert np.count_nonzero(columns > 250) >= 2
