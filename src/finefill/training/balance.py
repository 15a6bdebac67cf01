"""Loss weights from gradient magnitudes (paper §4.2).

"During back-propagation it is gradient values that make sense rather than loss values": measure
the norm of each term's gradient, then choose lambda so that the terms act in chosen proportions.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn


def gradient_norms(
    terms: Mapping[str, Tensor], parameters: Sequence[nn.Parameter]
) -> dict[str, float]:
    """L2 norm of each scalar term's gradient with respect to all ``parameters`` together.

    Leaves the parameters' ``.grad`` alone and keeps the graph.
    """
    norms = {}
    for name, term in terms.items():
        gradients = torch.autograd.grad(term, parameters, retain_graph=True, allow_unused=True)
        squares = [g.float().pow(2).sum() for g in gradients if g is not None]
        norms[name] = float(torch.stack(squares).sum().sqrt()) if squares else 0.0
    return norms


def weights(norms: Mapping[str, float], proportions: Mapping[str, float]) -> dict[str, float]:
    """lambda_t with lambda_t |grad L_t| = proportion_t |grad L_rec|, for each t in proportions.

    A term with no gradient (norm 0) or proportion 0 gets weight 0.
    """
    return {
        name: share * norms["rec"] / norms[name] if norms[name] > 0 else 0.0
        for name, share in proportions.items()
    }
