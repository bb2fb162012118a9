# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""
What do the readers make of broken files? Each gets mutated copies of small sound files; all that it may do with one is
to read it, or to raise a `ValueError` or `FileNotFoundError` that names the file.

Cases run in processes of their own, which are replaced when they die or hang. For each reader is counted how many
mutants were read as the sound file is (`ok_equal`), were `refused`, raised another exception (`foreign`, with the
number of a case), killed the process (`crashes`) or did not end (`hangs`). Mutants that are read as something else
are `silently_different` where a checksum or a count in the file should have told, and otherwise
`different_without_check`, which is not held against the reader. The same seed and number give the same mutant.
"""

import gzip
import io
import math
import random
import tempfile
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from multiprocessing.reduction import ForkingPickler
from pathlib import Path
from typing import Any

import h5py
import nibabel
import numpy as np
from byte_mutations import mutate_bytes, mutate_within
from mat_mutations import MAT_CASES, mutate_mat
from text_mutations import TEXT_CASES, mutate_text

from dataset_builders.readers.hdf5 import hdf5_shapes, read_hdf5
from dataset_builders.readers.unpickling import load_pickle
from dataset_builders.readers.volumes import nifti_header, read_gifti_series, read_mgh, read_nifti


SECONDS = 1800.0  # a case that takes longer hangs; the readers have limits of their own, which refuse
VALUES = np.random.default_rng(0).normal(0, 100, (4, 3, 2, 5)).astype(np.float32)


def nifti(kind: type, dtype: str) -> bytes:
    image = kind(VALUES.astype(dtype), np.diag([2.0, 2.0, 2.0, 1.0]))
    image.header.set_xyzt_units("mm", "sec")
    return image.to_bytes()


def gifti(encoding: str, one_array: bool) -> bytes:
    rows = VALUES.reshape(-1, 5)
    arrays = [rows] if one_array else list(rows.T)
    darrays = [nibabel.gifti.GiftiDataArray(array, "NIFTI_INTENT_TIME_SERIES", encoding=encoding) for array in arrays]
    return nibabel.gifti.GiftiImage(darrays=darrays).to_bytes()


def hdf5(libver: str, contiguous: bool) -> bytes:
    """Several layouts in groups; in the latest format and without `contiguous`, checksums cover every byte."""
    buffer = io.BytesIO()
    with h5py.File(buffer, "w", libver=libver) as file:
        stored = np.round(VALUES).astype(np.int16)
        file.create_dataset(
            "gzip", data=VALUES, chunks=(2, 3, 2, 5), compression="gzip", fletcher32=True, shuffle=True
        )
        file.create_dataset("group/lzf", data=stored, chunks=(4, 1, 2, 5), compression="lzf", fletcher32=True)
        if contiguous:
            file["group/plain"] = VALUES
            file["group/deeper/big"] = stored.astype(">i2")
            file["one"] = 7.5
    return buffer.getvalue()


def read_all_hdf5(path: Path) -> dict[str, np.ndarray]:
    return {name: read_hdf5(path, name) for name in hdf5_shapes(path)}


def read_volume(path: Path) -> tuple[object, ...]:
    header = nifti_header(path)
    return header.shape, header.affine, header.tr_seconds, read_nifti(path)


def brain_pickle() -> bytes:
    """As BrainLLM's releases: items of nested lists, and arrays under keys."""
    items = [{"content": [["Once", "upon"], ["a wolf"]], "word": [[1, 2], [3, -4]], "score": 0.5}] * 2
    return bytes(ForkingPickler.dumps({"story": items, "fmri": VALUES[..., 0], "mask": VALUES > 0}))


def fingerprint(value: Any) -> object:
    """What two equal values have in common: arrays by their bytes, everything else by how it prints."""
    if isinstance(value, np.ndarray) and not value.dtype.hasobject:
        return value.shape, value.dtype.str, value.tobytes()
    if isinstance(value, dict):
        return {repr(key): fingerprint(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [fingerprint(entry) for entry in value]
    return repr(value)


@dataclass(frozen=True)
class Reader:
    """
    A reader under test. `check` gives the part of what is read that the file itself vouches for, by a checksum or a
    count: a mutant must be refused or agree in it with the sound file.
    """

    file_name: str
    sound: bytes
    read: Callable[[Path], object]
    mutate: Callable[[bytes, random.Random], bytes] = mutate_bytes
    check: Callable[[Any], object] | None = None


def readers() -> dict[str, Reader]:
    packed = gzip.compress(nifti(nibabel.Nifti1Image, "f4"), mtime=0)
    mgh = nibabel.MGHImage(VALUES.reshape(-1, 1, 1, 5), np.eye(4)).to_bytes()
    table = {
        "nifti": Reader("a.nii", nifti(nibabel.Nifti1Image, "i2"), read_volume, check=lambda read: read[-1].size),
        "nifti2": Reader("a.nii", nifti(nibabel.Nifti2Image, "f8"), read_volume, check=lambda read: read[-1].size),
        "nifti_gz": Reader("a.nii.gz", packed, read_volume, check=fingerprint),
        "nifti_gz, within": Reader("a.nii.gz", packed, read_volume, mutate_within, check=lambda read: read[-1].size),
        "mgh": Reader("a.mgh", mgh, read_mgh),
        "gifti": Reader("a.gii", gifti("B64GZ", False), read_gifti_series, check=np.size),
        "gifti, text": Reader("a.gii", gifti("ASCII", True), read_gifti_series, mutate_text, check=np.size),
        "hdf5": Reader("a.h5", hdf5("earliest", True), read_all_hdf5),
        "hdf5, checksums": Reader("a.h5", hdf5("latest", False), read_all_hdf5, check=fingerprint),
        "pickle": Reader("a.pkl", brain_pickle(), load_pickle),
    }
    for cases, mutate in ((TEXT_CASES, mutate_text), (MAT_CASES, mutate_mat)):
        for name, case in cases.items():
            table[name] = Reader(case.file_name, case.seed, case.read, mutate, case.count)
    return table


def judge(reader: Reader, mutant: bytes, expected: object, folder: Path) -> str:
    """What the reader made of a mutant: a name of the report, with the type of a foreign exception behind it."""
    path = folder / reader.file_name
    path.write_bytes(mutant)
    try:
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            found = reader.read(path)
    except (ValueError, FileNotFoundError) as error:
        named = type(error) in (ValueError, FileNotFoundError) and str(path) in str(error)
        return "refused" if named else f"foreign {type(error).__name__} that does not name the file: {error}"
    except Exception as error:
        return f"foreign {type(error).__name__}: {error}"
    try:
        if fingerprint(found) == fingerprint(expected):
            return "ok_equal"
    except RecursionError:  # nested beyond what the sound file has
        return "different_without_check"
    if reader.check and fingerprint(reader.check(found)) != fingerprint(reader.check(expected)):
        return "silently_different"
    return "different_without_check"


def work(jobs: Connection, table: dict[str, Reader], seed: int) -> None:
    """Judges cases until it is told to end."""
    expected: dict[str, object] = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        while job := jobs.recv():
            reader_name, number = job
            reader = table[reader_name]
            if reader_name not in expected:
                path = folder / reader.file_name
                path.write_bytes(reader.sound)
                expected[reader_name] = reader.read(path)
            mutant = reader.mutate(reader.sound, random.Random(f"{seed}/{reader_name}/{number}"))
            jobs.send("started")
            jobs.send(judge(reader, mutant, expected[reader_name], folder))


class Worker:
    """A process that judges one case after another, and the case that it is at."""

    def __init__(self, start: Callable[[Connection], BaseProcess]):
        self.start, self.case, self.deadline = start, 0, math.inf
        self.renew()

    def renew(self) -> None:
        self.jobs, theirs = get_context("fork").Pipe()
        self.process = self.start(theirs)
        self.process.start()
        theirs.close()

    def give(self, reader_name: str, case: int) -> None:
        self.case, self.deadline = case, math.inf
        self.jobs.send((reader_name, case))

    def outcome(self) -> str | None:
        """What became of the case, or `None` if that is not known yet. A process that died or hangs is replaced."""
        try:
            while self.jobs.poll():
                if (message := self.jobs.recv()) != "started":
                    return message
                self.deadline = time.monotonic() + SECONDS
            if time.monotonic() < self.deadline:
                return None
            outcome = "hangs"
        except EOFError:
            outcome = "crashes"
        self.end()
        self.renew()
        return outcome

    def end(self) -> None:
        self.process.kill()
        self.process.join()


def fuzz(reader_name: str, count: int, workers: list[Worker]) -> dict[str, Any]:
    """Runs the cases of one reader and counts what became of them."""
    names = ("ok_equal", "refused", "crashes", "hangs", "silently_different", "different_without_check")
    report: dict[str, Any] = {"cases": count, **dict.fromkeys(names, 0), "foreign": {}, "numbers": {}}
    cases = iter(range(count))
    busy = [worker for worker, case in zip(workers, cases, strict=False) if worker.give(reader_name, case) is None]
    while busy:
        wait([worker.jobs for worker in busy], timeout=0.1)
        for worker in list(busy):
            outcome = worker.outcome()
            if outcome is None:
                continue
            if outcome.startswith("foreign"):
                kind = outcome.removeprefix("foreign ").partition(":")[0]
                entry = report["foreign"].setdefault(kind, {"count": 0, "case": worker.case, "example": outcome[:300]})
                entry["count"] += 1
            else:
                report[outcome] += 1
                if outcome in ("crashes", "hangs", "silently_different"):
                    report["numbers"].setdefault(outcome, []).append(worker.case)
            case = next(cases, None)
            if case is None:
                busy.remove(worker)
            else:
                worker.give(reader_name, case)
    return report


def fuzz_reader(reader_name: str, count: int, seed: int = 0, num_workers: int = 2) -> dict[str, Any]:
    """What became of so many mutants of one reader's file."""
    start = partial(_process, table=readers(), seed=seed)
    workers = [Worker(start) for _ in range(num_workers)]
    try:
        return fuzz(reader_name, count, workers)
    finally:
        for worker in workers:
            worker.end()


def _process(jobs: Connection, table: dict[str, Reader], seed: int) -> BaseProcess:
    return get_context("fork").Process(target=work, args=(jobs, table, seed), daemon=True)


__all__ = ["Reader", "Worker", "fuzz", "fuzz_reader", "judge", "readers"]
