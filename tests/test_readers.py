"""Each reader on a tree made as its framework's documentation shows, and a whole run from it."""

import csv
import json
import shutil
import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import pytest
from PIL import Image

from helpers import noise, read_csv, run_measured, tree
from mixup_cli.run import Options, augment
from mixup_cli.dataset import ReadOptions, read_dataset
from mixup_cli.errors import InputError, SplitError
from mixup_cli.plan import PlanOptions


def pictures(root, *names):
    for seed, name in enumerate(names):
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(noise(5, 6, 3, seed=seed)).save(path)


def write(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def hard(**classes):
    """source -> {class: 1} from class=[sources]."""
    return {source: {name: 1} for name, sources in classes.items() for source in sources}


def torchvision(root):
    """ImageFolder: root/dog/xxx.png, root/dog/[...]/xxz.png, root/cat/123.JPEG."""
    pictures(root, "dog/xxx.png", "dog/deep/xxz.png", "cat/123.JPEG", "cat/asd932_.png")
    return {}, hard(dog=["dog/xxx.png", "dog/deep/xxz.png"], cat=["cat/123.JPEG", "cat/asd932_.png"])


def keras_directory(root):
    """image_dataset_from_directory with train/ and validation/ as in "Image classification"."""
    pictures(root, "train/cats/1.jpg", "train/dogs/2.jpg", "validation/cats/3.jpg")
    return {"split": "train"}, hard(cats=["cats/1.jpg"], dogs=["dogs/2.jpg"])


def keras_dataframe(root):
    """flow_from_dataframe: the columns filename and class."""
    pictures(root, "a.jpg", "b.jpg", "c.jpg")
    table = write(root / "frame.csv", "filename,class\na.jpg,cat\nb.jpg,dog\nc.jpg,cat\n")
    return {"labels": table}, hard(cat=["a.jpg", "c.jpg"], dog=["b.jpg"])


def kaggle(root):
    """Dog breed identification: labels.csv beside train/, id without extension."""
    pictures(root, "train/000bec.jpg", "train/001513.jpg", "test/9.jpg")
    table = write(root / "labels.csv", "id,breed\n000bec,boston_bull\n001513,dingo\n")
    return {"labels": table, "split": "train"}, hard(boston_bull=["000bec.jpg"], dingo=["001513.jpg"])


def fastai_sample(root):
    """untar_data(URLs.MNIST_SAMPLE): labels.csv with paths from the root, train/ and valid/."""
    pictures(root, "train/3/7463.png", "train/7/2.png", "valid/3/1.png")
    table = write(
        root / "labels.csv", "name,label\ntrain/3/7463.png,0\ntrain/7/2.png,1\nvalid/3/1.png,0\n"
    )
    return {"labels": table, "split": "train"}, {"3/7463.png": {"0": 1}, "7/2.png": {"1": 1}}


def fastai_multi(root):
    """from_csv(folder="train", suff=".jpg", label_delim=" "), the Planet competition."""
    pictures(root, "train_0.jpg", "train_1.jpg")
    table = write(root / "planet.csv", "image_name,tags\ntrain_0,haze primary\ntrain_1,clear primary agriculture\n")
    return {"labels": table, "label_delimiter": " "}, {
        "train_0.jpg": {"haze": Fraction(1, 2), "primary": Fraction(1, 2)},
        "train_1.jpg": dict.fromkeys(["clear", "primary", "agriculture"], Fraction(1, 3)),
    }


def autogluon(root):
    """MultiModalPredictor: the columns image, an absolute path, and label."""
    pictures(root, "x/1.png", "x/2.png")
    table = write(root / "train.csv", f"image,label\n{root}/x/1.png,0\n{root}/x/2.png,1\n")
    return {"labels": table}, {"x/1.png": {"0": 1}, "x/2.png": {"1": 1}}


def galaxy_zoo(root):
    """The Galaxy Challenge: GalaxyID and a column of probabilities for each class."""
    pictures(root, "100008.jpg", "100023.jpg")
    table = write(root / "solutions.csv", "GalaxyID,Class1.1,Class1.2,Class1.3\n"
                  "100008,0.383147,0.616853,0.0\n100023,0.25,0.5,0.25\n")
    return {"labels": table}, {
        "100008.jpg": {"Class1.1": Fraction("0.383147"), "Class1.2": Fraction("0.616853")},
        "100023.jpg": {"Class1.1": Fraction("0.25"), "Class1.2": Fraction("0.5"), "Class1.3": Fraction("0.25")},
    }


def counts(root):
    """CIFAR-10H: how many people chose each class; one image is one-hot."""
    pictures(root, "img_0.png", "img_1.png")
    table = write(root / "counts.csv", "file;airplane;bird\nimg_0.png;51;0\nimg_1.png;30;20\n")
    return {"labels": table}, {
        "img_0.png": {"airplane": 1},
        "img_1.png": {"airplane": Fraction("0.6"), "bird": Fraction("0.4")},
    }


def weights_without_header(root):
    pictures(root, "0.png", "1.png")
    table = write(root / "w.csv", "0.png,1,0\n1.png,0.5,0.5\n")
    names = write(root / "names.txt", "zebra\nant\n")
    return {"labels": table, "classes": names}, {
        "0.png": {"zebra": 1}, "1.png": {"zebra": Fraction(1, 2), "ant": Fraction(1, 2)}
    }


def tsv_without_header(root):
    pictures(root, "a/0.png", "a/1.png", "b/0.png")
    table = write(root / "list.tsv", "a/0.png\tx\na/1.png\ty\nb/0.png\tx\n")
    return {"labels": table}, hard(x=["a/0.png", "b/0.png"], y=["a/1.png"])


def columns_by_name_and_number(root):
    pictures(root, "0.png", "1.png")
    table = write(root / "meta.csv", "age,sex,lesion,photo\n30,f,mole,0\n40,m,scar,1\n")
    return {"labels": table, "file_column": "photo", "label_column": "3"}, hard(
        mole=["0.png"], scar=["1.png"]
    )


def hugging_face_csv(root):
    """imagefolder: folder/train/metadata.csv with file_name and additional features."""
    pictures(root, "train/0001.png", "train/0002.png", "test/0003.png")
    write(root / "train/metadata.csv", "file_name,label\n0001.png,bird\n0002.png,cat\n")
    return {"split": "train"}, hard(bird=["0001.png"], cat=["0002.png"])


def hugging_face_jsonl(root):
    pictures(root, "0001.png", "0002.png", "0003.png")
    write(root / "metadata.jsonl", '{"file_name": "0001.png", "label": 7, "text": "a"}\n'
          '{"text": "b", "file_name": "0002.png", "label": ["cat", "dog"]}\n'
          '{"file_name": "0003.png", "label": "cat"}\n')
    return {}, {
        "0001.png": {"7": 1}, "0002.png": {"cat": Fraction(1, 2), "dog": Fraction(1, 2)},
        "0003.png": {"cat": 1},
    }


def hugging_face_beside_splits(root):
    pictures(root, "train/1.png", "train/2.png", "validation/3.png")
    write(root / "metadata.csv", "file_name,label\ntrain/1.png,a\ntrain/2.png,b\nvalidation/3.png,a\n")
    return {"split": "train"}, hard(a=["1.png"], b=["2.png"])


def timm_class_map(root):
    """ImageFolder with a class_map file, which fixes the order: here the natural one."""
    pictures(root, "2/a.png", "10/a.png")
    return {"classes": write(root.parent / "class_map.txt", "2\n10\n11\n")}, {
        "2/a.png": {"2": 1}, "10/a.png": {"10": 1}
    }


TREES = [
    torchvision, keras_directory, keras_dataframe, kaggle, fastai_sample, fastai_multi, autogluon,
    galaxy_zoo, counts, weights_without_header, tsv_without_header, columns_by_name_and_number,
    hugging_face_csv, hugging_face_jsonl, hugging_face_beside_splits, timm_class_map,
]


def labels_of(dataset):
    """source -> {class: weight}, from the sparse arrays."""
    found = {}
    for i, source in enumerate(dataset.sources):
        part = slice(dataset.label_start[i], dataset.label_start[i + 1])
        found[source] = {
            dataset.classes[k]: Fraction(int(w), 1_000_000)
            for k, w in zip(dataset.label[part], dataset.weight[part], strict=True)
        }
    return found


def assert_labels(actual, expected):
    """Equal to a millionth, to which thirds are rounded, and each exactly 1 in sum."""
    assert actual.keys() == expected.keys()
    for source, weights in expected.items():
        assert actual[source].keys() == weights.keys(), source
        assert sum(actual[source].values()) == 1
        for name, weight in weights.items():
            assert abs(actual[source][name] - weight) < Fraction(1, 1_000_000), (source, name)


def flags(options):
    return [text for name, value in options.items() for text in (f"--{name.replace('_', '-')}", str(value))]


@pytest.mark.parametrize("build", TREES, ids=lambda build: build.__name__)
def test_a_run_from_each_convention(tmp_path, build):
    root = tmp_path / "in"
    root.mkdir()
    options, expected = build(root)
    given = ReadOptions(**{name: str(value) for name, value in options.items()})
    dataset = read_dataset(root, given)
    assert dataset.sources == sorted(expected)
    assert_labels(labels_of(dataset), expected)

    command = ["augment", root, tmp_path / "out", "--alpha", "1", "--copies", "3", *flags(options)]
    subprocess.run([sys.executable, "-W", "error", "-m", "mixup_cli", *command], check=True)
    labels = read_csv(tmp_path / "out/labels.csv")
    for label, row in zip(labels, read_csv(tmp_path / "out/metadata.csv"), strict=True):
        assert label.pop("file_name") == row["file_name"]
        lam = Fraction(row["lam"])
        weights = {name: Fraction(text) for name, text in label.items()}
        assert sum(weights.values()) == 1
        for name, weight in weights.items():
            a, b = (expected[row[source]].get(name, 0) for source in ("source_a", "source_b"))
            assert abs(weight - (lam * a + (1 - lam) * b)) < Fraction(3, 1_000_000), row


def test_class_order_and_classes_without_an_image(tmp_path):
    options, _ = timm_class_map(tmp_path / "in")
    assert read_dataset(tmp_path / "in").classes == ("10", "2")
    assert read_dataset(tmp_path / "in", ReadOptions(classes=options["classes"])).classes == ("2", "10", "11")
    write(tmp_path / "short.txt", "2\n")
    with pytest.raises(InputError, match="short.txt: class '10' of the input is not listed"):
        read_dataset(tmp_path / "in", ReadOptions(classes=tmp_path / "short.txt"))


def test_a_class_list_in_standard_input(tmp_path):
    pictures(tmp_path, "in/cat/1.png", "in/dog/2.png")
    subprocess.run(
        [sys.executable, "-m", "mixup_cli", "augment", "in", "out", "--classes", "-"],
        cwd=tmp_path, input=b"dog\nemu\ncat\n", check=True,
    )
    assert (tmp_path / "out/classes.txt").read_text() == "dog\nemu\ncat\n"


def test_include_and_exclude_classes(tmp_path):
    pictures(tmp_path, "a/1.png", "b/1.png", "c/1.png", "c/2.png")
    assert read_dataset(tmp_path, ReadOptions(include=("a", "c"))).classes == ("a", "c")
    dataset = read_dataset(tmp_path, ReadOptions(exclude=("a", "b")))
    assert (dataset.classes, dataset.sources) == (("c",), ["c/1.png", "c/2.png"])
    with pytest.raises(InputError, match="no class 'C'; the classes are a, b, c"):
        read_dataset(tmp_path, ReadOptions(include=("C",)))


def test_excluding_a_class_drops_every_image_that_has_it(tmp_path):
    options, _ = fastai_multi(tmp_path)
    pictures(tmp_path, "train_2.jpg", "train_3.jpg")
    with open(options["labels"], "a") as file:
        file.write("train_2,clear\ntrain_3,haze\n")
    given = ReadOptions(labels=str(options["labels"]), label_delimiter=" ", exclude=("primary",))
    dataset = read_dataset(tmp_path, given)
    assert labels_of(dataset) == {"train_2.jpg": {"clear": 1}, "train_3.jpg": {"haze": 1}}


@pytest.mark.parametrize("label_format", ["wide", "sparse"])
def test_an_output_is_an_input_with_its_soft_labels(tmp_path, label_format):
    pictures(tmp_path / "in", "a/1.png", "b/1.png", "b/2.png", "c/1.png")
    source, out = tmp_path / "in", tmp_path / "0"
    for round in range(2):  # the second reads labels of up to four classes
        augment(source, out, Options(PlanOptions(alpha=1, copies=2), label_format=label_format), jobs=0)
        dataset = read_dataset(out)
        assert dataset.reader == "mixup" and dataset.classes == ("a", "b", "c")
        expected = labels_of(read_dataset(source))
        rows = {row["file_name"]: row for row in read_csv(out / "metadata.csv")}
        for name, weights in labels_of(dataset).items():
            row, lam = rows[name], Fraction(rows[name]["lam"])
            for k in dataset.classes:
                a, b = (expected[row[s]].get(k, 0) for s in ("source_a", "source_b"))
                assert abs(weights.get(k, 0) - (lam * a + (1 - lam) * b)) < Fraction(2, 1_000_000)
        source, out = out, tmp_path / str(round + 1)


def test_labels_survive_another_round_unchanged(tmp_path):
    """alpha = 0 mixes nothing: wide, sparse and back, every label is what it was."""
    pictures(tmp_path / "in", "a/1.png", "b/1.png", "c:0.5/1.png", "c:0.5/2.png")
    augment(tmp_path / "in", tmp_path / "0", Options(PlanOptions(alpha=1, copies=3)), jobs=0)
    augment(tmp_path / "0", tmp_path / "1", Options(PlanOptions(alpha=0), label_format="sparse"), jobs=0)
    augment(tmp_path / "1", tmp_path / "2", Options(PlanOptions(alpha=0)), jobs=0)

    def bags(folder):
        return sorted(str(sorted(labels.items())) for labels in labels_of(read_dataset(folder)).values())

    assert bags(tmp_path / "2") == bags(tmp_path / "1")
    assert set(bags(tmp_path / "1")) <= set(bags(tmp_path / "0"))


@pytest.mark.skipif(not shutil.which("find"), reason="no find")
@pytest.mark.parametrize("zero", [True, False])
def test_files_from_find(tmp_path, zero):
    names = ["cat/-dash.png", "cat/ space .jpg", "dog/größe.png"] + ["dog/new\nline.png"] * zero
    pictures(tmp_path / "in", *names)
    find = subprocess.run(
        ["find", "in", "-type", "f"] + ["-print0"] * zero, cwd=tmp_path, stdout=subprocess.PIPE, check=True
    )
    command = [sys.executable, "-W", "error", "-m", "mixup_cli", "augment", "--files-from", "-"]
    subprocess.run(
        command + ["--from0"] * zero + ["out"], cwd=tmp_path, input=find.stdout, check=True
    )
    rows = read_csv(tmp_path / "out/metadata.csv")
    assert {row["source_a"] for row in rows} == {f"in/{name}" for name in names}
    assert {row["label_a"] for row in rows} == {"cat", "dog"}


def test_files_from_absolute_paths_and_a_root(tmp_path):
    pictures(tmp_path, "in/cat/1.png", "in/dog/1.png")
    listed = write(tmp_path / "list", f"{tmp_path}/in/cat/1.png\n\n{tmp_path}/in/dog/1.png\n")
    assert read_dataset(None, ReadOptions(files_from=str(listed))).sources == ["cat/1.png", "dog/1.png"]
    relative = write(tmp_path / "relative", "cat/1.png\n./dog/1.png\n")
    dataset = read_dataset(tmp_path / "in", ReadOptions(files_from=str(relative)))
    assert labels_of(dataset) == hard(cat=["cat/1.png"], dog=["dog/1.png"])


@pytest.mark.parametrize(
    "listed, message",
    [
        ("", "no file listed"),
        ("cat/1.png\ncat/1.png\n", "list:2: 'cat/1.png' is listed in line 1 too"),
        ("cat/1.png\ncat/9.png\n", "list:2: no such image 'cat/9.png'"),
        ("cat/1.png\n../secret.png\n", "list:2: '../secret.png' lies outside"),
        ("train/cat/1.png\nval/cat/1.png\n", "list: holds files of the splits train, val"),
    ],
)
def test_a_faulty_list_is_refused_by_line(tmp_path, listed, message):
    pictures(tmp_path / "in", "cat/1.png", "train/cat/1.png", "val/cat/1.png")
    listed = write(tmp_path / "list", listed)
    with pytest.raises(InputError, match=message):
        read_dataset(tmp_path / "in", ReadOptions(files_from=str(listed)))


@pytest.mark.parametrize("folders", ["train val", "train valid test", "Training Validation", "train test images"])
def test_nothing_is_mixed_across_splits(tmp_path, folders):
    root = tmp_path / "my data"
    for name in folders.split():
        pictures(root, f"{name}/cat/1.png", f"{name}/dog/1.png")
    command = [sys.executable, "-m", "mixup_cli", "augment", root, tmp_path / "out", "--seed", "3"]
    refused = subprocess.run(command, capture_output=True, text=True)
    assert refused.returncode == 2 and not (tmp_path / "out").exists()
    train = folders.split()[0]
    typed = refused.stderr.splitlines()[-1].removeprefix("Type: ")
    assert typed == f"mixup augment '{root}' {tmp_path}/out --seed 3 --split {train}"
    subprocess.run(typed.replace("mixup", f"{sys.executable} -m mixup_cli", 1), shell=True, check=True)
    rows = read_csv(tmp_path / "out/metadata.csv")
    assert {row["source_a"] for row in rows} == {"cat/1.png", "dog/1.png"}
    assert json.loads((tmp_path / "out/mixup.json").read_text())["options"]["split"] == train


def test_a_class_that_is_called_train_is_a_class(tmp_path):
    pictures(tmp_path, "train/1.png", "plane/1.png")
    assert read_dataset(tmp_path).classes == ("plane", "train")
    pictures(tmp_path, "test/1.png")
    with pytest.raises(SplitError, match="--split . if these are classes"):
        read_dataset(tmp_path)
    assert read_dataset(tmp_path, ReadOptions(split=".")).classes == ("plane", "test", "train")


def test_a_split_that_is_not_there(tmp_path):
    pictures(tmp_path, "train/cat/1.png")
    for split in ("val", "..", "train/cat", ""):
        with pytest.raises(InputError, match="no split folder .*; its folders are train"):
            read_dataset(tmp_path, ReadOptions(split=split))


def test_an_option_that_the_reader_does_not_know_is_refused(tmp_path):
    pictures(tmp_path, "a/1.png", "b/1.png")
    with pytest.raises(InputError, match="--label-column means nothing to reader folder"):
        read_dataset(tmp_path, ReadOptions(label_column="x"))


def test_an_earlier_output_among_the_classes_is_passed_over(tmp_path):
    pictures(tmp_path, "a/1.png", "b/1.png")
    augment(tmp_path, tmp_path.parent / "old", jobs=0)
    shutil.move(tmp_path.parent / "old", tmp_path / "old")
    dataset = read_dataset(tmp_path)
    assert dataset.sources == ["a/1.png", "b/1.png"]
    assert dataset.skipped == {"earlier output": ["old"]}


# Faulty tables: (the bytes of labels.csv, what the message must hold).
TABLES = {
    "empty": (b"", "labels.csv: empty"),
    "nothing but a header": (b"file,label\n", "0 images found"),
    "ragged": (b"file,label\n1.png,a\n2.png\n", "labels.csv:3: 1 fields, but line 1 has 2"),
    "duplicate header": (b"file,label,label\n1.png,a,b\n", "labels.csv:1: two columns are named 'label'"),
    "duplicate row": (b"file,label\n1.png,a\n2.png,b\n1.png,a\n", "labels.csv:4: '1.png' is labelled already, in line 2"),
    "the same file twice, by stem": (b"file,label\n1.png,a\n1,b\n", "labels.csv:3: '1.png' is labelled already"),
    "empty label": (b"file,label\n1.png,\n2.png,b\n", "labels.csv:2: an empty class name"),
    "empty file": (b"file,label\n,a\n2.png,b\n", "labels.csv:2: file name ''"),
    "missing image": (b"file,label\n1.png,a\n9.png,b\n", "labels.csv:3: no such image '9.png'"),
    "missing image, no header": (b"9.png,a\n1.png,b\n", "labels.csv:1: no such image '9.png'"),
    "absolute": (b"file,label\n/etc/passwd,a\n", "labels.csv:2: '/etc/passwd' lies outside"),
    "parent": (b"file,label\n../secret.png,a\n", "labels.csv:2: '../secret.png' lies outside"),
    "parent inside": (b"file,label\nx/../../secret.png,a\n", "labels.csv:2: .* lies outside"),
    "NUL": (b"file,label\n1.png,a\n2.png,b\0\n", "labels.csv:3: a NUL byte"),
    "UTF-16": ("file,label\n1.png,a\n".encode("utf-16"), "labels.csv:1: "),
    "Latin-1": ("file,label\n1.png,a\n2.png,größe\n".encode("latin-1"), "labels.csv:3: not UTF-8"),
    "open quote": (b'file,label\n1.png,"a\n2.png,b\n', "labels.csv:2: unexpected end of data"),
    "quote in a field": (b'file,label\n1.png,"a"b\n2.png,b\n', "labels.csv:2: "),
    "line break in a class": (b'file,label\n1.png,"a\nb"\n2.png,b\n', "labels.csv:2: class name .* line break"),
    "fault after a quoted line break": (b'file,label,note\n1.png,a,"x\ny\nz"\n9.png,b,\n', "labels.csv:5: no such image"),
    "formula": (b"file,label\n1.png,=1+1\n2.png,b\n", "labels.csv:2: class name '=1\\+1' would run as a formula"),
    "formula with @": (b"file,label\n1.png,@SUM(1)\n2.png,b\n", "labels.csv:2: class name '@SUM"),
    "formula as a weight's class": (b"file,=x,b\n1.png,1,0\n2.png,0,1\n", "labels.csv:1: class name '=x'"),
    "escape code is shown, not sent": (b"file,label\n1.png,a\n\x1b[2J,b\n", "no such image '\\\\x1b\\[2J'"),
    "NaN weight": (b"file,a,b\n1.png,1,0\n2.png,nan,1\n", "labels.csv:3: weight 'nan' of class 'a'"),
    "infinite weight": (b"file,a,b\n1.png,1,0\n2.png,0,inf\n", "labels.csv:3: weight 'inf' of class 'b'"),
    "negative weight": (b"file,a,b\n1.png,1,0\n2.png,1.5,-0.5\n", "labels.csv:3: weight '-0.5' of class 'b'"),
    "empty weight": (b"file,a,b\n1.png,1,0\n2.png,1,\n", "labels.csv:3: weight '' of class 'b'"),
    "no weight above 0": (b"file,a,b\n1.png,1,0\n2.png,0,0.0\n", "labels.csv:3: all weights are 0"),
    "which column": (b"file,size,colour\n1.png,9,red\n2.png,8,blue\n", "which column holds the label\\? .* file, size, colour"),
    "weights without names": (b"1.png,1,0\n2.png,0,1\n", "2 columns of weights without a header"),
    "bar in a soft class": (b"file,a|b,c\n1.png,1,0\n2.png,0.5,0.5\n", "class name 'a\\|b' holds '\\|'"),
}


@pytest.mark.parametrize("name", TABLES)
def test_a_faulty_table_is_refused_by_file_and_line(tmp_path, name):
    data, message = TABLES[name]
    pictures(tmp_path, "in/1.png", "in/2.png", "secret.png")
    (tmp_path / "labels.csv").write_bytes(data)
    with pytest.raises(InputError, match=message) as caught:
        read_dataset(tmp_path / "in", ReadOptions(labels=str(tmp_path / "labels.csv")))
    assert "\n" not in str(caught.value) and str(tmp_path) in str(caught.value)


@pytest.mark.parametrize("data", [
    b"\xef\xbb\xbffile,label\r\n1.png,a\r\n2.png,b\r\n",
    b'file,label\n"1.png","a"\n\n2.png,b',
    b'file,label,note\n1.png,a,"two\nlines"\n2.png,b,"a ""quote"""\n',
    b"label\tfile\na\t1\nb\t2\n",
], ids=["BOM and CRLF", "blank line, no last line feed", "quoted line breaks", "TSV, columns swapped"])
def test_tables_as_spreadsheets_write_them(tmp_path, data):
    pictures(tmp_path, "in/1.png", "in/2.png")
    (tmp_path / "labels.csv").write_bytes(data)
    dataset = read_dataset(tmp_path / "in", ReadOptions(labels=str(tmp_path / "labels.csv")))
    assert labels_of(dataset) == hard(a=["1.png"], b=["2.png"])


def test_extreme_weights_are_scaled(tmp_path):
    pictures(tmp_path, "in/1.png", "in/2.png")
    table = write(tmp_path / "w.csv", "file,a,b,c\n1.png,1e308,1e308,0\n2.png,5e-324,0,1e-300\n")
    dataset = read_dataset(tmp_path / "in", ReadOptions(labels=str(table)))
    assert labels_of(dataset) == {
        "1.png": {"a": Fraction(1, 2), "b": Fraction(1, 2)}, "2.png": {"c": 1},
    }


@pytest.mark.parametrize("quote", [b'"', b""])
def test_a_field_of_100_megabytes_is_refused_in_little_memory(tmp_path, quote):
    """Quoted it holds line breaks and is refused by the csv module, as one line by ourselves."""
    pytest.importorskip("resource")
    pictures(tmp_path, "in/1.png", "in/2.png")
    filler = b"x" * 99 + (b"\n" if quote else b"x")
    with open(tmp_path / "labels.csv", "wb") as file:
        file.write(b"file,label\n1.png,a\n2.png," + quote)
        for _ in range(1000):
            file.write(filler * 1000)
    result, peak = run_measured(
        sys.executable, "-m", "mixup_cli", "augment", tmp_path / "in", tmp_path / "out",
        "--labels", tmp_path / "labels.csv",
    )
    assert result.returncode == 2 and "labels.csv:3: " in result.stderr
    assert peak < 100_000_000


def test_unlabelled_images_and_ambiguous_stems(tmp_path):
    pictures(tmp_path, "in/1.png", "in/2.png", "in/3.png", "in/3.jpg", "in/4.png")
    table = write(tmp_path / "labels.csv", "id,label\n1,a\n2,b\n3.jpg,a\n")
    dataset = read_dataset(tmp_path / "in", ReadOptions(labels=str(table)))
    assert dataset.sources == ["1.png", "2.png", "3.jpg"]
    assert dataset.skipped == {"unlabelled": ["3.png", "4.png"]}
    write(table, "id,label\n1,a\n3,b\n")
    with pytest.raises(InputError, match=r"labels.csv:3: '3' may be 3.jpg or 3.png; write the extension"):
        read_dataset(tmp_path / "in", ReadOptions(labels=str(table)))


@pytest.mark.parametrize("line, message", [
    ("not json", "metadata.jsonl:2: not JSON"),
    ("[1, 2]", "metadata.jsonl:2: not a JSON object"),
    ("[" * 100_000, "metadata.jsonl:2: not JSON"),
    ('{"label": "a"}', "metadata.jsonl:2: file name None"),
    ('{"file_name": 5, "label": "a"}', "metadata.jsonl:2: file name 5"),
    ('{"file_name": "2.png"}', "metadata.jsonl:2: label None"),
    ('{"file_name": "2.png", "label": {"a": 1}}', "metadata.jsonl:2: label {'a': 1}"),
    ('{"file_name": "2.png", "label": NaN}', "metadata.jsonl:2: label nan"),
    ('{"file_name": "2.png", "label": []}', "metadata.jsonl:2: label "),
    ('{"file_name": "2.png", "label": ["a", "a"]}', "metadata.jsonl:2: label .* twice"),
    ('{"file_name": "2.png", "label": "\\ud800"}', "metadata.jsonl:2: class name .* not UTF-8"),
    ('{"file_name": "2\\u0000.png", "label": "a"}', "metadata.jsonl:2: .* lies outside"),
])
def test_faulty_json_lines_are_refused_by_line(tmp_path, line, message):
    pictures(tmp_path, "1.png", "2.png")
    write(tmp_path / "metadata.jsonl", '{"file_name": "1.png", "label": "a"}\n' + line + "\n")
    with pytest.raises(InputError, match=message):
        read_dataset(tmp_path)


def test_a_damaged_output_is_refused(tmp_path):
    pictures(tmp_path / "in", "a/1.png", "b/1.png")
    augment(tmp_path / "in", tmp_path / "out", jobs=0)
    labels = tmp_path / "out/labels.csv"
    before = labels.read_bytes()
    for damaged, message in [
        (before.replace(b"file_name,a", b"file_name,c"), "labels.csv:1: the columns are not the classes"),
        (before.replace(b"00000001.png", b"00000009.png"), "labels.csv:3: no such image"),
    ]:
        labels.write_bytes(damaged)
        with pytest.raises(InputError, match=message):
            read_dataset(tmp_path / "out")


def test_a_table_in_standard_input(tmp_path):
    pictures(tmp_path / "in", "1.png", "2.png")
    command = [sys.executable, "-m", "mixup_cli", "augment", "in", "out", "--labels", "-"]
    subprocess.run(command, cwd=tmp_path, input=b"file,label\n1,a\n2,b\n", check=True)
    assert (tmp_path / "out/classes.txt").read_text() == "a\nb\n"


def test_a_class_that_reads_as_a_soft_label_is_refused_at_once(tmp_path):
    """An output of it could not be read again."""
    for name in ("cat", "a|b:0.3|c"):
        (tmp_path / name).mkdir()
        Image.fromarray(noise(4, 4, 3)).save(tmp_path / name / "0.png")
    with pytest.raises(InputError, match="holds '\\|', which stands between the classes of a soft label; rename it"):
        read_dataset(tmp_path)
