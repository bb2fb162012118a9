# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
r"""
Where in the brain: what each voxel contributes to a decoder's true texts, by four methods.

Let `L(x)` be the loss of a row's true text under brain values `x` ([`~trainers.maps.losses.RowLosses`]), `x` the row's
own brain and `x'` that of its control brain, who perceived something else. What the own brain adds is `L(x') - L(x)`,
free of what any brain says for this text. Every method shares it out among voxels, or asks what a voxel has to do with
it; each effect changes its sign when own and control brain are swapped, on which the test of
[`~trainers.maps.statistics.VoxelMap`] rests.

- **gradient** goes from the control brain to the own one and adds up each voxel's part. It is the finest, its shares
  add up to what the brain adds, and a voxel of noise gets next to none. It does not show whether other voxels could
  take over.
- **attention** does the same for the read-outs of a voxel encoder's queries, and shares each among the voxels that its
  query attends to. It shows where the encoder looks, weighted by whether what it reads there counts; not which of
  these voxels said it: a voxel of noise beside a decoded text one shines with it.
- **occlusion** sets a group of voxels to 0, the mean. It shows what the decoder cannot make up for from other voxels:
  two regions that say the same hide each other. It is as fine as its groups, and an encoder that normalises what it
  reads hears less noise as well as less signal.
- **exchange** puts the control brain's values in a group, so that the brain stays as strong as it was and says
  something else
  there. It shows where the decoder can be talked out of its text; as fine as its groups.

A map is of a decoder: it shows what one decoder draws on, not what the brain represents, and a voxel that it leaves
out may tell another decoder much.
"""

from collections.abc import Callable

import numpy as np
import torch

from modeling_brainllm.modeling_brain_encoders import VoxelEncoder

from .losses import RowLosses


Explain = Callable[[torch.Tensor, torch.Tensor, int], torch.Tensor]


def gradient_effects(losses: RowLosses, steps: int = 8, progress: bool = True) -> np.ndarray:
    r"""
    `e_v = -(x_v - x'_v) \int_0^1 dL/dx_v(x' + a (x - x')) da`: integrated gradients (Sundararajan et al. 2017,
    "Axiomatic Attribution for Deep Networks", equation 1) from the control brain to the own one, by the midpoint rule.

    The mean brain, 0, would be no place to start from: where read-outs are normalised, the loss is the same all along
    the way from there but for a jump at its beginning, which no rule sees.

    Args:
        losses ([`~trainers.maps.losses.RowLosses`]):
            Decoder and rows.
        steps (`int`, *optional*, defaults to 8):
            Points of the integral.
        progress (`bool`, *optional*, defaults to `True`):
            Whether to show a progress bar.

    Returns:
        `np.ndarray` of shape `(rows, voxels)`: Effects, in the unit of the losses, summed over frames. A row's add up
        to `L(x') - L(x)`, to the precision of the rule.
    """

    def explain(own: torch.Tensor, control_brain: torch.Tensor, batch: int) -> torch.Tensor:
        way, total = own - control_brain, torch.zeros_like(own)
        for point in _points(own, control_brain, steps):
            total += torch.autograd.grad(losses(point, batch).sum(), point)[0]
        effects = -way * total / steps
        return effects.sum(dim=1) if effects.ndim == 3 else effects

    return _explain(losses, explain, "Gradients", progress)


def attention_effects(losses: RowLosses, steps: int = 8, progress: bool = True) -> np.ndarray:
    r"""
    `e_v = -sum_q (A_qv / sum_u A_qu) (r_q - r'_q) \int_0^1 dL/dr_q da` for a voxel encoder with read-outs `r = A x`:
    what each query's reading adds, shared among the voxels that it attends to.

    Args:
        losses ([`~trainers.maps.losses.RowLosses`]), steps (`int`, *optional*), progress (`bool`, *optional*):
            As in [`gradient_effects`].

    Returns:
        `np.ndarray` of shape `(rows, voxels)`: Effects; a row's add up as those of [`gradient_effects`].

    Raises:
        ValueError: If the encoder has no attention.
    """
    encoder = losses.encoder
    if not isinstance(encoder, VoxelEncoder):
        raise ValueError(
            f"{type(encoder).__name__} has no queries that attend to voxels. Choose another method, e.g. 'gradient'."
        )
    places = losses.brain_inputs(losses.values)
    with torch.no_grad():
        attention = encoder.attention_weights(places["voxel_coordinates"][0], places["voxel_regions"][0])
        shares = attention / attention.sum(dim=1, keepdim=True)

    def explain(own: torch.Tensor, control_brain: torch.Tensor, batch: int) -> torch.Tensor:
        readouts: list[torch.Tensor] = []
        hook = encoder.input_norm.register_forward_pre_hook(lambda module, inputs: readouts.append(inputs[0]))
        slopes = [
            torch.autograd.grad(losses(point, batch).sum(), readouts.pop())[0]
            for point in _points(own, control_brain, steps)
        ]
        hook.remove()
        return -((own - control_brain) @ attention.T * torch.stack(slopes).mean(dim=0)) @ shares

    return _explain(losses, explain, "Attention", progress)


def occlusion_effects(losses: RowLosses, groups: np.ndarray, progress: bool = True) -> np.ndarray:
    r"""
    `e_v = mean over the groups of v of [L(x without it) - L(x)] - [L(x' without it) - L(x')]`.

    Args:
        losses ([`~trainers.maps.losses.RowLosses`]), progress (`bool`, *optional*):
            As in [`gradient_effects`].
        groups (`np.ndarray` of shape `(repeats, voxels)`):
            What is taken away together, by [`~trainers.maps.groups`]; set to 0, since values are standardised.

    Returns:
        `np.ndarray` of shape `(rows, voxels)`: Effects, in the unit of the losses.

    Raises:
        ValueError: If `groups` are of another number of voxels.
    """

    def change(values: torch.Tensor, other: torch.Tensor, inside: torch.Tensor) -> torch.Tensor:
        return values.masked_fill(inside, 0)

    return _explain(losses, _by_groups(losses, groups, change), "Occlusion", progress)


def exchange_effects(losses: RowLosses, groups: np.ndarray, progress: bool = True) -> np.ndarray:
    r"""
    `e_v = mean over the groups of v of [L(x with x' in it) - L(x)] - [L(x' with x in it) - L(x')]`.

    Args:
        losses ([`~trainers.maps.losses.RowLosses`]), groups (`np.ndarray`), progress (`bool`, *optional*):
            As in [`occlusion_effects`].

    Returns:
        `np.ndarray` of shape `(rows, voxels)`: Effects, in the unit of the losses.

    Raises:
        ValueError: If `groups` are of another number of voxels.
    """

    def change(values: torch.Tensor, other: torch.Tensor, inside: torch.Tensor) -> torch.Tensor:
        return torch.where(inside, other, values)

    return _explain(losses, _by_groups(losses, groups, change), "Exchange", progress)


def _points(own: torch.Tensor, control_brain: torch.Tensor, steps: int) -> list[torch.Tensor]:
    """Midpoints of equal steps from the control brain's brain to the own one."""
    return [torch.lerp(control_brain, own, (step + 0.5) / steps).requires_grad_() for step in range(steps)]


def _by_groups(
    losses: RowLosses,
    groups: np.ndarray,
    change: Callable[[torch.Tensor, torch.Tensor, torch.Tensor], torch.Tensor],
) -> Explain:
    num_voxels = losses.values.shape[-1]
    if groups.ndim != 2 or groups.shape[1] != num_voxels:
        raise ValueError(
            f"`groups` must be [repeats, voxels] with the {num_voxels} voxels of '{losses.subject}'; found shape "
            f"{list(groups.shape)}. Make them from the geometry of this subject."
        )
    divisions = torch.from_numpy(groups).to(losses.values.device)

    @torch.no_grad()
    def explain(own: torch.Tensor, control_brain: torch.Tensor, batch: int) -> torch.Tensor:
        added = losses(control_brain, batch) - losses(own, batch)
        total = own.new_zeros(len(own), num_voxels)
        for division in divisions:
            left = [
                losses(change(control_brain, own, division == group), batch)
                - losses(change(own, control_brain, division == group), batch)
                for group in range(int(division.max()) + 1)
            ]
            total += (added[:, None] - torch.stack(left, dim=1))[:, division]
        return total / len(divisions)

    return explain


def _explain(losses: RowLosses, explain: Explain, title: str, progress: bool) -> np.ndarray:
    """Effects `(rows, voxels)`, batch by batch."""
    from tqdm.auto import tqdm

    found = np.empty((len(losses.values), losses.values.shape[-1]), np.float32)
    for batch, rows in enumerate(tqdm(losses.batches, desc=title, disable=not progress)):
        effects = explain(losses.values[rows], losses.values[losses.control_brains[rows]], batch)
        found[rows] = effects.detach().float().cpu().numpy()
    return found


__all__ = ["attention_effects", "exchange_effects", "gradient_effects", "occlusion_effects"]
