# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""
Does an encoder hear its brain? Checkpoints of stage 1, beside the published encoder and ours as they start.

    python examples/benchmarks/encoder_table.py --dataset runs/nsd --checkpoints runs/aligned --subjects subj08 \
        --sentence_encoder sentence-transformers/all-MiniLM-L6-v2 --output_dir runs/encoders

Writes one table, `encoders.md`, and `encoders.json`, what
[`~trainers.contrastive.encoder_diagnostics.diagnose_encoder`] found. The untrained ones have the sizes of
`--voxel_encoder`, by default their configuration's, and read the corpus's millimetres. An untrained encoder has no
bias yet: where its tokens of zero voxels are zeros, they have no direction, and cos(real, zero) is 0 whatever it
hears; cos(real, real) then tells more.
"""

import argparse
import json
from collections.abc import Iterator, Mapping
from pathlib import Path

import torch
from datasets import Dataset, DatasetDict

from modeling_brainllm import (
    BrainContrastiveConfig,
    BrainContrastiveModel,
    BrainLlamaFeatureExtractor,
    VoxelEncoderConfig,
)
from trainers.arguments import DataArguments, EncoderArguments, TargetArguments
from trainers.contrastive.encoder_diagnostics import REAL, SHUFFLED, TOP, ZERO, diagnose_encoder
from trainers.data.corpora import keep_subjects, load_corpus_splits
from trainers.data.geometry import add_geometries, read_geometries, region_sizes
from trainers.data.target_embeddings import EMBEDDING_COLUMNS, add_text_embeddings, target_sizes
from trainers.embedders.text_encoders import load_text_encoder
from trainers.loading import load_contrastive_model


UNTRAINED = {"published, untrained": VoxelEncoderConfig.published, "ours, untrained": VoxelEncoderConfig}
Named = Iterator[tuple[str, BrainContrastiveModel, BrainLlamaFeatureExtractor]]


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__.split("\n\n")[0].strip(), formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    parser.add_argument("--dataset", required=True, help="folder written by prepare_dataset.py, of voxels")
    parser.add_argument("--checkpoints", nargs="*", default=[], help="folders or Hub ids, of train_contrastive.py")
    parser.add_argument("--output_dir", type=Path, required=True, help="folder to write")
    parser.add_argument("--split", default="test", help="split whose brains are read")
    parser.add_argument("--subjects", nargs="+", help="subjects whose brains are read; all of the split if absent")
    parser.add_argument("--sentence_encoder", help="embeds captions, where the corpus has no `text_embedding`")
    parser.add_argument("--atlases", nargs="+", default=[], help="atlases that the untrained encoders know")
    parser.add_argument("--voxel_encoder", type=json.loads, default={}, help="their sizes, a mapping as JSON")
    parser.add_argument("--batch_size", type=int, default=64, help="brains per batch")
    parser.add_argument("--seed", type=int, default=0, help="seed of the untrained weights and of the shuffle")
    parser.add_argument("--device", default="cpu", help="where to run, such as cuda")
    return parser.parse_args()


def load_splits(args: argparse.Namespace) -> DatasetDict:
    splits = load_corpus_splits(DataArguments(dataset=args.dataset))
    if args.sentence_encoder and EMBEDDING_COLUMNS["text"] not in splits["train"].column_names:
        splits = add_text_embeddings(splits, load_text_encoder(args.sentence_encoder, torch.device(args.device)))
    return splits


def untrained_encoders(args: argparse.Namespace, rows: Dataset) -> Named:
    geometries = read_geometries(args.dataset)
    sizes = {"region_sizes": region_sizes(geometries, args.atlases), "atlases": args.atlases, **args.voxel_encoder}
    for name, make in UNTRAINED.items():
        torch.manual_seed(args.seed)
        config = BrainContrastiveConfig(encoder_config=make(**sizes), target_sizes=target_sizes(rows))
        extractor = BrainLlamaFeatureExtractor.from_config(config)
        add_geometries(extractor, geometries, args.atlases)
        yield name, BrainContrastiveModel(config), extractor


def trained_encoders(args: argparse.Namespace, train_rows: Dataset) -> Named:
    for name in args.checkpoints:
        encoder = EncoderArguments(encoder_name_or_path=name)
        yield name, *load_contrastive_model(encoder, TargetArguments(), train_rows, dataset=args.dataset)


def diagnose(args: argparse.Namespace) -> dict[str, dict[str, float]]:
    splits = load_splits(args)
    rows = splits[args.split] if args.subjects is None else keep_subjects(splits, args.subjects)[args.split]
    found = {}
    for encoders in (untrained_encoders(args, rows), trained_encoders(args, splits["train"])):
        for name, model, extractor in encoders:
            print(
                f"{name}: {sum(weight.numel() for weight in model.brain_encoder.parameters()) / 1e6:.2f} M parameters"
            )
            found[name] = diagnose_encoder(model.to(args.device), extractor, rows, args.batch_size, args.seed)
    return found


def make_table(found: Mapping[str, Mapping[str, float]]) -> str:
    """Three lines for each encoder and target space; what is not of retrieval stands in the first."""
    header = ["encoder", "space", "queries", "gallery", "cos(real, zero)", "cos(real, real)", "effective voxels"]
    header += ["voxels", *(f"R@{k}" for k in TOP), "median rank"]
    lines = ["| " + " | ".join(header) + " |", "|---" * len(header) + "|"]
    for name, figures in found.items():
        for space in (space for space in EMBEDDING_COLUMNS if f"{space}_gallery_size" in figures):
            own = [name, space, f"{figures['num_queries']:.0f}", f"{figures[f'{space}_gallery_size']:.0f}"]
            own += [f"{figures['cos_real_zero']:.3f} ± {figures['cos_real_zero_std']:.3f}"]
            own += [f"{figures['cos_real_real']:.3f}", voxels_heard(figures)]
            for arm in (REAL, SHUFFLED, ZERO):
                prefix = f"{space}_" if arm == REAL else f"{space}_{arm}_"
                cells = [*(own if arm == REAL else [""] * len(own)), arm]
                cells += [f"{figures[f'{prefix}recall_at_{k}']:.3f}" for k in TOP]
                lines.append("| " + " | ".join([*cells, f"{figures[f'{prefix}median_rank']:.1f}"]) + " |")
    return "\n".join(lines)


def voxels_heard(figures: Mapping[str, float]) -> str:
    if "effective_voxels" not in figures:
        return ""
    return f"{figures['effective_voxels']:.1f} of {figures['num_voxels']:.0f}"


def main() -> None:
    args = parse_arguments()
    found = diagnose(args)
    table = make_table(found)
    args.output_dir.mkdir(parents=True, exist_ok=True)
    asked = {name: getattr(args, name) for name in ("dataset", "split", "subjects", "voxel_encoder", "seed")}
    text = json.dumps({**asked, "encoders": found}, indent=2)
    (args.output_dir / "encoders.json").write_text(text + "\n", encoding="utf-8")
    (args.output_dir / "encoders.md").write_text(table + "\n", encoding="utf-8")
    print(table)


if __name__ == "__main__":
    main()
