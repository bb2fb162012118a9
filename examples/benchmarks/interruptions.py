# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""
Is an interrupted preparation taken up? `kill -9` at random moments; afterwards the same command must end with the very
files of an undisturbed run.

    python examples/benchmarks/interruptions.py --kills 50
"""

import argparse
import hashlib
import json
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path


PREPARE = Path(__file__).resolve().parent.parent / "prepare_dataset.py"
OPTIONS = (
    "store: recordings\nstandardize: train\nnum_components: 32\nnum_subjects: 6\nnum_frames: 12\nnum_features: 256\n"
)


def start(folder: Path) -> subprocess.Popen:
    command = [sys.executable, str(PREPARE), "--corpus", "synthetic_sentences", "--output_dir", str(folder / "out")]
    command += [
        "--config",
        str(folder.parent / "options.yaml"),
        "--cache_dir",
        str(folder / "cache"),
        "--num_proc",
        "2",
    ]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)


def finish(process: subprocess.Popen) -> None:
    _, errors = process.communicate()
    if process.returncode:
        raise RuntimeError(errors.decode())


def hashes(folder: Path) -> dict[str, str]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {str(f.relative_to(folder)): hashlib.sha256(f.read_bytes()).hexdigest() for f in files}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0].strip())
    parser.add_argument("--kills", type=int, default=50, help="runs that are killed")
    parser.add_argument("--seed", type=int, default=0, help="seed of the moments")
    args = parser.parse_args()
    chance, counts = random.Random(args.seed), {"killed": 0, "ended before the kill": 0, "identical": 0}
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        (root / "options.yaml").write_text(OPTIONS)
        started = time.time()
        finish(start(root / "calm"))
        whole, expected = time.time() - started, hashes(root / "calm" / "out")
        number = 0
        while counts["killed"] < args.kills:
            folder, number = root / f"run{number}", number + 1
            process = start(folder)
            time.sleep(chance.uniform(0.3, 1.0) * whole)
            if process.poll() is not None:
                whole *= 0.9  # the machine has become faster
                counts["ended before the kill"] += 1
                continue
            process.send_signal(signal.SIGKILL)
            process.communicate()
            counts["killed"] += 1
            finish(start(folder))
            counts["identical"] += hashes(folder / "out") == expected
    print(json.dumps(counts))
    if counts["identical"] < args.kills:
        raise SystemExit("some runs ended with other files")


if __name__ == "__main__":
    main()
