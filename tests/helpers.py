"""Pictures to test on, and a float64 reference that shares no line with mixup_cli."""

import csv
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image, ImageCms, ImageOps
from scipy import stats

# `mixup` with no more than a file's mode allows, where the tests run as root, who may do everything.
AS_ORDINARY_USER = [sys.executable, "-m", "mixup_cli"]
if hasattr(os, "getuid") and os.getuid() == 0:
    AS_ORDINARY_USER[:0] = ["setpriv", "--bounding-set", "-dac_override,-dac_read_search"]
COMMAND = [sys.executable, "-W", "error", "-m", "mixup_cli", "augment"]
# To be sent a signal: one that falls between an open and its `with` leaves a file to be closed by
# Python, which is no fault, and of which Python warns where it is told to.
SIGNALLED = [sys.executable, "-m", "mixup_cli", "augment"]


def noise(height, width, channels, seed=0, dtype=np.uint8):
    """Random pixels: no two places alike, so that a shift or a swap cannot hide."""
    shape = (height, width) if channels == 1 else (height, width, channels)
    top = np.iinfo(dtype).max
    return np.random.default_rng(seed).integers(0, top, shape, dtype, endpoint=True)


def write_dataset(root, classes=("cat", "dog"), per_class=4, size=(12, 9)):
    """A small folder dataset of RGB PNGs; returns its root."""
    for k, name in enumerate(classes):
        (root / name).mkdir(parents=True)
        for i in range(per_class):
            image = Image.fromarray(noise(size[1], size[0], 3, seed=100 * k + i))
            image.save(root / name / f"{i}.png")
    return root


def read_csv(path):
    with open(path, encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def run_measured(*command, **options):
    """Run a command; returns the finished process and the peak memory, in bytes, of the largest
    process that it or its children were.

    A process starts with the peak of the one that started it, so a small one stands in between.
    """
    code = (
        "import resource, subprocess, sys; from pathlib import Path;"
        "code = subprocess.run(sys.argv[2:]).returncode;"
        "Path(sys.argv[1]).write_text(str(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss));"
        "sys.exit(code)"
    )
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-c", code, f"{folder}/peak", *map(str, command)]
        result = subprocess.run(command, capture_output=True, text=True, timeout=1200, **options)
        return result, 1024 * int(Path(folder, "peak").read_text())


def run_without(modules, *arguments, **options):
    """Run mixup as if some Python packages were not installed; stdout and stderr are bytes."""
    code = (
        f"import sys; sys.modules.update(dict.fromkeys({list(modules)!r}));"
        "from mixup_cli.cli import main; main()"
    )
    command = [sys.executable, "-W", "error", "-c", code, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, timeout=300, **options)


def tree(folder):
    """Every file below a folder: relative path -> bytes."""
    folder = Path(folder)
    return {
        str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()
    }


def reference_source(path, mode="auto", background=(255, 255, 255)):
    """A source as Pillow itself opens, turns and flattens it: an image in L, I;16, RGB or RGBA."""
    image = ImageOps.exif_transpose(Image.open(path))
    if image.mode == "LAB":
        profiles = ImageCms.createProfile("LAB"), ImageCms.createProfile("sRGB")
        image = ImageCms.profileToProfile(image, *profiles, outputMode="RGB")
    if image.mode.startswith("I"):
        image = Image.fromarray(np.asarray(image).astype(np.uint16))
    elif image.has_transparency_data:
        grey = image.mode in ("1", "L", "LA", "La") and len(set(background)) == 1
        image = image.convert("RGBA")
        if mode != "RGBA":
            image = Image.alpha_composite(Image.new("RGBA", image.size, (*background, 255)), image)
            image = image.convert("RGB").getchannel(0) if grey else image.convert("RGB")
    elif image.mode in ("1", "L"):
        image = image.convert("L")
    else:
        image = image.convert("RGB")
    return image


def reference_mode(image, mode):
    """(H, W, C) float64 in the units of a mode, from L, I;16, RGB or RGBA."""
    pixels = np.asarray(image).astype(np.float64)
    wide = np.asarray(image).dtype == np.uint16
    if mode in ("L", "L16") and not wide:
        pixels = np.asarray(image.convert("L")).astype(np.float64)
    if pixels.ndim == 2:
        pixels = pixels[..., None]
    if mode in ("RGB", "RGB16", "RGBA") and pixels.shape[2] == 1:
        pixels = np.repeat(pixels, 3, axis=2)
    if mode == "RGBA" and pixels.shape[2] == 3:
        pixels = np.concatenate(
            [pixels, np.full_like(pixels[..., :1], 65535 if wide else 255)], axis=2
        )
    if wide and mode in ("L", "RGB", "RGBA"):
        pixels = np.floor(pixels / 257 + 0.5)
    if not wide and mode in ("L16", "RGB16"):
        pixels = pixels * 257
    return pixels


def reference_fit(image, size, fit, background):
    """Pillow's own ImageOps, which crop, pad and resize by their own code."""
    if image.size == size:
        return image
    if fit == "stretch":
        return image.resize(size, Image.Resampling.BILINEAR)
    if fit == "cover":
        return ImageOps.fit(image, size, Image.Resampling.BILINEAR)
    if len(set(background)) > 1 and image.mode == "L":
        image = image.convert("RGB")
    if len(set(background)) > 1 and image.mode == "I;16":
        bands = [ImageOps.pad(image, size, Image.Resampling.BILINEAR, c * 257) for c in background]
        return np.dstack([np.asarray(band) for band in bands])
    colour = {"L": background[0], "I;16": background[0] * 257, "RGB": background}
    return ImageOps.pad(
        image, size, Image.Resampling.BILINEAR, colour.get(image.mode, (*background, 255))
    )


def reference_output(a, b, lam, size=None, fit="cover", mode="auto", background=(255, 255, 255)):
    """lam * a + (1 - lam) * b in float64, (H, W, C), from two files."""
    a, b = (reference_source(path, mode, background) for path in (a, b))
    size = size or a.size
    a, b = (reference_fit(image, size, fit, background) for image in (a, b))
    if mode == "auto":
        colour = "RGB" if "RGB" in (a.mode, b.mode) else "L"
        mode = colour + ("16" if "I;16" in (a.mode, b.mode) else "")
    return lam * reference_mode(a, mode) + (1 - lam) * reference_mode(b, mode)


def beta_pvalue(lam, alpha, least=0.0, most=0.5, seed=0):
    """Kolmogorov-Smirnov p-value of 6-decimal lam against Beta(alpha, alpha), or Beta(*alpha),
    given least <= min(lam, 1 - lam) <= most.

    Rounding puts 3% of alpha = 0.2 on exactly 0, and as much on 1: the test must know. Spread over
    the probability of its rounding interval, each lam becomes a uniform variate, exactly.
    """
    beta = stats.beta(*alpha) if isinstance(alpha, tuple) else stats.beta(alpha, alpha)

    def allowed_below(x):
        """The probability of what is allowed, up to x."""
        left = beta.cdf(np.clip(x, least, most)) - beta.cdf(least)
        return left + beta.sf(1 - most) - beta.sf(np.clip(x, 1 - most, 1 - least))

    low, high = (allowed_below(lam + step) / allowed_below(1.0) for step in (-5e-7, 5e-7))
    spread = np.random.default_rng(seed).random(len(lam))
    return stats.kstest(low + spread * (high - low), "uniform").pvalue
