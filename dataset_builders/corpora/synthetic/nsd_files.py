# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""Writes simulated brains and their captions in the layout of NSD, with the truth that was planted in them."""

import csv
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import h5py
import nibabel as nib
import numpy as np
from datasets.utils import tqdm
from safetensors.numpy import save_file
from scipy.io import savemat

from ..nsd.betas import BETAS, STEPS_PER_PERCENT
from ..nsd.design import COCO_SPLITS, MAX_REPEATS
from ..nsd.mni_coordinates import NOWHERE, mni_file, to_template
from ..nsd.subjects import HDF5
from .brains import RADIUS, Anatomy, SmoothField, make_anatomy, make_tuning, measure_session
from .question_files import write_questions
from .regions import REGION_NAMES
from .scenes import Scene, draw_scenes, hash_embedding


RELEASE_FILE, TRUTH_FILE = "synthetic_nsd.json", "planted_truth.safetensors"
_RESPONSES = (
    *("SUBJECT", "SESSION", "RUN", "TRIAL", "73KID", "10KID", "TIME", "ISOLD", "ISCORRECT", "RT", "CHANGEMIND"),
    *("MEMORYRECENT", "MEMORYFIRST", "ISOLDCURRENT", "ISCORRECTCURRENT", "TOTAL1", "TOTAL2", "BUTTON", "MISSINGDATA"),
)
_NO_BEHAVIOUR = (0.0, 0, 1, "NaN", 0, "NaN", "NaN", 0, 1, 1, 0, 1, 0)
_TRIALS_PER_RUN = 63


@dataclass
class Dials:
    """
    What can be chosen about simulated brains.

    Args:
        num_subjects (`int`, *optional*, defaults to 8):
            Subjects, up to 99.
        num_sessions (`int`, *optional*, defaults to 4):
            Scanning sessions of each subject, up to 99.
        trials_per_session (`int`, *optional*, defaults to 90):
            Images shown in a session. Every image is shown three times, so a subject's trials are a multiple of 3.
        num_shared (`int`, *optional*, defaults to 24):
            Images that all subjects see: the test set.
        num_voxels (`int`, *optional*, defaults to 400):
            Voxels of `nsdgeneral` in the average brain; each subject has another number.
        signal_to_noise (`float`, *optional*, defaults to 1.0):
            Variance of the planted signal over variance of the noise in a single trial. 0 plants nothing.
        alignment (`float`, *optional*, defaults to 0.8):
            Correlation of tunings at the same place in two brains: at 1 a place says all, at 0 brains share nothing.
        file_format (`str`, *optional*):
            `"nii.gz"`, the default, or `"hdf5"`.
        corpus_seed (`int`, *optional*, defaults to 0):
            Seed of scenes, brains and noise.
    """

    num_subjects: int = 8
    num_sessions: int = 4
    trials_per_session: int = 90
    num_shared: int = 24
    num_voxels: int = 400
    signal_to_noise: float = 1.0
    alignment: float = 0.8
    file_format: str | None = None
    corpus_seed: int = 0

    def check(self) -> None:
        """Raises `ValueError` for a choice that makes no corpus."""
        for name, least, most in (
            ("num_subjects", 1, 99),
            ("num_sessions", 1, 99),
            ("trials_per_session", 2, 2**15),
            ("num_voxels", 8, 2**20),
            ("num_shared", 1, self.images_per_subject - 1),
            ("signal_to_noise", 0, float("inf")),
            ("alignment", 0, 1),
        ):
            if not least <= getattr(self, name) <= most:
                raise ValueError(f"{name}={getattr(self, name)}: choose from {least} to {most}")
        if self.num_sessions * self.trials_per_session % MAX_REPEATS:
            raise ValueError(
                f"num_sessions={self.num_sessions} of trials_per_session={self.trials_per_session} cannot show every "
                f"image {MAX_REPEATS} times: make their product a multiple of {MAX_REPEATS}"
            )

    @property
    def images_per_subject(self) -> int:
        """Images that a subject sees."""
        return self.num_sessions * self.trials_per_session // MAX_REPEATS

    @property
    def num_images(self) -> int:
        """Images of the whole experiment."""
        return self.num_shared + self.num_subjects * (self.images_per_subject - self.num_shared)


Embedder = Callable[[list[str]], np.ndarray]


def write_synthetic_nsd(
    folder: str | Path,
    dials: Dials | None = None,
    captions: Mapping[int, Sequence[str]] | None = None,
    embed: Embedder | np.ndarray = hash_embedding,
) -> Path:
    """
    Simulates subjects who look at pictures, and writes what NSD would have published of them.

    The response of a voxel is a linear map of what the captions of an image mean, plus noise (see
    [`synthetic_brains`]). The folder is read by the corpus `synthetic_images`, with `data_dir`. What was planted lies
    in `planted_truth.safetensors`: `embeddings` `[images, width]` (image `i` has the 73KID `i + 1`), and for each
    subject `<subject>/tuning` `[voxels, width]` and `<subject>/places` `[voxels, 3]` in the common brain, a ball whose
    radius of 1 is 70 mm in the coordinates of the corpus.

    Args:
        folder (`str` or `Path`):
            A new or empty folder.
        dials ([`Dials`], *optional*):
            What can be chosen.
        captions (`Mapping[int, Sequence[str]]`, *optional*):
            Captions by image id, such as [`read_captions`] gives them. As many as are needed are drawn. Defaults to
            scenes of a small grammar, where test images combine colours and things that training never combines;
            only of these are there questions and dialogues, in the files of VQA v2 and VisDial.
        embed (`Callable` or `np.ndarray`, *optional*):
            What captions mean. A function from texts to vectors `[texts, width]`, of which those of an image are
            averaged; or vectors `[images, width]`, one for each of `captions` in their order. Defaults to
            [`hash_embedding`].

    Returns:
        `Path`: the folder.

    Raises:
        FileExistsError: the folder is not empty.
        ValueError: a dial is out of range, there are fewer captioned images than needed, or embeddings do not fit.
    """
    folder, dials = Path(folder), dials or Dials()
    dials.check()
    if folder.exists() and any(folder.iterdir()):
        raise FileExistsError(f"{folder} is not empty: choose a new folder")
    generator = np.random.default_rng([dials.corpus_seed, 0])
    lists, ordering = _draw_design(dials, generator)
    scenes = _draw_scenes(dials, lists, generator) if captions is None else {}
    texts = {coco_id: scene.captions() for coco_id, scene in scenes.items()}
    if captions is not None:
        texts = _draw_images(dials, captions, generator)
    embeddings = _meanings(texts, captions, embed)
    _write_tables(folder, list(texts), lists, ordering, dials)
    _write_captions(folder, texts)
    if scenes:
        write_questions(folder / "annotations", scenes)
    shared_field = SmoothField(embeddings.shape[1], np.random.default_rng([dials.corpus_seed, 1]))
    truth, facts = {"embeddings": embeddings}, {}
    for number, images in enumerate(tqdm(lists, desc="Simulating brains"), start=1):
        subject, shown = f"subj{number:02d}", images[ordering].reshape(dials.num_sessions, -1)
        anatomy, tuning = _write_subject(folder, number, shown, embeddings, shared_field, dials)
        _write_responses(folder, number, shown, ordering)
        truth |= {f"{subject}/tuning": tuning, f"{subject}/places": anatomy.places.astype(np.float32)}
        facts[subject] = {"voxels": int(anatomy.mask.sum()), "shape": anatomy.shape}
    save_file(truth, folder / TRUTH_FILE)
    release = {"dials": asdict(dials), "subjects": facts}
    (folder / RELEASE_FILE).write_text(json.dumps(release, indent=2) + "\n", encoding="utf-8")
    return folder


def _draw_design(dials: Dials, generator: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """73KIDs `[subjects, images of each]`, shared ones first; and for each trial a place in these lists, from 0."""
    ids = generator.permutation(dials.num_images) + 1
    shared, own = np.sort(ids[: dials.num_shared]), ids[dials.num_shared :].reshape(dials.num_subjects, -1)
    lists = np.concatenate([np.tile(shared, (dials.num_subjects, 1)), own], axis=1)
    return lists, generator.permutation(np.repeat(np.arange(dials.images_per_subject), MAX_REPEATS))


def _draw_scenes(dials: Dials, lists: np.ndarray, generator: np.random.Generator) -> dict[int, Scene]:
    """Scenes by COCO id, in the order of the 73KIDs."""
    tested = iter(draw_scenes(dials.num_shared, generator, testing=True))
    trained = iter(draw_scenes(dials.num_images - dials.num_shared, generator, testing=False))
    shared = set(lists[0, : dials.num_shared].tolist())
    return {1000 + image: next(tested if image in shared else trained) for image in range(1, dials.num_images + 1)}


def _draw_images(
    dials: Dials, captions: Mapping[int, Sequence[str]], generator: np.random.Generator
) -> dict[int, list[str]]:
    """Captions of a file by COCO id, in the order of the 73KIDs."""
    if len(captions) < dials.num_images:
        raise ValueError(f"captions are of {len(captions)} images, and these dials need {dials.num_images}")
    drawn = generator.permutation(np.array(list(captions)))[: dials.num_images].tolist()
    return {coco_id: [" ".join(text.split()) for text in captions[coco_id]] for coco_id in drawn}


def _meanings(
    texts: Mapping[int, list[str]], captions: Mapping[int, Sequence[str]] | None, embed: Embedder | np.ndarray
) -> np.ndarray:
    """What each image means, float32 `[images, width]`, centred."""
    if callable(embed):
        expected = sum(map(len, texts.values()))
        vectors = np.asarray(embed([text for own in texts.values() for text in own]), dtype=np.float32)
    else:
        expected, vectors = len(captions or texts), np.asarray(embed, dtype=np.float32)
    if vectors.ndim != 2 or len(vectors) != expected or not np.isfinite(vectors).all():
        raise ValueError(f"embed has the shape {vectors.shape}: expected {expected} rows of finite numbers")
    if callable(embed):
        ends = np.cumsum([len(own) for own in texts.values()])
        images = np.stack([own.mean(axis=0) for own in np.split(vectors, ends[:-1])])
    else:
        rows = {coco_id: row for row, coco_id in enumerate(captions or texts)}
        images = vectors[[rows[coco_id] for coco_id in texts]]
    if not np.ptp(images, axis=0).any():
        raise ValueError("embed gives all images the same vector: there is nothing to respond to")
    return images - images.mean(axis=0)


def _write_subject(
    folder: Path,
    number: int,
    shown: np.ndarray,
    embeddings: np.ndarray,
    shared_field: SmoothField,
    dials: Dials,
) -> tuple[Anatomy, np.ndarray]:
    """Simulates and writes one brain, and every session of it."""
    seed = [dials.corpus_seed, 2, number]
    anatomy = make_anatomy(dials.num_voxels, np.random.default_rng([*seed, 0]))
    own_field = SmoothField(embeddings.shape[1], np.random.default_rng([*seed, 1]))
    tuning = make_tuning(anatomy, shared_field, own_field, dials.alignment, embeddings)
    subject, ratio = f"subj{number:02d}", np.where(anatomy.mask, np.sqrt(dials.signal_to_noise), 0)
    roi = folder / "nsddata/ppdata" / subject / "func1pt8mm/roi"
    betas = folder / "nsddata_betas/ppdata" / subject / "func1pt8mm" / BETAS["b3"]
    tables = folder / "nsddata/freesurfer" / subject / "label"
    for place in (roi, betas, tables):
        place.mkdir(parents=True)
    for name, labels in anatomy.regions.items():
        nib.save(nib.Nifti1Image(labels, anatomy.affine), roi / f"{name}.nii.gz")
    for name, regions in REGION_NAMES.items():
        lines = (f"{label} {region}\n" for label, region in enumerate(("Unknown", *regions)))
        (tables / f"{name}.mgz.ctab").write_text("".join(lines), encoding="utf-8")
    nib.save(nib.Nifti1Image(anatomy.cortex.astype(np.int16), anatomy.affine), roi.parent / "brainmask.nii.gz")
    _write_places(mni_file(folder, subject), anatomy)
    nib.save(nib.Nifti1Image(ratio.astype(np.float32), anatomy.affine), betas / "ncsnr.nii.gz")
    for session, images in enumerate(shown, start=1):
        generator = np.random.default_rng([*seed, 1 + session])
        values = measure_session(anatomy, embeddings[images - 1] @ tuning.T, dials.signal_to_noise, generator)
        _write_betas(betas / f"betas_session{session:02d}", anatomy, values, dials.file_format)
    return anatomy, tuning


def _write_places(path: Path, anatomy: Anatomy) -> None:
    """The map into the brain that all have in common, here a ball in the middle of the template."""
    indices = np.where(anatomy.cortex[..., None], to_template(RADIUS * anatomy.common), NOWHERE)
    path.parent.mkdir()
    nib.save(nib.Nifti1Image(indices.astype(np.float32), anatomy.affine), path)


def _write_betas(path: Path, anatomy: Anatomy, values: np.ndarray, file_format: str | None) -> None:
    """Betas `[trials, cortex]` in percent as a volume of integers; see the table in [`nsd_betas`]."""
    steps = np.zeros((len(values), *anatomy.shape), np.int16)
    steps[:, anatomy.cortex] = np.rint(values * STEPS_PER_PERCENT)
    if file_format == HDF5:
        with h5py.File(path.with_suffix(".hdf5"), "w") as file:
            file.create_dataset("betas", data=steps.transpose(0, 3, 2, 1), chunks=(len(values), 1, 1, 1))
    else:
        nib.save(nib.Nifti1Image(np.moveaxis(steps, 0, -1), anatomy.affine), path.with_suffix(".nii.gz"))


def _write_tables(
    folder: Path, coco_ids: Sequence[int], lists: np.ndarray, ordering: np.ndarray, dials: Dials
) -> None:
    """`nsd_expdesign.mat` and `nsd_stim_info_merged.csv`."""
    experiment = folder / "nsddata/experiments/nsd"
    experiment.mkdir(parents=True)
    shared = lists[0, : dials.num_shared]
    design = {"masterordering": ordering[None] + 1.0, "subjectim": lists + 0.0, "sharedix": shared[None] + 0.0}
    savemat(experiment / "nsd_expdesign.mat", design, do_compression=True)
    trials = np.zeros((len(coco_ids) + 1, len(lists), MAX_REPEATS), int)
    by_place = np.argsort(ordering, kind="stable").reshape(-1, MAX_REPEATS) + 1
    for subject, own in enumerate(lists):
        trials[own, subject] = by_place
    subjects = range(1, len(lists) + 1)
    header = ["", "cocoId", "cocoSplit", "cropBox", "loss", "nsdId", "flagged", "BOLD5000", "shared1000"]
    header += [f"subject{s}" for s in subjects] + [f"subject{s}_rep{r}" for s in subjects for r in range(MAX_REPEATS)]
    with (experiment / "nsd_stim_info_merged.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(header)
        for row, coco_id in enumerate(coco_ids):
            of_image = [row, coco_id, _coco_split(row), "(0, 0, 0, 0)", 0.0, row, False, False, row + 1 in shared]
            seen = trials[row + 1]
            writer.writerow([*of_image, *seen.any(axis=1).astype(int), *seen.ravel()])


def _coco_split(row: int) -> str:
    """In which annotation file an image is; both are used."""
    return COCO_SPLITS[row % len(COCO_SPLITS)]


def _write_responses(folder: Path, number: int, shown: np.ndarray, ordering: np.ndarray) -> None:
    """`responses.tsv`; columns of behaviour, which nobody simulated, hold the answers of one who never remembers."""
    path = folder / "nsddata/ppdata" / f"subj{number:02d}" / "behav/responses.tsv"
    path.parent.mkdir(parents=True)
    places = ordering.reshape(shown.shape) + 1
    lines = ["\t".join(_RESPONSES)]
    for (session, trial), image in np.ndenumerate(shown):
        run, in_run = divmod(trial, _TRIALS_PER_RUN)
        start = (number, session + 1, run + 1, in_run + 1, image, places[session, trial])
        lines.append("\t".join(map(str, (*start, *_NO_BEHAVIOUR))))
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def _write_captions(folder: Path, texts: Mapping[int, list[str]]) -> None:
    """The annotation files of COCO."""
    (folder / "annotations").mkdir()
    for split in COCO_SPLITS:
        own = [coco_id for row, coco_id in enumerate(texts) if _coco_split(row) == split]
        pairs = [(coco_id, text) for coco_id in own for text in texts[coco_id]]
        content = {
            "info": {"description": "Captions of the synthetic corpus of images"},
            "images": [{"id": coco_id, "file_name": f"{coco_id:012d}.jpg"} for coco_id in own],
            "annotations": [{"image_id": c, "id": n, "caption": text} for n, (c, text) in enumerate(pairs, start=1)],
        }
        path = folder / "annotations" / f"captions_{split}.json"
        path.write_text(json.dumps(content), encoding="utf-8")


__all__ = ["RELEASE_FILE", "TRUTH_FILE", "Dials", "write_synthetic_nsd"]
