"""docs/loading.md: every snippet run as it is printed, on a real output, and one step trained.

Each section runs in a process of its own, where out/ lies, with the checks below appended. They hold
images against the rows that the csv module and Pillow read: by value, whatever the order.
"""

import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from helpers import write_dataset

PAGE = Path(__file__).parent.parent / "docs/loading.md"
CLASSES = ("007", "NA", "cat, big")  # what careless readers turn into something else

TRUTH = '''
import csv
import numpy as np
import PIL.Image

with open("out/labels.csv", encoding="utf-8", newline="") as file:
    (_, *true_classes), *true_rows = csv.reader(file)
pixels_of = {row[0]: np.asarray(PIL.Image.open("out/" + row[0])) for row in true_rows}
label_of = {pixels_of[row[0]].tobytes(): np.array(row[1:], float) for row in true_rows}
assert true_classes == ["007", "NA", "cat, big"] and len(label_of) == len(true_rows) == 240


def compare(images, labels, count=240):
    """images (N, H, W, C), 0 to 1, and labels (N, K), in any order, each row once."""
    images, labels = np.asarray(images), np.asarray(labels)
    assert images.shape == (count, 32, 32, 3) and labels.shape == (count, 3), (images.shape, labels.shape)
    keys = [np.rint(image * 255).astype(np.uint8).tobytes() for image in images]
    assert len(set(keys)) == count
    for key, label in zip(keys, labels, strict=True):
        assert np.abs(label_of[key] - label).max() < 1e-6
    assert 0 < np.abs(labels - np.rint(labels)).max()  # soft ones among them


def descend(images, labels):
    """A step of softmax regression, which must lower the cross-entropy."""
    x, y = np.asarray(images, float).reshape(len(images), -1), np.asarray(labels, float)
    weights = np.zeros((x.shape[1], y.shape[1]))

    def loss_and_gradient():
        logits = x @ weights
        p = np.exp(logits - logits.max(1, keepdims=True))
        p /= p.sum(1, keepdims=True)
        return -(y * np.log(p)).sum(1).mean(), x.T @ (p - y) / len(x)

    before, gradient = loss_and_gradient()
    weights -= 1e-3 * gradient
    assert loss_and_gradient()[0] < before
'''
TABLE = '''
images = np.stack([pixels_of[name] for name in files]) / 255
compare(images, labels)
descend(images, labels)
rows = [dict(zip(made.columns, map(str, row))) for row in made.to_numpy().tolist()]
with open("out/metadata.csv", encoding="utf-8", newline="") as file:
    true_made = list(csv.DictReader(file))
for row, true in zip(rows, true_made, strict=True):
    assert (row["label_a"], row["label_b"]) == (true["label_a"], true["label_b"])
    assert float(row["lam"]) == float(true["lam"])
'''
TORCH = '''
def train_a_step(loader):
    model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(32 * 32 * 3, 3))
    optimizer, loss_of = torch.optim.SGD(model.parameters(), 1e-3), torch.nn.CrossEntropyLoss()
    x, y = next(iter(loader))
    before = loss_of(model(x), y)
    before.backward()
    optimizer.step()
    assert loss_of(model(x), y) < before
'''
# A torchvision whose C++ operators were built for another torch cannot be imported before somebody
# declares them; fastai, which needs it, uses none of them here.
MEND = '''
try:
    import torchvision
except RuntimeError:
    import sys, torch
    for module in [name for name in sys.modules if name.startswith("torchvision")]:
        del sys.modules[module]
    operators = torch.library.Library("torchvision", "FRAGMENT")
    for pool in ("roi_align", "roi_pool", "ps_roi_align", "ps_roi_pool", "deform_conv2d", "nms"):
        for name in (pool, f"q{pool}", f"_{pool}_backward"):
            operators.define(f"{name}(Tensor a) -> Tensor")
'''
CHECKS = {
    "NumPy": '''
compare(images / 255, labels)
descend(images / 255, labels)
assert list(classes) == true_classes
''',
    "pandas": TABLE + '''
assert list(table.columns) == true_classes
careless = pd.read_csv("out/metadata.csv")
assert careless.label_a.isna().any()  # the trap that the page warns of
''',
    "polars": TABLE + '''
assert list(table.columns[1:]) == true_classes
''',
    "PyTorch": TORCH + '''
for each in (dataset, Mixed()):
    loader = torch.utils.data.DataLoader(each, batch_size=64, shuffle=True)
    parts = list(loader)
    compare(torch.cat([x for x, _ in parts]).permute(0, 2, 3, 1), torch.cat([y for _, y in parts]))
    train_a_step(loader)
''',
    "Hugging Face datasets": TORCH + '''
import torch
compare(np.stack(dataset["image"]) / 255, dataset["labels"])
loader = torch.utils.data.DataLoader(dataset.with_format("torch"), batch_size=64)
train_a_step((part["image"] / 255, part["labels"]) for part in loader)
with open("out/metadata.csv", encoding="utf-8", newline="") as file:
    true_made = {pixels_of[row["file_name"]].tobytes(): row for row in csv.DictReader(file)}
assert len(folder) == 240
for row in folder:
    true = true_made[np.asarray(row["image"]).tobytes()]
    assert (row["source_a"], row["source_b"], row["lam"]) == (
        true["source_a"], true["source_b"], float(true["lam"]))
assert None in folder["label_a"]  # the trap that the page warns of: a class named NA
''',
    "Keras": '''
import keras
parts = [next(batches) for _ in range(len(batches))]
compare(np.concatenate([x for x, _ in parts]), np.concatenate([y for _, y in parts]))
parts = list(pipeline)
compare(np.concatenate([x for x, _ in parts]), np.concatenate([y for _, y in parts]))
for source in (batches, pipeline):
    model = keras.Sequential([keras.Input((32, 32, 3)), keras.layers.Flatten(),
                              keras.layers.Dense(3, activation="softmax")])
    model.compile(optimizer=keras.optimizers.SGD(1e-3), loss="categorical_crossentropy")
    before = [w.copy() for w in model.get_weights()]
    history = model.fit(source, steps_per_epoch=1, epochs=1, verbose=0)
    assert np.isfinite(history.history["loss"][0])
    assert not np.array_equal(before[0], model.get_weights()[0])
''',
    "fastai": '''
parts = list(loaders.train.new(shuffle=False, drop_last=False, after_batch=[]))
images = torch.cat([x for x, _ in parts]).cpu().permute(0, 2, 3, 1)
compare(np.asarray(images) / (1 if images.max() <= 1 else 255), torch.cat([y for _, y in parts]).cpu())
assert len(loaders.valid.dataset) == 0
model = nn.Sequential(nn.Flatten(), nn.Linear(32 * 32 * 3, 3))
before = model[1].weight.detach().clone()
learner = Learner(loaders, model, loss_func=nn.CrossEntropyLoss(), opt_func=SGD, lr=1e-3)
with learner.no_bar(), learner.no_logging():
    learner.fit(1)
assert not torch.equal(before, model[1].weight.detach().cpu())
''',
}
NEEDS = {
    "pandas": ("pandas",), "polars": ("polars",), "PyTorch": ("torch",),
    "Hugging Face datasets": ("datasets", "torch"), "Keras": ("tensorflow", "keras", "pandas"),
    "fastai": ("fastai", "pandas"),
}
SLOW = ("PyTorch", "Hugging Face datasets", "Keras", "fastai")


def sections():
    """Title -> its snippets."""
    text = PAGE.read_text(encoding="utf-8")
    titled = re.split(r"^## (.*)$", text, flags=re.M)[1:]
    return {
        title: re.findall(r"```python\n(.*?)```", body, re.S)
        for title, body in zip(titled[::2], titled[1::2], strict=True)
    }


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with out/, by the page's own command: 60 images, four copies, several shards."""
    root = tmp_path_factory.mktemp("loading")
    write_dataset(root / "photos", CLASSES, per_class=20, size=(40, 36))
    command = re.search(r"```sh\nmixup (.*)\n```", PAGE.read_text(encoding="utf-8"))[1].split()
    command = [sys.executable, "-m", "mixup_cli", *command, "--alpha", "1"]
    subprocess.run(command, cwd=root, check=True, capture_output=True)
    assert len(os.listdir(root / "out/images")) > 1
    return root


def run(folder, title, check=None):
    snippets = "\n".join(sections()[title])
    before = MEND if title == "fastai" else ""
    code = f"{TRUTH}{before}\n{snippets}\n{CHECKS[title] if check is None else check}"
    quiet = {"HF_HOME": str(folder / "hf"), "HF_HUB_OFFLINE": "1", "TF_CPP_MIN_LOG_LEVEL": "3",
             "CUDA_VISIBLE_DEVICES": "", "OMP_NUM_THREADS": "1"}
    return subprocess.run([sys.executable, "-c", code], cwd=folder, capture_output=True, text=True,
                          env={**os.environ, **quiet}, timeout=600)


@pytest.mark.parametrize("title", [
    pytest.param(title, marks=pytest.mark.slow if title in SLOW else ()) for title in CHECKS
])
def test_the_snippets_load_images_and_labels_aligned(folder, title):
    for module in NEEDS.get(title, ()):
        if importlib.util.find_spec(module) is None:
            pytest.skip(f"{module} is not installed: pip install '.[loaders]'")
    result = run(folder, title)
    assert result.returncode == 0, result.stderr[-4000:]


def test_every_snippet_is_tested_and_short():
    found = sections()
    assert list(found) == list(CHECKS)
    for title, snippets in found.items():
        assert snippets, title
        for snippet in snippets:
            assert len(snippet.splitlines()) <= 4, snippet


def test_labels_out_of_order_are_found(folder):
    """The comparison can tell."""
    result = run(folder, "NumPy", "compare(images / 255, labels[::-1])")
    assert result.returncode == 1 and "AssertionError" in result.stderr
