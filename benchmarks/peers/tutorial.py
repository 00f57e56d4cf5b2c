"""The get_batch of the mixup tutorial, Pillow in and out, one process: IN OUT SIZE."""

import csv
import sys
from pathlib import Path

import numpy as np
from PIL import Image

BATCH, ALPHA = 64, 0.2


def load(path, size):
    image = Image.open(path).convert("RGB")
    return np.asarray(image.resize((size, size), Image.Resampling.BILINEAR) if size else image)


def get_batch(x, y, rng):
    lam, partner = rng.beta(ALPHA, ALPHA, len(x)), rng.permutation(len(x))
    weight = lam[:, None, None, None]
    mixed = x * weight + x[partner] * (1 - weight)
    return mixed, y * lam[:, None] + y[partner] * (1 - lam[:, None])


def main(source, out, size):
    rng = np.random.default_rng(0)
    classes = sorted(path.name for path in source.iterdir())
    items = [(p, k) for k, name in enumerate(classes) for p in sorted((source / name).iterdir())]
    rng.shuffle(items)
    out.mkdir(parents=True, exist_ok=True)
    one_hot = np.eye(len(classes))
    with open(out / "labels.csv", "w", newline="") as file:
        table = csv.writer(file)
        table.writerow(["file_name", *classes])
        for start in range(0, len(items), BATCH):
            part = items[start : start + BATCH]
            x = np.stack([load(path, size) for path, _ in part]) / 255.0
            y = one_hot[[int(k) for _, k in part]]
            for i, (image, label) in enumerate(zip(*get_batch(x, y, rng), strict=True)):
                name = f"{start + i:06d}.png"
                Image.fromarray((image * 255).astype(np.uint8)).save(out / name)
                table.writerow([name, *label])


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]))
