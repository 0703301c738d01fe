"""The one thing that the analysis asks of a model: pictures in, area fractions out."""

from __future__ import annotations

from typing import Protocol

from ubereport.core.arrays import BoolArray, FloatArray, RgbArray
from ubereport.core.config import SegmentationConfig
from ubereport.segmentation.bundle import Bundle
from ubereport.segmentation.pictures import ProbabilityArray


class Predictor(Protocol):
    """A model that is ready to look at pictures of one size.

    All pictures are (n, input_height_px, input_width_px, 3) uint8 full-range RGB, any n >= 0.
    """

    @property
    def input_height_px(self) -> int:
        """Height of the pictures it takes."""
        ...

    @property
    def input_width_px(self) -> int:
        """Width of the pictures it takes."""
        ...

    @property
    def thresholds(self) -> tuple[float, float, float]:
        """Lenient, central and strict probability threshold."""
        ...

    @property
    def device(self) -> str:
        """Where it runs, such as ``cpu`` or ``cuda (NVIDIA L4)``; for the record."""
        ...

    @property
    def is_accelerated(self) -> bool:
        """Whether a device of its own counts, and not the processor that cases share out."""
        ...

    @property
    def precision(self) -> str:
        """How it counts, such as ``fp32`` or ``fp32, late stages bf16``; for the record."""
        ...

    def areas(self, rgb: RgbArray, field_mask: BoolArray) -> FloatArray:
        """Return (n, 3) float64 area fractions of the field: lenient, central, strict.

        `field_mask` is (H, W) bool; raises PredictionError rather than give a doubtful number.
        """
        ...

    def masks(self, rgb: RgbArray) -> BoolArray:
        """Return (n, H, W) bool masks at the central threshold."""
        ...

    def probabilities(self, rgb: RgbArray) -> ProbabilityArray:
        """Return (n, H, W) float32 probability maps."""
        ...


def open_predictor(bundle: Bundle, config: SegmentationConfig) -> Predictor:
    """Make a bundle ready to predict on the device that `config` asks for.

    torch is loaded for networks only.

    Raises
    ------
    BundleError
        If the weights do not fit the described network.
    DependencyError
        If the asked-for device is absent; no other one takes its place silently.
    """
    if bundle.metadata.hsv is not None:
        from ubereport.segmentation.hsv import HsvPredictor

        return HsvPredictor(bundle.metadata)
    from ubereport.segmentation.network_predictor import open_network_predictor

    return open_network_predictor(bundle, config)
