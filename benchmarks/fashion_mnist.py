"""Turn Fashion-MNIST into an image folder of 60,000 PNGs: OUT [--count N].

The files are those of Debian's package dataset-fashion-mnist (Xiao et al. 2017, MIT licence); with
--source FOLDER, the same four .gz files from elsewhere.

    apt-get install dataset-fashion-mnist
    python benchmarks/fashion_mnist.py fashion/
    mixup augment fashion/ mixed/ --alpha 0.2
"""

import gzip
import struct
from pathlib import Path

import click
import numpy as np
from PIL import Image

CLASSES = (
    "t-shirt", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "boot",
)
DEBIAN = Path("/usr/share/datasets/fashion-mnist")


def read_idx(path):
    """An IDX file (LeCun's MNIST format): big-endian sizes, then uint8 values."""
    data = gzip.decompress(Path(path).read_bytes())
    dimensions = data[3]
    shape = struct.unpack_from(f">{dimensions}I", data, 4)
    return np.frombuffer(data, np.uint8, offset=4 + 4 * dimensions).reshape(shape)


def write_folder(source, out, count):
    """Write the first `count` training images as out/<class>/<number>.png."""
    images = read_idx(source / "train-images-idx3-ubyte.gz")[:count]
    labels = read_idx(source / "train-labels-idx1-ubyte.gz")[:count]
    for name in CLASSES:
        (out / name).mkdir(parents=True, exist_ok=True)
    for i, (image, label) in enumerate(zip(images, labels, strict=True)):
        Image.fromarray(image).save(out / CLASSES[label] / f"{i:05d}.png", compress_level=1)
    return len(images)


@click.command()
@click.argument("out", type=click.Path(path_type=Path))
@click.option("--count", default=60_000, show_default=True)
@click.option("--source", type=click.Path(path_type=Path, exists=True), default=DEBIAN)
def main(out, count, source):
    """Write Fashion-MNIST to OUT as an image folder."""
    click.echo(f"{write_folder(source, out, count)} images in {out}")


if __name__ == "__main__":
    main()
