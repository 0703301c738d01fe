"""Run a bundle's graph with OpenVINO over pictures."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ubereport.core.arrays import BoolArray, FloatArray, RgbArray
from ubereport.segmentation.bundle import Bundle, check_files, graph_of
from ubereport.segmentation.openvino import CompiledNetwork
from ubereport.segmentation.pictures import (
    ProbabilityArray,
    areas_with_tissue,
    check_field_mask,
    check_pictures,
    counted_masks,
    not_finite,
    shown_blood,
)

_AT_ONCE = 8
"""Pictures a call: measured fastest, as their values stay in the processor's cache."""


class OpenVinoPredictor:
    """`Predictor` of a bundle of kind "network" on a processor.

    Every picture is looked at on its own: areas depend neither on the number of threads nor on
    which pictures are given together.

    Parameters
    ----------
    bundle
        With a graph.
    is_low
        Whether the late stages count in bf16.
    n_threads
        Processor threads; 0 leaves it to OpenVINO.

    Raises
    ------
    DependencyError
        If OpenVINO is not installed.
    BundleError
        If the bundle has no graph, or it cannot be used or changed since it was checked.
    """

    def __init__(self, bundle: Bundle, *, is_low: bool, n_threads: int) -> None:
        metadata, graph = bundle.metadata, graph_of(bundle)
        self._network = CompiledNetwork(
            bundle.graph_path, graph.late_inputs, metadata, is_low=is_low, n_threads=n_threads
        )
        check_files(bundle)  # the bytes that were read are the bytes that are hashed
        self.input_height_px = metadata.input_height_px
        self.input_width_px = metadata.input_width_px
        self.thresholds = metadata.thresholds
        self.device = f"cpu (OpenVINO {self._network.version})"
        self.is_accelerated = False
        self.precision = "fp32, late stages bf16" if is_low else "fp32"
        self._is_flip_averaged = metadata.test_time == "flip"
        self._instruments = metadata.instruments
        self._presence = metadata.presence

    def areas(self, rgb: RgbArray, field_mask: BoolArray) -> FloatArray:
        """Return (n, 4) float64 area fractions of the field; see `Predictor.areas`.

        Raises
        ------
        PredictionError
            If the network answers with NaN or infinity.
        ValueError
            If `rgb` or `field_mask` have another size than the model's.
        """
        check_field_mask(field_mask, self.input_height_px, self.input_width_px)
        check_pictures(rgb, self.input_height_px, self.input_width_px)
        counts = [
            self._counted(rgb[start : start + _AT_ONCE], field_mask)
            for start in range(0, len(rgb), _AT_ONCE)
        ]
        n_columns = 3 if self._instruments is None else 5
        every = np.concatenate([np.empty((0, n_columns), np.int64), *counts])
        # Counted as whole pixels and divided once, in float64: the same on every machine.
        return areas_with_tissue(every, int(np.count_nonzero(field_mask)))

    def _counted(self, rgb: RgbArray, field_mask: BoolArray) -> NDArray[np.int64]:
        """Return (n, 3) or, with instruments, (n, 5) pixels; see `pictures.areas_with_tissue`."""
        masks = counted_masks(
            self._probabilities(rgb), field_mask, self.thresholds, self._instruments
        )
        return np.stack([np.count_nonzero(mask, axis=(1, 2)) for mask in masks], axis=1)

    def masks(self, rgb: RgbArray) -> BoolArray:
        """Return (n, H, W) bool masks at the central threshold; raises as `areas`."""
        return self.probabilities(rgb) >= self.thresholds[1]

    def probabilities(self, rgb: RgbArray) -> ProbabilityArray:
        """Return (n, H, W) float32 probability maps; raises as `areas`."""
        check_pictures(rgb, self.input_height_px, self.input_width_px)
        probability = np.empty(rgb.shape[:3], dtype=np.float32)
        for start in range(0, len(rgb), _AT_ONCE):
            piece = slice(start, start + _AT_ONCE)
            probability[piece] = self._probabilities(rgb[piece])[0]
        return probability

    def _probabilities(self, rgb: RgbArray) -> list[ProbabilityArray]:
        """Return (n, H, W) of blood, and of instruments where they are marked."""
        maps = [self._sigmoid(logits) for logits in self._network(rgb)]
        if self._is_flip_averaged:
            # The mean of probabilities and not of logits: that is what the thresholds of a bundle
            # with flips were calibrated on.
            mirrored = [self._sigmoid(logits) for logits in self._network(rgb[:, :, ::-1])]
            pairs = zip(maps, mirrored, strict=True)
            maps = [(own + other[:, :, ::-1]) / np.float32(2) for own, other in pairs]
        blood, *others = maps
        return [shown_blood(blood, self._presence), *others]

    def _sigmoid(self, logits: NDArray[np.float32]) -> ProbabilityArray:
        if not np.isfinite(logits).all():
            raise not_finite(self.precision, self.device)
        # Clipped where float32 is 0 or 1 anyway, so that exp does not overflow.
        one = np.float32(1)
        return np.asarray(one / (one + np.exp(-np.clip(logits, -80, 80))), dtype=np.float32)
