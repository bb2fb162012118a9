# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""
Values of voxels → files that brain viewers open: NIfTI in the subject's own volume, GIFTI on its surface.

Voxel i of a map is voxel i of the mask that the corpus was read with: nothing is resampled. nibabel comes with the
extra `data`. A map of a corpus that may not be passed on tells where its voxels lie, and stays where the corpus is.
"""

from pathlib import Path

import numpy as np

from ..data.geometry import SubjectGeometry


# Axes of a volume; an image of fewer holds the vertices of the left hemisphere and then those of the right.
_VOLUME = 3
_HEMISPHERES = {"L": "CortexLeft", "R": "CortexRight"}


def write_brain_image(path: str | Path, values: np.ndarray, geometry: SubjectGeometry) -> list[Path]:
    """
    Writes a map as `<path>.nii.gz`, or as `<path>_hemi-L.func.gii` and `<path>_hemi-R.func.gii`.

    Args:
        path (`str` or `Path`):
            Without ending.
        values (`np.ndarray` of shape `(voxels,)`):
            float32 is kept exactly. Outside of the mask stands NaN, so that it is not taken for 0.
        geometry ([`~trainers.data.geometry.SubjectGeometry`]):
            Of the subject. A NIfTI's affine is float32, as NIfTI keeps it.

    Returns:
        `list[Path]`: The files.

    Raises:
        ValueError: If the subject's image is not known, or `values` are of another number of voxels.
    """
    whole = fill_image(values, geometry)
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    return _write_volume(path, whole, geometry) if whole.ndim == _VOLUME else _write_surfaces(path, whole)


def fill_image(values: np.ndarray, geometry: SubjectGeometry) -> np.ndarray:
    """
    The subject's image, float32 `[x, y, z]` or `[hemispheres, vertices]`, with values in the mask and NaN elsewhere.

    Args:
        values (`np.ndarray` of shape `(voxels,)`), geometry ([`~trainers.data.geometry.SubjectGeometry`]):
            As in [`write_brain_image`].
    """
    index, shape = geometry.grid_index, geometry.grid_shape
    if index is None or not shape or (len(shape) == _VOLUME) != (geometry.affine is not None):
        raise ValueError(
            "The subject's file in `subjects/` does not say where in an image its voxels lie (`grid_shape`, "
            f"`grid_index`, `affine`); found a grid of shape {list(shape)}. Prepare the corpus with a builder that "
            "knows it, or write the scores as a table."
        )
    if np.shape(values) != index.shape:
        raise ValueError(
            f"`values` must be [voxels] with the {len(index)} voxels of the subject's mask; found shape "
            f"{list(np.shape(values))}. A map of features, such as principal components, has no place in an image."
        )
    whole = np.full(shape, np.nan, np.float32)
    whole.flat[index] = values
    return whole if len(shape) == _VOLUME else whole.reshape(len(_HEMISPHERES), -1)


def _write_volume(path: str | Path, whole: np.ndarray, geometry: SubjectGeometry) -> list[Path]:
    import nibabel as nib

    file = Path(f"{path}.nii.gz")
    nib.save(nib.Nifti1Image(whole, geometry.affine), file)
    return [file]


def _write_surfaces(path: str | Path, whole: np.ndarray) -> list[Path]:
    import nibabel as nib
    from nibabel.gifti import GiftiDataArray, GiftiImage, GiftiMetaData

    files = []
    for (side, structure), values in zip(_HEMISPHERES.items(), whole, strict=True):
        array = GiftiDataArray(values, intent="NIFTI_INTENT_SHAPE", datatype="NIFTI_TYPE_FLOAT32")
        image = GiftiImage(darrays=[array], meta=GiftiMetaData(AnatomicalStructurePrimary=structure))
        files.append(Path(f"{path}_hemi-{side}.func.gii"))
        nib.save(image, files[-1])
    return files


__all__ = ["fill_image", "write_brain_image"]
