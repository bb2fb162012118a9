# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""
A small release of NSD, written from a known truth with plain writers. No code is shared with the reader.

What is small: two subjects, volumes of 24 voxels, surfaces of 7 vertices a hemisphere, 4 and 3 sessions. What is as in
the release: names, axes, types and units; 750 trials a session; ids that count from 1 in the design and in the
responses, and from 0 in the table of images; -1 outside of cortex; the order of trials that both subjects share.
"""

import csv
import json
from dataclasses import dataclass, field
from pathlib import Path

import h5py
import nibabel as nib
import numpy as np
from scipy.io import savemat


TRIALS = 750
BETAS = "betas_fithrf_GLMdenoise_RR"
#: Voxels of each volume, all of different lengths, so that no two axes can be mistaken for one another.
SHAPES = {"subj01": (4, 3, 2), "subj02": (2, 4, 3)}
#: Voxels of `nsdgeneral` under the default seed.
NUM_VOXELS = {"subj01": 9, "subj02": 11}
AFFINES = {
    "subj01": np.array([[1.8, 0, 0, -10], [0, 1.8, 0, -20], [0, 0, 1.8, 5], [0, 0, 0, 1]]),
    "subj02": np.array([[-1.8, 0, 0, 7], [0, 1.8, 0, -3], [0, 0, 1.8, 2], [0, 0, 0, 1]]),
}
NUM_VERTICES = 7
RESPONSE_COLUMNS = (
    *("SUBJECT", "SESSION", "RUN", "TRIAL", "73KID", "10KID", "TIME", "ISOLD", "ISCORRECT", "RT", "CHANGEMIND"),
    *("MEMORYRECENT", "MEMORYFIRST", "ISOLDCURRENT", "ISCORRECTCURRENT", "TOTAL1", "TOTAL2", "BUTTON", "MISSINGDATA"),
)


@dataclass
class Truth:
    """What the files were written from. Images are named by their 73KID, which counts from 1."""

    root: Path
    num_sessions: dict[str, int]
    shared: list[int] = field(default_factory=list)
    #: For each subject its list of images, the shared ones first.
    lists: dict[str, list[int]] = field(default_factory=dict)
    #: For each subject, the image of every trial of the whole experiment, done or not.
    planned: dict[str, np.ndarray] = field(default_factory=dict)
    #: Integer betas [trials, x, y, z] by subject and session.
    betas: dict[tuple[str, int], np.ndarray] = field(default_factory=dict)
    #: Percent [trials, vertices] of the first session by subject and side.
    surface: dict[tuple[str, str], np.ndarray] = field(default_factory=dict)
    #: Labels [x, y, z], or [vertices] under (region, side).
    regions: dict[tuple[str, str], np.ndarray] = field(default_factory=dict)
    ncsnr: dict[str, np.ndarray] = field(default_factory=dict)
    #: Millimetres of MNI152 [x, y, z, 3]; NaN where the map leads nowhere, which is one voxel of cortex.
    places: dict[str, np.ndarray] = field(default_factory=dict)
    captions: dict[int, list[str]] = field(default_factory=dict)

    def shown(self, subject: str, session: int) -> np.ndarray:
        return self.planned[subject][(session - 1) * TRIALS : session * TRIALS]

    def percent(self, subject: str, session: int) -> np.ndarray:
        """[trials, voxels of nsdgeneral], voxels in the order in which loops over x, y and z meet them."""
        volume, mask = self.betas[subject, session], self.regions[subject, "nsdgeneral"]
        places = [place for place in np.ndindex(*mask.shape) if mask[place] > 0]
        return np.stack([volume[(slice(None), *place)] for place in places], axis=1) / 300


def write_nsd(root: Path, num_sessions=(4, 3), num_shared=600, seed=0) -> Truth:
    generator = np.random.default_rng(seed)
    truth = Truth(root, dict(zip(SHAPES, num_sessions, strict=True)))
    _write_design(truth, max(num_sessions) * TRIALS, num_shared, generator)
    for subject in SHAPES:
        _write_volumes(truth, subject, generator)
        _write_atlases(truth, subject, np.random.default_rng([seed, int(subject[-2:])]))
        _write_responses(truth, subject)
    _write_surface(truth, "subj01", generator)
    _write_captions(truth, generator)
    return truth


def _write_design(truth: Truth, num_trials: int, num_shared: int, generator) -> None:
    per_subject = num_trials // 3
    num_images = num_shared + len(SHAPES) * (per_subject - num_shared)
    ids = generator.permutation(num_images) + 1
    truth.shared = sorted(ids[:num_shared].tolist())
    own = ids[num_shared:].reshape(len(SHAPES), -1)
    lists = np.stack([np.concatenate([truth.shared, part]) for part in own])
    ordering = generator.permutation(np.repeat(np.arange(1, per_subject + 1), 3))
    truth.lists = dict(zip(SHAPES, lists.tolist(), strict=True))
    truth.planned = {subject: lists[row][ordering - 1] for row, subject in enumerate(SHAPES)}
    folder = truth.root / "nsddata/experiments/nsd"
    folder.mkdir(parents=True)
    savemat(
        folder / "nsd_expdesign.mat",
        {
            "masterordering": ordering[None].astype(float),
            "basiccnt": np.zeros((3, 40)),
            "sharedix": np.array(truth.shared)[None].astype(float),
            "subjectim": lists.astype(float),
            "stimpattern": np.ones((2, 12, 75), np.uint8),
        },
        do_compression=True,
    )
    _write_stimuli(truth, folder / "nsd_stim_info_merged.csv", num_images)


def coco_id(image: int) -> int:
    return 1000 + 3 * image


def coco_split(image: int) -> str:
    return "val2017" if image % 3 == 0 else "train2017"


def _write_stimuli(truth: Truth, path: Path, num_images: int) -> None:
    when = {subject: {} for subject in SHAPES}
    for subject, images in truth.planned.items():
        for trial, image in enumerate(images.tolist(), start=1):
            when[subject].setdefault(image, []).append(trial)
    numbers = range(1, len(SHAPES) + 1)
    header = ["", "cocoId", "cocoSplit", "cropBox", "loss", "nsdId", "flagged", "BOLD5000", "shared1000"]
    header += [f"subject{n}" for n in numbers] + [f"subject{n}_rep{r}" for n in numbers for r in range(3)]
    with path.open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(header)
        for image in range(1, num_images + 1):
            seen = [when[subject].get(image, []) for subject in SHAPES]
            row = [image - 1, coco_id(image), coco_split(image), "(0, 0, 0.1, 0.1)", 0.1, image - 1]
            row += [False, False, image in truth.shared, *(int(bool(trials)) for trials in seen)]
            writer.writerow(row + [n for trials in seen for n in [*trials, 0, 0, 0][:3]])


def _write_volumes(truth: Truth, subject: str, generator) -> None:
    shape, affine = SHAPES[subject], AFFINES[subject]
    cortex = generator.permutation(np.prod(shape)).reshape(shape) < 18
    general = np.where(cortex, generator.permutation(np.prod(shape)).reshape(shape) % 2, -1)
    visual = np.where(cortex, generator.integers(0, 8, shape), -1)
    faces = np.where(cortex, generator.integers(0, 3, shape), -1)
    roi = truth.root / "nsddata/ppdata" / subject / "func1pt8mm/roi"
    roi.mkdir(parents=True)
    for name, labels in (("nsdgeneral", general), ("prf-visualrois", visual), ("floc-faces", faces)):
        truth.regions[subject, name] = labels
        nib.save(nib.Nifti1Image(labels.astype(np.int32), affine), roi / f"{name}.nii.gz")
        nib.save(nib.Nifti1Image(np.where(labels > 0, 1, 0).astype(np.int32), affine), roi / f"lh.{name}.nii.gz")
    nib.save(nib.Nifti1Image(cortex.astype(np.int16), affine), roi.parent / "brainmask.nii.gz")
    _write_colour_table(truth.root / "nsddata/freesurfer" / subject / "label/prf-visualrois.mgz.ctab")
    folder = truth.root / "nsddata_betas/ppdata" / subject / "func1pt8mm" / BETAS
    folder.mkdir(parents=True)
    for session in range(1, truth.num_sessions[subject] + 1):
        steps = generator.integers(-600, 900, (TRIALS, *shape), dtype=np.int16)
        steps[:, ~cortex] = 0
        truth.betas[subject, session] = steps
        nib.save(nib.Nifti1Image(np.moveaxis(steps, 0, -1), affine), folder / f"betas_session{session:02d}.nii.gz")
        if subject == "subj01" and session < 3:
            with h5py.File(folder / f"betas_session{session:02d}.hdf5", "w") as file:
                # MATLAB, which wrote the release, has the first axis fastest: axes come out reversed.
                file.create_dataset("betas", data=steps.transpose(0, 3, 2, 1), chunks=(TRIALS, 1, 1, 1))
    truth.ncsnr[subject] = generator.uniform(0, 1, shape).astype(np.float32)
    nib.save(nib.Nifti1Image(truth.ncsnr[subject], affine), folder / "ncsnr.nii.gz")


def _write_atlases(truth: Truth, subject: str, generator) -> None:
    """Atlases that NSD brought from elsewhere, and where each voxel lies in the brain that subjects have in common."""
    shape, affine = SHAPES[subject], AFFINES[subject]
    general = truth.regions[subject, "nsdgeneral"]
    ppdata = truth.root / "nsddata/ppdata" / subject
    for name, count in (("HCP_MMP1", 180), ("Kastner2015", 25), ("floc-places", 3)):
        labels = np.where(general >= 0, generator.integers(0, count + 1, shape), -1)
        truth.regions[subject, name] = labels
        nib.save(nib.Nifti1Image(labels.astype(np.int32), affine), ppdata / f"func1pt8mm/roi/{name}.nii.gz")
    table = truth.root / "nsddata/freesurfer" / subject / "label/HCP_MMP1.mgz.ctab"
    table.write_text("".join(f"{label} area{label}\n" for label in range(181)))
    places = generator.uniform(-65, 65, (*shape, 3)).round(3)
    nowhere = general < 0
    nowhere[tuple(np.argwhere(general == 0)[0])] = True
    places[nowhere] = np.nan
    truth.places[subject] = places
    # Indices from 1 into a template of 182 x 218 x 182 voxels of 1 mm, whose first voxel is the rightmost.
    indices = np.stack([91 - places[..., 0], 127 + places[..., 1], 73 + places[..., 2]], axis=-1)
    (ppdata / "transforms").mkdir()
    nib.save(
        nib.Nifti1Image(np.nan_to_num(indices, nan=9999).astype(np.float32), affine),
        ppdata / "transforms/MNI-to-func1pt8.nii.gz",
    )


def _write_colour_table(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    names = ("Unknown", "V1v", "V1d", "V2v", "V2d", "V3v", "V3d", "hV4")
    path.write_text("".join(f"{label} {name}\n" for label, name in enumerate(names)))


def _write_surface(truth: Truth, subject: str, generator) -> None:
    label = truth.root / "nsddata/freesurfer/fsaverage/label"
    folder = truth.root / "nsddata_betas/ppdata" / subject / "fsaverage" / BETAS
    label.mkdir(parents=True)
    folder.mkdir(parents=True)
    for side in ("lh", "rh"):
        truth.regions["nsdgeneral", side] = generator.permutation([0, 1, 1, 0, 1, 0, 0])
        truth.regions["prf-visualrois", side] = generator.integers(0, 8, NUM_VERTICES)
        for name in ("nsdgeneral", "prf-visualrois"):
            _save_mgh(truth.regions[name, side].astype(np.float32)[:, None, None], label / f"{side}.{name}.mgz")
        truth.ncsnr[side] = generator.uniform(0, 1, NUM_VERTICES).astype(np.float32)
        _save_mgh(truth.ncsnr[side][:, None, None], folder / f"{side}.ncsnr.mgh")
        values = generator.normal(0.5, 1, (TRIALS, NUM_VERTICES)).astype(np.float32)
        truth.surface[subject, side] = values
        _save_mgh(values.T[:, None, None, :], folder / f"{side}.betas_session01.mgh")
    _write_colour_table(label / "prf-visualrois.mgz.ctab")


def _save_mgh(values: np.ndarray, path: Path) -> None:
    nib.save(nib.MGHImage(np.ascontiguousarray(values), np.eye(4)), path)


def _write_responses(truth: Truth, subject: str) -> None:
    path = truth.root / "nsddata/ppdata" / subject / "behav/responses.tsv"
    path.parent.mkdir(parents=True)
    number = int(subject[-2:])
    places = {image: place for place, image in enumerate(truth.lists[subject], start=1)}
    ending = "\r\n" if subject == "subj02" else "\n"
    with path.open("w", newline="") as file:
        file.write("\t".join(RESPONSE_COLUMNS) + ending)
        for session in range(1, truth.num_sessions[subject] + 1):
            for trial, image in enumerate(truth.shown(subject, session).tolist()):
                run, in_run = divmod(trial, 63)
                fields = [number, session, run + 1, in_run + 1, image, places[image], "0.5", 0, 1, "803.5", 0]
                file.write("\t".join(map(str, [*fields, "NaN", "NaN", 0, 1, 1, 0, 1, 0])) + ending)


def _write_captions(truth: Truth, generator) -> None:
    folder = truth.root / "annotations"
    folder.mkdir()
    images = sorted({image for planned in truth.planned.values() for image in planned.tolist()})
    for image in images:
        truth.captions[image] = [f"thing {image} {k}." for k in range(generator.choice([5, 5, 5, 5, 6, 7]))]
    for name in ("train2017", "val2017"):
        own = [image for image in images if coco_split(image) == name]
        # As published, captions of one image do not stand together, and some end in a line break.
        annotations = [
            {"image_id": coco_id(image), "id": 10 * image + k, "caption": truth.captions[image][k] + "\n" * (k == 1)}
            for k in range(7)
            for image in own
            if k < len(truth.captions[image])
        ]
        images_of_file = [{"id": coco_id(image), "file_name": f"{coco_id(image):012d}.jpg"} for image in own]
        content = {"info": {}, "licenses": [], "images": images_of_file, "annotations": annotations}
        (folder / f"captions_{name}.json").write_text(json.dumps(content, separators=(",", ":")))
