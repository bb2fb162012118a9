# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""
How fast are corpora read and built, and in how much memory? Ratios within one run.

    python examples/benchmarks/corpora.py --output examples/benchmarks/results/corpora.md

Reading: batches of 64 rows, in order and shuffled, as NumPy arrays: brain values alone and all columns in our format,
a raw memory map, the torch format of `datasets`, plain Python rows; and what `datasets` takes to gather a batch before
it is formatted, which bounds all but the memory map. CPU seconds, the best of five passes. Building: our builder
against `Dataset.from_generator` with NumPy rows. Memory: peak of a process that builds a corpus and of one that builds
four times as many recordings.
"""

import argparse
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
from datasets.formatting import query_table
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
        # As many captions as an image of NSD has, none of which two rows share.
        captions = tuple(f"{run}x{frame}x{number} stands beside a {run}x{frame} in the field." for number in range(5))
        text = captions[0]
        return Sample(
            name, "noise", "s", run, run, run, name, "", text, text, recording, (frame,), references=captions
        )


def write_noise(folder: Path, num_rows: int, num_voxels: int) -> Path:
    folder.mkdir()
    generator = np.random.default_rng(0)
    for number in range(num_rows // FRAMES):
        values = generator.standard_normal((FRAMES, num_voxels), dtype=np.float32)
        np.save(folder / f"run{number:03d}.npy", values)
    return folder


def best_rate(read: Callable[[Any], object], batches: Sequence[slice | list[int]], repeats: int = 5) -> float:
    """Rows a CPU second, the best of several passes."""
    rows, times = 64 * len(batches), []
    for _ in range(repeats):
        started = time.process_time()
        for batch in batches:
            read(batch)
        times.append(time.process_time() - started)
    return rows / min(times)


def measure_reading(folder: Path, store: str) -> dict[str, dict[str, float]]:
    """Rows a second of every way to read, in order and shuffled."""
    from trainers import DataArguments, load_corpus_splits

    everything = load_corpus_splits(DataArguments(dataset=str(folder)))["train"]
    ours = everything.select_columns(["brain_values"])
    count = len(ours) // 64 * 64
    table = open_memmap(folder / "raw.npy", "w+", np.float16, (count, ours[0]["brain_values"].shape[1]))
    for i in range(count):
        table[i] = ours[i]["brain_values"][0]
    table.flush()
    raw = open_memmap(folder / "raw.npy", "r")
    readers: dict[str, Callable] = {
        # Both end with one array of the batch in memory, as a collator needs it.
        "brain values, stacked": lambda batch: np.stack([frames[0] for frames in ours[batch]["brain_values"]]),
        "numpy memmap": lambda batch: np.array(raw[batch]),
        "brain values": lambda batch: ours[batch],
        "all columns": lambda batch: everything[batch],
        "all columns, gathered alone": lambda batch: query_table(everything.data, batch),
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
            found.setdefault(name, {})[order] = best_rate(read, batches[:4] if slow else batches, 1 if slow else 5)
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
    print(memory("VmHWM"))


def memory(kind: str) -> float:
    """
    Memory of this process in MB: its peak (`VmHWM`, with pages of mapped files, which the system takes back when it
    needs them), or what is its own now (`RssAnon`). `getrusage` would tell of the process which started it, if larger.
    """
    (line,) = (line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith(kind))
    return int(line.split()[1]) / 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0].strip())
    parser.add_argument("--rows", type=int, default=2000, help="rows of the corpus")
    parser.add_argument("--voxels", type=int, default=15724, help="voxels of a row")
    parser.add_argument("--output", type=Path, help="Markdown file of results")
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
    lines = report(reading, building, memory, args)
    print("\n".join(lines))
    if args.output:
        args.output.write_text("\n".join(lines) + "\n", encoding="utf-8")


def report(
    reading: dict[str, dict[str, dict[str, float]]],
    building: dict[str, float],
    memory: dict[int, float],
    args: argparse.Namespace,
) -> list[str]:
    """The page of results."""
    lines = [f"Rows of {args.voxels:,} float16 values and five captions, in batches of 64; rows a CPU second.", ""]
    lines += ["| stored | what is read | in order | shuffled | of the memory map |", "|---|---|---|---|---|"]
    for store, rates in reading.items():
        for name, rate in rates.items():
            share = rate["shuffled"] / rates["numpy memmap"]["shuffled"]
            lines.append(f"| {store} | {name} | {rate['in order']:,.0f} | {rate['shuffled']:,.0f} | {share:.3f} |")
    lines += ["", "| building by | rows a second |", "|---|---|"]
    lines += [f"| {name} | {rate:,.0f} |" for name, rate in building.items()]
    peaks = ", ".join(f"{peak:.0f} MB for {rows:,} rows" for rows, peak in memory.items())
    return [*lines, "", f"Peak memory of a process that builds: {peaks}."]


if __name__ == "__main__":
    main()
