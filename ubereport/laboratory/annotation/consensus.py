"""Several annotators of a still as the one annotation that training takes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ubereport.core.errors import AnnotationError
from ubereport.laboratory.annotation.types import Annotation
from ubereport.laboratory.evaluation.agreement import majority

CONSENSUS = "consensus"


def consensus_of(annotations: Sequence[Annotation]) -> Annotation:
    """Return the majority of the annotations of one still, as an evaluation counts it.

    A pixel that anyone left undecided, or on which the annotators split evenly, is undecided.

    Raises
    ------
    AnnotationError
        If they differ in size.
    """
    first = annotations[0]
    if len(annotations) == 1:
        return first
    # Masks of different sizes are of different pictures; scaling one would hide the mistake.
    sizes = {(a.width_px, a.height_px) for a in annotations}
    if len(sizes) != 1:
        raise AnnotationError(
            f"Annotations of {first.still} differ in size: {sorted(sizes)}. Masks have the size of "
            "their still."
        )
    blood, is_settled = majority(np.stack([a.blood for a in annotations]))
    is_open = ~is_settled | np.any([a.ignore for a in annotations], axis=0)
    return Annotation.from_masks(
        first.still,
        blood & ~is_open,
        is_open,
        annotator=CONSENSUS,
        sha256=first.sha256,
        group=first.group,
    )
