import numpy as np
import pytest
from PIL import Image, ImageOps

from helpers import noise
from mixup_cli.canvas import Canvas, convert, fit, flatten, orient
from mixup_cli.errors import InputError


@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientation_is_that_of_pillow(tmp_path, orientation):
    pixels = noise(5, 7, 3)
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(pixels).save(tmp_path / "a.png", exif=exif)
    with Image.open(tmp_path / "a.png") as image:
        expected = np.asarray(ImageOps.exif_transpose(image))
    np.testing.assert_array_equal(orient(pixels, orientation), expected)


def test_16_bits_scale_and_never_clamp():
    levels = np.array([0, 128, 129, 257, 32768, 65407, 65535], np.uint16).reshape(1, 7, 1)
    assert convert(levels, 1, 1).ravel().tolist() == [0, 0, 1, 1, 128, 255, 255]
    assert convert(np.array([[[0], [1], [255]]], np.uint8), 1, 2).ravel().tolist() == [0, 257, 65535]


def test_transparency_is_laid_over_the_background():
    pixels = np.array([[[200, 100, 0, 255], [200, 100, 0, 0], [200, 100, 0, 128]]], np.uint8)
    out = flatten(pixels, (10, 20, 30))
    assert out[0, :2].tolist() == [[200, 100, 0], [10, 20, 30]]
    assert out[0, 2].tolist() == [round((128 * c + 127 * b) / 255) for c, b in zip((200, 100, 0), (10, 20, 30))]


@pytest.mark.parametrize("how", ["cover", "contain", "stretch"])
@pytest.mark.parametrize("source", [(1, 1), (1, 9), (40, 3), (30, 20)])
@pytest.mark.parametrize("size", [(1, 1), (8, 8), (13, 5), (64, 48)])
@pytest.mark.parametrize("channels, dtype", [(1, np.uint8), (3, np.uint8), (4, np.uint8), (1, np.uint16), (3, np.uint16)])
def test_every_fit_reaches_the_size(how, source, size, channels, dtype):
    pixels = noise(source[1], source[0], channels, dtype=dtype).reshape(source[1], source[0], channels)
    out = fit(pixels, size, how, (255, 255, 255))
    assert out.shape == (size[1], size[0], channels) and out.dtype == dtype


def test_contain_keeps_everything_and_cover_fills():
    pixels = np.zeros((10, 20, 3), np.uint8)
    assert fit(pixels, (20, 20), "contain", (9, 9, 9))[0, 0].tolist() == [9, 9, 9]
    assert fit(pixels, (20, 20), "cover", (9, 9, 9)).max() == 0


@pytest.mark.parametrize("arguments", [{"fit": "crop"}, {"mode": "CMYK"}, {"size": (0, 3)}])
def test_refuses(arguments):
    with pytest.raises(InputError):
        Canvas(**arguments)
