# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""
How fast are corpora read and built, and in how much memory? Ratios within one run, printed as JSON.

    python examples/benchmarks/corpora.py --rows 2000 --voxels 15724

Reading: batches of 64 rows, in order and shuffled, as NumPy arrays: our format, a raw memory map, the torch format of
`datasets`, plain Python rows. Building: our builder against `Dataset.from_generator` with NumPy rows. Memory: peak
of a process that builds a corpus and of one that builds four times as many recordings.
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from datasets import Dataset, Features, List, Value, disable_progress_bars, load_from_disk
from numpy.lib.format import open_memmap

from dataset_builders.corpora.base import BrainCorpusBuilder
from dataset_builders.publishing.saving import save_corpus
from dataset_builders.schema import Recording, Sample


FRAMES = 250


class NoiseCorpus(BrainCorpusBuilder):
    """One row a frame; recordings of noise in .npy files."""

    SOURCE_PATTERNS = ("*.npy",)
    LICENCE, CITATION, HOMEPAGE, REDISTRIBUTION = "CC0", "", "", "Free."

    @property
    def corpus_name(self) -> str:
        return "noise"

    def list_recordings(self) -> list[Recording]:
        files = sorted(Path(str(self.config.data_dir)).glob("*.npy"))
        return [self._recording(file) for file in files]

    def _recording(self, file: Path) -> Recording:
        num_frames, num_voxels = open_memmap(file, "r").shape
        return Recording(f"s/{file.stem}", "s", num_frames, num_voxels, partial(open_memmap, file, "r"))

    def list_samples(self, recordings: list[Recording]) -> list[Sample]:
        return [self._sample(r.recording_id, frame) for r in recordings for frame in range(r.num_frames)]

    def _sample(self, recording: str, frame: int) -> Sample:
        name, run = f"noise/{recording}/{frame}", recording.partition("/")[2]
        words = f"frame {frame} of {run}"
        return Sample(name, "noise", "s", run, run, run, name, "a", words, f"a {words}", recording, (frame,))


def write_noise(folder: Path, num_rows: int, num_voxels: int) -> Path:
    folder.mkdir()
    generator = np.random.default_rng(0)
    for number in range(num_rows // FRAMES):
        values = generator.standard_normal((FRAMES, num_voxels), dtype=np.float32)
        np.save(folder / f"run{number:03d}.npy", values)
    return folder


def best_rate(read: Callable[[Any], object], batches: Sequence[slice | list[int]], repeats: int = 3) -> float:
    """Rows a second, the best of several passes."""
    rows, times = 64 * len(batches), []
    for _ in range(repeats):
        started = time.perf_counter()
        for batch in batches:
            read(batch)
        times.append(time.perf_counter() - started)
    return rows / min(times)


def measure_reading(folder: Path, store: str) -> dict[str, dict[str, float]]:
    """Rows a second of every way to read, in order and shuffled."""
    from trainers import DataArguments, load_corpus_splits

    ours = load_corpus_splits(DataArguments(dataset=str(folder)))["train"].select_columns(["brain_values"])
    count = len(ours) // 64 * 64
    table = open_memmap(folder / "raw.npy", "w+", np.float16, (count, ours[0]["brain_values"].shape[1]))
    for i in range(count):
        table[i] = ours[i]["brain_values"][0]
    table.flush()
    raw = open_memmap(folder / "raw.npy", "r")
    readers: dict[str, Callable] = {
        # Both end with one array of the batch in memory, as a collator needs it.
        "brain format": lambda batch: np.stack([frames[0] for frames in ours[batch]["brain_values"]]),
        "numpy memmap": lambda batch: np.array(raw[batch]),
    }
    if store == "rows":
        rows = load_from_disk(str(folder))["train"].select_columns(["brain_values"])
        torch_rows = rows.with_format("torch")
        readers |= {"torch format": lambda batch: torch_rows[batch], "python rows": lambda batch: rows[batch]}
    found: dict[str, dict[str, float]] = {}
    shuffled = np.random.default_rng(0).permutation(count).reshape(-1, 64).tolist()
    for order in ("in order", "shuffled"):
        batches = [slice(i, i + 64) for i in range(0, count, 64)] if order == "in order" else shuffled
        for name, read in readers.items():
            slow = name == "python rows"
            found.setdefault(name, {})[order] = best_rate(read, batches[:4] if slow else batches, 1 if slow else 3)
    return found


def generated(folder: str) -> Iterator[dict]:
    for file in sorted(Path(folder).glob("*.npy")):
        for values in open_memmap(file, "r").astype(np.float16):
            yield {"brain_values": values}


def measure_building(data: Path, folder: Path) -> dict[str, float]:
    """Rows a second of building; 500 suffice for the generator, whose second form declares the type of the column."""
    import sklearn.model_selection  # noqa: F401 - importing is not building

    few = folder / "few"
    few.mkdir()
    for file in sorted(data.glob("*.npy"))[:2]:
        (few / file.name).symlink_to(file)
    found = {}
    for name, features in {"inferred": None, "declared": Features({"brain_values": List(Value("float16"))})}.items():
        started = time.perf_counter()
        Dataset.from_generator(partial(generated, str(few)), cache_dir=str(folder / name), features=features)
        found[f"from_generator, {name}"] = 2 * FRAMES / (time.perf_counter() - started)
    started = time.perf_counter()
    builder = NoiseCorpus(cache_dir=str(folder / "cache"), data_dir=data, num_folds=3, store="recordings")
    builder.download_and_prepare()
    seconds = time.perf_counter() - started
    rows = sum(split.num_rows for split in builder.as_dataset_dict().values())
    return found | {"our builder": rows / seconds}


def build_in_process(data: Path, folder: Path) -> float:
    """Peak memory in MB of a process that builds a corpus."""
    command = [sys.executable, __file__, "--build", str(data), str(folder)]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()[-1])


def build(data: str, folder: str) -> None:
    disable_progress_bars()
    builder = NoiseCorpus(cache_dir=folder, data_dir=data, num_folds=3, standardize="recording", store="recordings")
    builder.download_and_prepare()
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0].strip())
    parser.add_argument("--rows", type=int, default=2000, help="rows of the corpus")
    parser.add_argument("--voxels", type=int, default=15724, help="voxels of a row")
    parser.add_argument("--build", nargs=2, metavar=("DATA", "CACHE"), help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.build:
        build(*args.build)
        return
    disable_progress_bars()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        data = write_noise(folder / "data", args.rows, args.voxels)
        reading = {}
        for store in ("rows", "recordings"):
            builder = NoiseCorpus(cache_dir=str(folder / "read"), data_dir=data, num_folds=3, store=store)
            builder.download_and_prepare()
            save_corpus(builder, folder / store)
            reading[store] = measure_reading(folder / store, store)
        large = write_noise(folder / "large", 4 * args.rows, args.voxels)
        building = measure_building(large, folder)
        memory = {n: build_in_process(d, folder / f"m{n}") for n, d in ((args.rows, data), (4 * args.rows, large))}
    ratios = {
        f"{store}, {order}, to {other}": rates["brain format"][order] / rate[order]
        for store, rates in reading.items()
        for other, rate in rates.items()
        for order in rate
        if other != "brain format"
    }
    ratios |= {
        f"building, to {name}": building["our builder"] / rate
        for name, rate in building.items()
        if name != "our builder"
    }
    print(json.dumps({"reading": reading, "building": building, "peak_mb": memory, "ratios": ratios}, indent=2))


if __name__ == "__main__":
    main()
