# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""
Can a subject of NSD be prepared whose betas do not fit into memory? Time and peak memory by the number of sessions.

    python examples/benchmarks/out_of_core.py --folder runs/out_of_core --output out_of_core.md

Simulated betas have the size of the published ones: volumes of 81 x 104 x 83 voxels of which a brain of 226,000 holds
noise and `nsdgeneral` has 15,724, 750 trials a session, int16 in `.nii.gz`. Each number of sessions is prepared by a
process of its own, with the options of the corpus `nsd2022`: standardised within session, test repeats averaged. The
folder takes about 0.4 GB a session and is deleted.
"""

import argparse
import json
import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path

import nibabel as nib
import numpy as np
from corpora import memory
from datasets import disable_progress_bars

from dataset_builders import prepare_corpus
from dataset_builders.corpora.nsd.betas import BETAS
from dataset_builders.corpora.nsd.mni_coordinates import NOWHERE
from dataset_builders.corpora.synthetic.images import Dials, write_synthetic_nsd
from dataset_builders.corpora.synthetic.nsd_files import RELEASE_FILE


SUBJECT, ALL_SESSIONS = "subj01", 40


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0].strip())
    parser.add_argument("--folder", type=Path, default=Path("runs/out_of_core"), help="folder to write and delete")
    parser.add_argument("--sessions", type=int, nargs="+", default=[1, 2, 3, 4], help="how many are prepared")
    parser.add_argument("--trials", type=int, default=750, help="trials of a session")
    parser.add_argument("--voxels", type=int, default=15_724, help="voxels of the mask")
    parser.add_argument("--shape", type=int, nargs=3, default=[81, 104, 83], help="volume, in voxels")
    parser.add_argument("--output", type=Path, help="Markdown file of results")
    parser.add_argument("--prepare", nargs=2, metavar=("DATA", "CACHE"), help=argparse.SUPPRESS)
    return parser.parse_args()


def write_betas(folder: Path, args: argparse.Namespace) -> Path:
    """The corpus of synthetic images, its volumes widened to those of NSD and filled with noise."""
    dials = Dials(
        num_subjects=1,
        num_sessions=max(args.sessions),
        trials_per_session=args.trials,
        num_voxels=args.voxels,
        num_shared=max(args.sessions) * args.trials // 30,
    )
    data = write_synthetic_nsd(folder / "data", dials)
    shape = tuple(args.shape)
    inside = np.linalg.norm(2 * np.moveaxis(np.indices(shape), 0, -1) / (np.array(shape) - 1) - 1, axis=-1) < 0.85
    for path in sorted(data.glob("nsddata*/**/*.nii.gz")):
        widen(path, shape, inside)
    release = json.loads((data / RELEASE_FILE).read_text())
    release["subjects"][SUBJECT]["shape"] = shape
    (data / RELEASE_FILE).write_text(json.dumps(release))
    return data


def widen(path: Path, shape: tuple[int, ...], inside: np.ndarray) -> None:
    """Writes a volume anew, in a larger box."""
    image = nib.load(path)
    values = np.asanyarray(image.dataobj)
    outside = NOWHERE if "transforms" in path.parts else -1 if "roi" in path.parts else 0
    wide = np.full((*shape, *values.shape[3:]), outside, values.dtype)
    wide[tuple(map(slice, values.shape[:3]))] = values
    if "betas_session" in path.name:
        free = inside.copy()
        free[tuple(map(slice, values.shape[:3]))] &= ~values.any(axis=3)
        wide[free] = np.random.default_rng(0).integers(-900, 900, (free.sum(), values.shape[3]), np.int16)
    nib.save(nib.Nifti1Image(wide, image.affine), path)


def first_sessions(data: Path, number: int, folder: Path) -> Path:
    """The same corpus with some of its sessions, without a copy of its betas."""
    shutil.copytree(data, folder, ignore=shutil.ignore_patterns("betas_session*"))
    betas = Path("nsddata_betas/ppdata") / SUBJECT / "func1pt8mm" / BETAS["b3"]
    for path in sorted((data / betas).glob("betas_session*"))[:number]:
        (folder / betas / path.name).symlink_to(path.resolve())
    return folder


def prepare(data: str, cache: str) -> None:
    """Prepares a corpus, and prints its rows, seconds and peak memory in MB."""
    disable_progress_bars()
    before, own, done = memory("RssAnon"), [0.0], threading.Event()

    def watch() -> None:
        while not done.wait(0.02):
            own[0] = max(own[0], memory("RssAnon"))

    watching = threading.Thread(target=watch)
    watching.start()
    started, spent = time.perf_counter(), time.process_time()
    builder = prepare_corpus("synthetic_images", data, cache, verify_facts=False, validation_fraction=0.1)
    seconds, cpu_seconds = time.perf_counter() - started, time.process_time() - spent
    done.set()
    watching.join()
    rows = sum(builder.corpus_info.split.sizes.values())
    found = {"rows": rows, "seconds": seconds, "cpu_seconds": cpu_seconds}
    print(json.dumps(found | {"own_mb": own[0], "peak_mb": memory("VmHWM"), "imports_mb": before}))


def measure(data: Path, number: int, folder: Path) -> dict[str, float]:
    """What preparing so many sessions takes, in a process of its own."""
    some = first_sessions(data, number, folder / f"first{number}")
    command = [sys.executable, __file__, "--prepare", str(some), str(folder / f"cache{number}")]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    for name in (f"first{number}", f"cache{number}"):
        shutil.rmtree(folder / name)
    return json.loads(done.stdout.splitlines()[-1])


def table(found: dict[int, dict[str, float]], session_mb: float) -> list[str]:
    """Rows of results, and the line through them."""
    heads = ("sessions", "rows", "seconds", "CPU seconds", "CPU seconds a session", "own MB", "MB with mapped files")
    lines = [f"| {' | '.join(heads)} |", "|---" * len(heads) + "|"]
    for number, one in found.items():
        lines.append(
            f"| {number} | {one['rows']:,} | {one['seconds']:.0f} | {one['cpu_seconds']:.0f} "
            f"| {one['cpu_seconds'] / number:.1f} | {one['own_mb']:.0f} | {one['peak_mb']:.0f} |"
        )
    numbers = np.array(list(found))
    cpu, own = (np.array([one[name] for one in found.values()]) for name in ("cpu_seconds", "own_mb"))
    imports = np.mean([one["imports_mb"] for one in found.values()])
    lines += ["", f"A session is {session_mb:,.0f} MB of int16; before it begins, a process has {imports:.0f} MB."]
    if len(numbers) > 1:
        (slope, start), (more, _) = np.polyfit(numbers, cpu, 1), np.polyfit(numbers, own, 1)
        straight = np.abs(start + slope * numbers - cpu).max() / cpu.max()
        lines[-1] += (
            f" CPU seconds lie on a line to {straight:.1%}: {start:.0f} + {slope:.1f} a session, so {ALL_SESSIONS} "
            f"sessions would take {(start + slope * ALL_SESSIONS) / 60:.0f} minutes (reckoned, not run). Memory of "
            f"its own grows by {more:.1f} MB a session; mapped files are those that it has written."
        )
    return lines


def main() -> None:
    args = parse_arguments()
    if args.prepare:
        prepare(*args.prepare)
        return
    args.folder.mkdir(parents=True)
    try:
        data = write_betas(args.folder, args)
        found = {number: measure(data, number, args.folder) for number in args.sessions}
    finally:
        shutil.rmtree(args.folder)
    lines = table(found, np.prod(args.shape) * args.trials * 2 / 2**20)
    print("\n".join(lines))
    if args.output:
        args.output.write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
