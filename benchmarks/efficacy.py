"""Is offline mixup worth it? Train one network on n real images, an equal number of steps each way.

The arms: plain; plain with label smoothing; mixup online; and the output of the real command,
`mixup augment`, with 1, 4 and 10 copies, with the originals and without. All are judged on the same
real test images by error, negative log-likelihood (NLL) and expected calibration error (ECE, 15 bins),
as they are and after temperature scaling (Guo et al. 2017, arXiv:1706.04599) on held-out images.

    apt-get install dataset-fashion-mnist
    pip install '.[torch]'
    python benchmarks/efficacy.py --results results.jsonl

Every training appends a line to RESULTS; run again, those that are there are not repeated. CIFAR-10 as
a folder that holds train/ and test/, each a folder of classes, and the paper's network on a GPU:

    python benchmarks/efficacy.py --data cifar10/ --images 50000 --held-out 0 --network preact18 \\
        --steps 78000 --crop-and-flip --device cuda --results cifar.jsonl
"""

import json
import math
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import click
import mixup_cli
import numpy as np
import torch
from fashion_mnist import CLASSES, DEBIAN, read_idx
from networks import NETWORKS
from PIL import Image
from torch.nn import functional

SMOOTHING = 0.1
BINS = 15


@dataclass(frozen=True)
class Data:
    """Real images (N, C, H, W) uint8 and their classes (N,): to train on, held out, to test on."""

    train: tuple[torch.Tensor, torch.Tensor]
    held_out: tuple[torch.Tensor, torch.Tensor]
    test: tuple[torch.Tensor, torch.Tensor]
    classes: tuple[str, ...]


@dataclass(frozen=True)
class Arm:
    """A way to train. alpha None: no mixup; copies 0: online; smoothing: of the labels."""

    name: str
    alpha: float | None = None
    copies: int = 0
    originals: bool = False
    smoothing: float = 0.0


@dataclass(frozen=True)
class Recipe:
    """How every arm is trained."""

    network: str
    steps: int
    batch: int
    crop_and_flip: bool
    device: str


def arms(alphas, copies):
    """All that is compared."""
    yield Arm("plain")
    yield Arm(f"plain, label smoothing {SMOOTHING:g}", smoothing=SMOOTHING)
    for alpha in alphas:
        yield Arm(f"online, α {alpha:g}", alpha)
        for number in copies:
            yield Arm(f"×{number}, α {alpha:g}", alpha, number)
            yield Arm(f"×{number} and originals, α {alpha:g}", alpha, number, originals=True)


def read_fashion(images, held_out):
    """Fashion-MNIST: the first `images` of its training set, the last `held_out`, its test set."""
    parts = []
    for part in ("train", "t10k"):
        pixels = read_idx(DEBIAN / f"{part}-images-idx3-ubyte.gz")
        labels = read_idx(DEBIAN / f"{part}-labels-idx1-ubyte.gz")
        parts.append((torch.tensor(pixels)[:, None], torch.tensor(labels).long()))
    return split(*parts, images, held_out, CLASSES)


def read_folder(root, images, held_out):
    """A folder of classes, or of train/ and test/; without test/ every fifth image is one."""
    whole = root / "train" if (root / "train").is_dir() else root
    classes = tuple(sorted(p.name for p in whole.iterdir() if p.is_dir()))
    train = read_classes(whole, classes)
    if whole != root:
        test = read_classes(root / "test", classes)
    else:
        is_test = torch.arange(len(train[1])) % 5 == 0
        train, test = tuple(t[~is_test] for t in train), tuple(t[is_test] for t in train)
    order = torch.from_numpy(np.random.default_rng(0).permutation(len(train[1])))
    return split(tuple(t[order] for t in train), test, images, held_out, classes)


def read_classes(root, classes):
    """All images of a folder of classes, (N, 3, H, W), and the class of each."""
    files = [(path, k) for k, name in enumerate(classes) for path in sorted((root / name).iterdir())]
    pixels = np.stack([np.asarray(Image.open(path).convert("RGB")) for path, _ in files])
    return torch.tensor(pixels).permute(0, 3, 1, 2).contiguous(), torch.tensor([k for _, k in files])


def split(train, test, images, held_out, classes):
    """The first images to train on, the last to fit a temperature on, none of them in both."""
    there = len(train[1])
    if images + held_out > there:
        raise click.UsageError(f"{images:,} images and {held_out:,} held out, of {there:,}")
    first = tuple(t[:images] for t in train)
    return Data(first, tuple(t[there - held_out :] for t in train), test, classes)


def write_images(data, folder):
    """The training images as PNGs, a folder for each class, and the order of the classes."""
    (folder.parent / "classes.txt").write_text("".join(f"{name}\n" for name in data.classes))
    for name in data.classes:
        (folder / name).mkdir(parents=True)
    for i, (image, label) in enumerate(zip(*data.train, strict=True)):
        pixels = image.permute(1, 2, 0).squeeze(-1).numpy()
        Image.fromarray(pixels).save(folder / data.classes[label] / f"{i:05d}.png", compress_level=1)


def augmented(arm, seed, source, out):
    """The output of the real command: images (N, C, H, W) uint8 and soft labels (N, K)."""
    command = [
        sys.executable, "-m", "mixup_cli", "augment", source, out, "--quiet", "--no-sync",
        "--classes", source.parent / "classes.txt",
        "--alpha", f"{arm.alpha:g}", "--copies", str(arm.copies), "--seed", str(seed),
        *(["--include-originals"] if arm.originals else []),
    ]
    subprocess.run(list(map(str, command)), check=True)
    files, labels, _ = mixup_cli.load(out)
    pixels = np.stack([np.asarray(Image.open(file)) for file in files])
    pixels = pixels[..., None] if pixels.ndim == 3 else pixels
    return torch.tensor(pixels).permute(0, 3, 1, 2).contiguous(), torch.from_numpy(labels)


def train(arm, seed, data, source, recipe):
    """Train one network one way; return it as a function from images to logits."""
    with tempfile.TemporaryDirectory() as folder:
        if arm.copies:
            images, labels = augmented(arm, seed, source, Path(folder, "out"))
        else:
            images = data.train[0]
            labels = functional.one_hot(data.train[1], len(data.classes)).float()
    images, labels = images.to(recipe.device), labels.to(recipe.device)
    real = data.train[0].float()
    mean = real.mean((0, 2, 3), keepdim=True).to(recipe.device)
    std = real.std((0, 2, 3), keepdim=True).to(recipe.device)
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    network = NETWORKS[recipe.network](images.shape[1], len(data.classes))
    network = network.to(recipe.device, memory_format=torch.channels_last)
    optimizer, schedule = optimizer_of(network, recipe)
    for index in batches(len(images), recipe, rng):
        x, y = images[index].float(), labels[index]
        if recipe.crop_and_flip:
            x = crop_and_flip(x, rng)
        if arm.alpha is not None and not arm.copies:
            x, y = mix(x, y, arm.alpha, rng)
        x = ((x - mean) / std).contiguous(memory_format=torch.channels_last)
        loss = functional.cross_entropy(network(x), y, label_smoothing=arm.smoothing)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        schedule.step()
    network.eval()
    return lambda x: network((x.to(recipe.device).float() - mean) / std)


def optimizer_of(network, recipe):
    """The small network: Adam, one cycle; the paper's: its own schedule, at half and three quarters."""
    if recipe.network == "small":
        adam = torch.optim.AdamW(network.parameters(), weight_decay=1e-4)
        return adam, torch.optim.lr_scheduler.OneCycleLR(adam, 3e-3, recipe.steps)
    sgd = torch.optim.SGD(network.parameters(), 0.1, momentum=0.9, weight_decay=1e-4)
    drops = [recipe.steps // 2, recipe.steps * 3 // 4]
    return sgd, torch.optim.lr_scheduler.MultiStepLR(sgd, drops)


def batches(count, recipe, rng):
    """Yield `steps` batches of indices, epoch after epoch, each in an order of its own."""
    order = np.empty(0, int)
    for _ in range(recipe.steps):
        while len(order) < recipe.batch:
            order = np.concatenate([order, rng.permutation(count)])
        yield torch.from_numpy(order[: recipe.batch])
        order = order[recipe.batch :]


def mix(x, y, alpha, rng):
    """Online mixup: one lam and one partner for each sample, as the command draws them."""
    lam = torch.tensor(rng.beta(alpha, alpha, len(x)), dtype=torch.float32, device=x.device)
    partner = torch.from_numpy(rng.permutation(len(x)))
    weight = lam[:, None, None, None]
    return weight * x + (1 - weight) * x[partner], lam[:, None] * y + (1 - lam[:, None]) * y[partner]


def crop_and_flip(x, rng):
    """Each image shifted by up to 4 pixels, and mirrored half of the time."""
    count, _, height, width = x.shape
    padded = functional.pad(x, (4, 4, 4, 4))
    flipped = torch.tensor(rng.random(count) < 0.5, device=x.device)
    padded = torch.where(flipped[:, None, None, None], padded.flip(3), padded)
    down, right = (torch.tensor(rng.integers(0, 9, count), device=x.device) for _ in range(2))
    rows = (down[:, None] + torch.arange(height, device=x.device))[:, :, None]
    columns = (right[:, None] + torch.arange(width, device=x.device))[:, None, :]
    which = torch.arange(count, device=x.device)[:, None, None]
    return padded.permute(0, 2, 3, 1)[which, rows, columns].permute(0, 3, 1, 2)


@torch.no_grad()
def logits_of(predict, images):
    """Logits (N, K) in float64, on the CPU."""
    return torch.cat([predict(part).double().cpu() for part in images.split(1000)])


def scores(logits, labels):
    """Error in %, negative log-likelihood in nats, expected calibration error in %."""
    confidence, predicted = logits.softmax(1).max(1)
    right = (predicted == labels).double()
    in_bin = (confidence * BINS).long().clamp(max=BINS - 1)
    gaps = torch.zeros(BINS, dtype=torch.double).index_add_(0, in_bin, confidence - right)
    return {
        "error": 100 * (1 - right.mean().item()),
        "nll": functional.cross_entropy(logits, labels).item(),
        "ece": 100 * gaps.abs().sum().item() / len(labels),
    }


def temperature_of(logits, labels):
    """The temperature that fits the held-out images best, by a fine search between 1/20 and 20."""
    grid = torch.logspace(math.log10(0.05), math.log10(20), 1201, dtype=torch.double)
    losses = [functional.cross_entropy(logits / t, labels).item() for t in grid]
    return grid[int(np.argmin(losses))].item()


def judge(predict, data):
    """The scores on the test images, as they are and at the temperature of the held-out ones."""
    logits = logits_of(predict, data.test[0])
    result = scores(logits, data.test[1])
    if len(data.held_out[1]):
        temperature = temperature_of(logits_of(predict, data.held_out[0]), data.held_out[1])
        scaled = scores(logits / temperature, data.test[1])
        result |= {"temperature": temperature, "nll_t": scaled["nll"], "ece_t": scaled["ece"]}
    return result


COLUMNS = {
    "error": ("error %", 1), "nll": ("NLL", 3), "ece": ("ECE %", 1), "temperature": ("fitted T", 2),
    "nll_t": ("NLL at T", 3), "ece_t": ("ECE % at T", 1),
}


def table(results):
    """Markdown: a row for each arm, mean ± standard deviation over the seeds."""
    there = [key for key in COLUMNS if any(key in r for r in results)]
    yield "| " + " | ".join(["trained on", "seeds", *(COLUMNS[key][0] for key in there)]) + " |"
    yield "| --- " * (len(there) + 2) + "|"
    for arm in dict.fromkeys(r["arm"] for r in results):
        rows = [r for r in results if r["arm"] == arm]
        cells = [arm, str(len(rows))]
        for key in there:
            values, digits = [r[key] for r in rows], COLUMNS[key][1]
            spread = f" ± {np.std(values, ddof=1):.{digits}f}" if len(values) > 1 else ""
            cells.append(f"{np.mean(values):.{digits}f}{spread}")
        yield "| " + " | ".join(cells) + " |"


def numbers(kind):
    """A click callback for numbers between commas."""
    return lambda ctx, option, text: tuple(kind(part) for part in text.split(","))


@click.command()
@click.option("--data", type=click.Path(path_type=Path, exists=True, file_okay=False),
              help="A folder of classes, or of train/ and test/; without it Fashion-MNIST.")
@click.option("--images", default=1000, show_default=True, help="Real images to train on.")
@click.option("--held-out", default=1000, show_default=True, help="More, to fit a temperature.")
@click.option("--network", type=click.Choice(list(NETWORKS)), default="small", show_default=True)
@click.option("--steps", default=1000, show_default=True)
@click.option("--batch", default=128, show_default=True)
@click.option("--crop-and-flip", is_flag=True, help="Shift and mirror, as is usual for CIFAR-10.")
@click.option("--seeds", default="0,1,2", show_default=True, callback=numbers(int))
@click.option("--alphas", default="0.2,1", show_default=True, callback=numbers(float))
@click.option("--copies", default="1,4,10", show_default=True, callback=numbers(int))
@click.option("--device", default="cpu", show_default=True)
@click.option("--threads", default=1, show_default=True, help="Of the CPU.")
@click.option("--results", type=click.Path(path_type=Path), required=True)
def main(data, images, held_out, seeds, alphas, copies, threads, results, **recipe):
    """Train every arm with every seed, and print the table of RESULTS."""
    torch.set_num_threads(threads)
    recipe = Recipe(**recipe)
    setting = {"data": str(data or "fashion-mnist"), "images": images, "held_out": held_out,
               **vars(recipe)}
    real = read_folder(data, images, held_out) if data else read_fashion(images, held_out)
    lines = results.read_text().splitlines() if results.exists() else []
    done = [r for r in map(json.loads, lines) if r["setting"] == setting]
    todo = [(seed, arm) for seed in seeds for arm in arms(alphas, copies)]
    with tempfile.TemporaryDirectory() as folder:
        write_images(real, Path(folder, "real"))
        for seed, arm in todo:
            if any((r["seed"], r["arm"]) == (seed, arm.name) for r in done):
                continue
            start = time.monotonic()
            result = judge(train(arm, seed, real, Path(folder, "real"), recipe), real)
            done.append({"arm": arm.name, "seed": seed, **result, "setting": setting})
            with open(results, "a", encoding="utf-8") as file:
                file.write(json.dumps(done[-1], ensure_ascii=False) + "\n")
            click.echo(f"{arm.name}, seed {seed}: error {result['error']:.1f}%, ECE"
                       f" {result['ece']:.1f}%, {time.monotonic() - start:.0f} s", err=True)
    order = {arm.name: k for k, (_, arm) in enumerate(todo)}
    for line in table(sorted(done, key=lambda r: order.get(r["arm"], len(order)))):
        click.echo(line)


if __name__ == "__main__":
    main()
