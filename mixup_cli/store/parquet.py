"""A shard as a Parquet file whose columns Hugging Face's datasets loads, the images as images.

The only place that knows pyarrow, imported when a shard is opened: who does not use it need not
have it.
"""

import bisect
import itertools
import json

from mixup_cli.errors import InputError
from mixup_cli.store.hashed import HashedFile

GROUP_BYTES = 16_000_000  # of images in a row group: what a reader holds at a time
WORDS = ("source_a", "source_b", "label_a", "label_b")


def columns(like, classes):
    """Name -> (Arrow type, Hugging Face's name of it) for rows whose records are like `like`."""
    import pyarrow as pa

    value = {kind: {"dtype": kind, "_type": "Value"} for kind in ("string", "float32", "float64", "int32")}
    image = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    found = {"file_name": (pa.string(), value["string"]), "image": (image, {"_type": "Image"})}
    for name in like:
        if name == "soft_label":
            number = len(classes)
            found[name] = pa.list_(pa.float32(), number), _sequence(value["float32"], number)
        elif name == "classes":
            found[name] = pa.list_(pa.int32()), _sequence(value["int32"])
        elif name == "weights":
            found[name] = pa.list_(pa.float32()), _sequence(value["float32"])
        elif name in WORDS:
            found[name] = pa.string(), value["string"]
        else:
            found[name] = pa.float64(), value["float64"]
    return found


def _sequence(feature, length=-1):
    return {"feature": feature, "length": length, "_type": "Sequence"}


class ParquetWriter:
    """Rows are written in groups of about GROUP_BYTES."""

    def __init__(self, path, folder, classes, like):
        import pyarrow as pa
        from pyarrow import parquet

        found = columns(like, classes)
        features = {name: kind for name, (_, kind) in found.items()}
        self.schema = pa.schema([(name, kind) for name, (kind, _) in found.items()], {
            "huggingface": json.dumps({"info": {"features": features}}),
            "classes": json.dumps(list(classes), ensure_ascii=False),
        })
        self.prefix, self.rows, self.bytes = f"images/{folder}/", [], 0
        self.out = HashedFile(path)
        self.writer = parquet.ParquetWriter(
            pa.PythonFile(self.out, "w"), self.schema, compression="none",
            use_dictionary=[name for name in WORDS if name in found], write_statistics=False,
        )

    def add(self, name, png, record):
        self.rows.append({"file_name": self.prefix + name, "image": {"bytes": png, "path": name}, **record})
        self.bytes += len(png)
        if self.bytes >= GROUP_BYTES:
            self._write_group()

    def _write_group(self):
        import pyarrow as pa

        if self.rows:
            self.writer.write_table(pa.Table.from_pylist(self.rows, self.schema))
        self.rows, self.bytes = [], 0

    def close(self, sync):
        self._write_group()
        self.writer.close()
        self.out.close(sync)

    def drop(self):
        self.out.drop()

    num_bytes = property(lambda self: self.out.num_bytes)
    digest = property(lambda self: self.out.digest)


class ParquetReader:
    """Rows by the names of their files, a row group in memory at a time."""

    def __init__(self, path, folder):
        import pyarrow as pa
        from pyarrow import parquet

        self.damaged = (pa.ArrowException, UnicodeDecodeError, KeyError)
        self.path, self.prefix, self.group, self.rows = path, f"images/{folder}/", None, []
        self.file = open(path, "rb")  # noqa: SIM115
        try:
            self.parquet = parquet.ParquetFile(self.file)
            names = self.parquet.read(["file_name"], use_threads=False)["file_name"].to_pylist()
            groups = [self.parquet.metadata.row_group(k).num_rows for k in range(self.parquet.num_row_groups)]
        except (OSError, *self.damaged) as e:
            self.close()
            raise self._damaged(e) from e
        self.start = list(itertools.accumulate(groups, initial=0))
        self.names = [str(name).removeprefix(self.prefix) for name in names]
        self.at = {name: row for row, name in enumerate(self.names)}

    def _damaged(self, e):
        return InputError(f"{self.path}: damaged, no Parquet that can be read ({str(e).splitlines()[0]})")

    def _row(self, name):
        row = self.at[name]
        group = bisect.bisect_right(self.start, row) - 1
        if group != self.group:
            try:
                self.rows = self.parquet.read_row_group(group, use_threads=False).to_pylist()
            except (OSError, *self.damaged) as e:
                raise self._damaged(e) from e
            self.group = group
        return self.rows[row - self.start[group]]

    def read(self, name):
        return self._row(name)["image"]["bytes"]

    def record(self, name):
        """As the writer got it: weights to 6 decimals, which float32 keeps."""
        row = {key: value for key, value in self._row(name).items() if key not in ("file_name", "image")}
        for key in ("soft_label", "weights"):
            if row.get(key) is not None:
                row[key] = [round(weight, 6) for weight in row[key]]
        return row

    def close(self):
        self.file.close()
