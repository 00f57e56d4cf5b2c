"""The floor under every tool: read, decode and resize each source once, two processes, nothing
written: IN OUT SIZE (OUT is not used)."""

import sys
from multiprocessing import Pool
from pathlib import Path

from PIL import Image

SIZE = int(sys.argv[3])


def load(path):
    with Image.open(path) as image:
        if SIZE:
            image.draft("RGB", (SIZE, SIZE))  # the decoder's own scaling, by 2, 4 or 8
        image = image.convert("RGB")
        if SIZE:
            image.resize((SIZE, SIZE), Image.Resampling.BILINEAR, reducing_gap=2.0)


if __name__ == "__main__":
    with Pool(2) as pool:
        pool.map(load, sorted(Path(sys.argv[1]).glob("*/*")), chunksize=64)
