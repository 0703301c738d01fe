"""A network as the plain list of what it computes, for runtimes other than torch.

The list is recorded while the network looks at one picture: each tensor operation, in order. No
torch here, so that what was recorded can be run without it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, eq=False)
class GraphStep:
    """One operation.

    Parameters
    ----------
    kind
        "convolution", "add", "concatenate", "relu", "clip", "resize" or "pad".
    inputs
        Numbers of the values it takes; 0 is the picture, n the answer of the n-th step.
    weights
        Constant arrays, such as "weight" and "bias" of a convolution.
    options
        What else decides the answer, such as "stride".
    """

    kind: str
    inputs: tuple[int, ...]
    weights: dict[str, NDArray[np.float32]] = field(default_factory=dict)
    options: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, eq=False)
class NetworkGraph:
    """The steps of a network that maps (n, 3, H, W) planes to (n, 1, H, W) logits.

    Parameters
    ----------
    steps
        In an order in which they can be computed; the last one gives the logits.
    n_exact
        How many steps at the start must count in fp32 for areas to stay what they are; the
        others may count in bf16.
    height_px, width_px
        Size that the network was recorded at; resizing steps rest on it.
    """

    steps: tuple[GraphStep, ...]
    n_exact: int
    height_px: int
    width_px: int

    def __post_init__(self) -> None:
        if not 0 <= self.n_exact < len(self.steps):
            raise ValueError(f"{self.n_exact} exact steps of {len(self.steps)}")
        for number, step in enumerate(self.steps, 1):
            if not all(0 <= value < number for value in step.inputs):
                raise ValueError(f"step {number} takes {step.inputs}, which are not there yet")

    def handed_over(self) -> tuple[int, ...]:
        """Return the numbers of the exact values that inexact steps take, increasing."""
        late = self.steps[self.n_exact :]
        return tuple(sorted({v for step in late for v in step.inputs if v <= self.n_exact}))
