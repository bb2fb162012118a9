# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""
Maps of what a decoder uses, voxel by voxel, for a checkpoint of any stage: alignment, continuations or captions.

    python examples/map_voxels.py --checkpoint runs/aligned --dataset runs/nsd --subject subj08 --atlas streams \
        --sentence_encoder sentence-transformers/all-MiniLM-L6-v2 --output_dir runs/aligned/maps

writes for each method and quantity (score, null, z, q, p) an image in the subject's own space (NIfTI, or GIFTI for
surfaces), a table of all voxels as TSV, pictures as SVG, and `sections.json`, `sections.md` and `sections.html`.
Features that are no voxels (principal components) get tables alone. `--report` adds the sections to a saved report of
the same checkpoint; `--nilearn` adds glass brains or surfaces; `--region nsdgeneral:nsdgeneral` asks how well each map
tells this region from the rest:

    python examples/map_voxels.py --checkpoint runs/instructed --dataset runs/nsd --subject subj08 \
        --methods gradient exchange --groups neighbours --group_size 20 --report runs/rewarded/evaluation \
        --output_dir runs/instructed/maps
"""

import argparse
from collections.abc import Callable
from pathlib import Path

import numpy as np
from datasets import Dataset, DatasetDict
from transformers import AutoConfig

from modeling_brainllm import (
    BrainContrastiveModel,
    BrainLlamaFeatureExtractor,
    BrainLlamaForCausalLM,
    BrainLlamaProcessor,
)
from trainers.arguments import DataArguments
from trainers.data.corpora import keep_subjects, load_corpus_splits
from trainers.data.geometry import SubjectGeometry, read_geometries
from trainers.data.target_embeddings import add_text_embeddings
from trainers.embedders.text_encoders import load_text_encoder
from trainers.maps.attributions import attention_effects, exchange_effects, gradient_effects, occlusion_effects
from trainers.maps.groups import neighbour_groups, random_groups, region_groups
from trainers.maps.images import fill_image, write_brain_image
from trainers.maps.losses import AlignmentLosses, LikelihoodLosses, RowLosses
from trainers.maps.plots import glass_brain, projections, surface
from trainers.maps.sections import map_section
from trainers.maps.statistics import VoxelMap, recovery
from trainers.reports.charts import png_figure
from trainers.reports.folders import find_report, save_sections
from trainers.reports.report import EvaluationReport
from trainers.reports.sections import Section


METHODS = ("gradient", "attention", "occlusion", "exchange")
QUANTITIES = {"score": "scores", "null": "null", "z": "z", "q": "q", "p": "p"}
NEIGHBOURS, RANDOM = "neighbours", "random"


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__.split("\n\n")[0].strip(), formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    parser.add_argument("--checkpoint", required=True, help="folder or Hub id of the model")
    parser.add_argument("--dataset", required=True, help="folder written by prepare_dataset.py, or Hub id of such")
    parser.add_argument("--dataset_config", help="configuration of a Hub dataset")
    parser.add_argument("--output_dir", type=Path, required=True, help="folder to write")
    parser.add_argument("--subject", required=True, help="whose brain")
    parser.add_argument("--split", default="test", help="split whose rows are taken")
    parser.add_argument("--max_rows", type=int, help="most rows; a seeded draw of more")
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=["gradient"], help="how maps are made")
    parser.add_argument("--steps", type=int, default=8, help="points of integrated gradients, and of attention")
    parser.add_argument(
        "--groups", default=NEIGHBOURS, help=f"what goes together: {NEIGHBOURS}, {RANDOM} or the name of an atlas"
    )
    parser.add_argument("--group_size", type=int, default=20, help="voxels of a group, on average")
    parser.add_argument("--repeats", type=int, default=10, help="divisions into groups")
    parser.add_argument("--num_permutations", type=int, default=4_999, help="shuffles behind q and p")
    parser.add_argument("--atlas", help="atlas whose regions are listed")
    parser.add_argument("--region", nargs="+", default=[], help="ATLAS:REGION that maps should tell from the rest")
    parser.add_argument(
        "--sentence_encoder", help="that of the alignment, where the corpus holds no embedded captions"
    )
    parser.add_argument("--report", help="folder of a saved report to which the sections are added")
    parser.add_argument("--nilearn", action="store_true", help="draw glass brains or surfaces; needs the extra `maps`")
    parser.add_argument("--batch_size", type=int, default=32, help="rows per batch")
    parser.add_argument("--seed", type=int, default=0, help="seed of pairs, groups and shuffles")
    parser.add_argument("--dtype", default="float32", help="type of the weights")
    parser.add_argument("--device", default="cpu", help="where to run, such as cuda")
    return parser.parse_args()


def choose_rows(args: argparse.Namespace) -> Dataset:
    splits = load_corpus_splits(DataArguments(dataset=args.dataset, dataset_config=args.dataset_config))
    rows = keep_subjects(splits, [args.subject])[args.split]
    if args.max_rows is None or len(rows) <= args.max_rows:
        return rows
    drawn = np.random.default_rng(args.seed).permutation(len(rows))[: args.max_rows]
    return rows.select(np.sort(drawn))


def load_losses(args: argparse.Namespace) -> RowLosses:
    rows, options = choose_rows(args), {"batch_size": args.batch_size, "seed": args.seed}
    if AutoConfig.from_pretrained(args.checkpoint).model_type == "brain_contrastive":
        aligned = BrainContrastiveModel.from_pretrained(args.checkpoint, dtype=args.dtype).to(args.device)
        extractor = BrainLlamaFeatureExtractor.from_pretrained(args.checkpoint)
        if args.sentence_encoder and "text_embedding" not in rows.column_names:
            embedder = load_text_encoder(args.sentence_encoder, args.device)
            rows = add_text_embeddings(DatasetDict({args.split: rows}), embedder)[args.split]
        return AlignmentLosses(aligned, extractor, rows, space=next(iter(aligned.heads)), **options)
    model = BrainLlamaForCausalLM.from_pretrained(args.checkpoint, dtype=args.dtype).to(args.device)
    return LikelihoodLosses(model, BrainLlamaProcessor.from_pretrained(args.checkpoint), rows, **options)


def find_geometry(args: argparse.Namespace, losses: RowLosses) -> SubjectGeometry | None:
    """Where the features lie, if they are voxels."""
    geometry = read_geometries(args.dataset).get(args.subject)
    is_voxels = geometry is not None and geometry.num_voxels == losses.values.shape[-1]
    return geometry if is_voxels else None


def make_groups(args: argparse.Namespace, losses: RowLosses, geometry: SubjectGeometry | None) -> np.ndarray:
    drawn = {"size": args.group_size, "repeats": args.repeats, "seed": args.seed}
    if args.groups == RANDOM:
        return random_groups(losses.values.shape[-1], **drawn)
    if geometry is None or (args.groups == NEIGHBOURS and geometry.coordinates is None):
        raise ValueError(f"--groups {args.groups}: nobody knows where these features lie. Choose --groups {RANDOM}.")
    if args.groups == NEIGHBOURS:
        return neighbour_groups(geometry.coordinates, **drawn)
    return region_groups(find_atlas(geometry, args.groups))


def find_atlas(geometry: SubjectGeometry, name: str) -> np.ndarray:
    if name not in geometry.regions:
        raise ValueError(f"The subject has no atlas '{name}'; it has {', '.join(geometry.regions) or 'none'}.")
    return geometry.regions[name]


def find_region(geometry: SubjectGeometry | None, name: str) -> np.ndarray:
    atlas, _, region = name.partition(":")
    names = [] if geometry is None else geometry.region_names.get(atlas, [])
    if geometry is None or region not in names:
        raise ValueError(f"--region {name}: the subject's atlas '{atlas}' has the regions {names}.")
    return find_atlas(geometry, atlas) == names.index(region) + 1


def explain(args: argparse.Namespace, losses: RowLosses, geometry: SubjectGeometry | None, method: str) -> np.ndarray:
    by_path: dict[str, Callable] = {"gradient": gradient_effects, "attention": attention_effects}
    if method in by_path:
        return by_path[method](losses, args.steps)
    by_groups: dict[str, Callable] = {"occlusion": occlusion_effects, "exchange": exchange_effects}
    return by_groups[method](losses, make_groups(args, losses, geometry))


def write_map(args: argparse.Namespace, found: VoxelMap, geometry: SubjectGeometry | None) -> None:
    path = args.output_dir / f"{found.subject}_{found.method}"
    columns = [getattr(found, name) for name in QUANTITIES.values()]
    header = "\t".join(("voxel" if geometry else "feature", *QUANTITIES))
    table = np.column_stack([np.arange(len(found.scores)), *columns])
    np.savetxt(f"{path}.tsv", table, ["%d", *["%.8g"] * len(columns)], delimiter="\t", header=header, comments="")
    if geometry is not None and geometry.grid_index is not None:
        for name, values in zip(QUANTITIES, columns, strict=True):
            write_brain_image(f"{path}_{name}", values, geometry)


def draw(args: argparse.Namespace, found: VoxelMap, geometry: SubjectGeometry | None) -> str:
    """The picture of a section; each picture is a file as well."""
    title, picture = f"{found.subject}, {found.method}", ""
    path = args.output_dir / f"{found.subject}_{found.method}"
    if geometry is not None and geometry.coordinates is not None:
        picture = projections(geometry.coordinates, found.scores, title, found.unit)
        Path(f"{path}.svg").write_text(picture, encoding="utf-8")
    if args.nilearn:
        painted = paint(found, geometry, title)
        Path(f"{path}.png").write_bytes(painted)
        picture = picture or png_figure(painted, title)
    return picture


def paint(found: VoxelMap, geometry: SubjectGeometry | None, title: str) -> bytes:
    if geometry is not None and geometry.space.startswith("fsaverage"):
        return surface(fill_image(found.scores, geometry), title)
    if geometry is None or geometry.coordinates is None or not geometry.space.startswith("MNI"):
        place = "in no space at all" if geometry is None else f"in '{geometry.space}'"
        raise ValueError(
            f"--nilearn: the features of '{found.subject}' lie {place}; a glass brain needs coordinates in MNI152 and "
            "a surface fsaverage. Leave the option out."
        )
    return glass_brain(geometry.coordinates, found.scores, title)


def make_maps(args: argparse.Namespace) -> list[Section]:
    losses = load_losses(args)
    geometry = find_geometry(args, losses)
    regions = {name: find_region(geometry, name) for name in args.region}
    args.output_dir.mkdir(parents=True, exist_ok=True)
    sections = []
    for method in args.methods:
        effects = explain(args, losses, geometry, method)
        found = VoxelMap.from_effects(
            effects,
            losses.pairs,
            subject=losses.subject,
            method=method,
            unit=losses.unit,
            num_permutations=args.num_permutations,
            seed=args.seed,
        )
        recoveries = {name: recovery(effects, losses.pairs, inside) for name, inside in regions.items()}
        write_map(args, found, geometry)
        sections.append(map_section(found, geometry, args.atlas, recoveries, draw(args, found, geometry)))
    return sections


def main() -> None:
    args = parse_arguments()
    # A report that cannot be read is told before the work.
    find_report(args.output_dir)
    if args.report:
        EvaluationReport.load(args.report)
    sections = make_maps(args)
    for folder in filter(None, (args.output_dir, args.report)):
        save_sections(folder, sections)
    for section in sections:
        print(f"# {section.title}\n\n{section.text}\n")


if __name__ == "__main__":
    main()
