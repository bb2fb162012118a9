# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""
Brains planted from real captions, in the layout of NSD: what `bitllm_tables.py` trains and tests on.

    python examples/benchmarks/planted_brains.py --captions captions_val2017.json \
        --sentence_encoder sentence-transformers/all-MiniLM-L6-v2 --output_dir runs/planted

Each voxel answers to a direction in the space of sentence embeddings, plus noise; an image means the mean of its
captions. The folder is read by `prepare_dataset.py --corpus synthetic_images --data_dir runs/planted`.
"""

import argparse
from pathlib import Path

from dataset_builders.corpora.synthetic.nsd_files import Dials, write_synthetic_nsd
from dataset_builders.readers.coco import read_captions
from trainers.embedders.text_encoders import MeanPooledEmbedder


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__.split("\n\n")[0].strip(), formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    parser.add_argument("--captions", required=True, help="an annotation file of COCO")
    parser.add_argument("--sentence_encoder", required=True, help="folder or Hub id of a sentence encoder")
    parser.add_argument("--output_dir", type=Path, required=True, help="a new folder")
    parser.add_argument("--signal_to_noise", type=float, default=1.0, help="of a single trial, as variances")
    parser.add_argument("--alignment", type=float, default=0.8, help="correlation of tunings between brains")
    parser.add_argument("--num_voxels", type=int, default=1000, help="voxels of the average brain")
    parser.add_argument("--num_shared", type=int, default=500, help="images that all subjects see")
    parser.add_argument("--num_sessions", type=int, default=3, help="sessions of each subject")
    parser.add_argument("--trials_per_session", type=int, default=1000, help="trials of a session")
    return parser.parse_args()


def main() -> None:
    args = parse_arguments()
    dials = Dials(
        num_sessions=args.num_sessions,
        trials_per_session=args.trials_per_session,
        num_shared=args.num_shared,
        num_voxels=args.num_voxels,
        signal_to_noise=args.signal_to_noise,
        alignment=args.alignment,
        file_format="hdf5",
    )
    embed = MeanPooledEmbedder.from_pretrained(args.sentence_encoder)
    write_synthetic_nsd(args.output_dir, dials, read_captions(args.captions), embed)


if __name__ == "__main__":
    main()
