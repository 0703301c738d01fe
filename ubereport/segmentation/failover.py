"""A graphics device that fails in mid-case costs the case nothing: the processor goes on."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from ubereport.core.arrays import BoolArray, FloatArray, RgbArray
from ubereport.core.errors import PredictionError
from ubereport.segmentation.pictures import ProbabilityArray
from ubereport.segmentation.predictor import Predictor

Answer = TypeVar("Answer")


class DeviceLostError(PredictionError):
    """The device failed: a driver error, or no memory even for one picture."""


class FailoverPredictor:
    """`Predictor` on a graphics device, and on the processor from the request on at which it fails.

    `device` and `precision` then name both, so that the record does.

    Parameters
    ----------
    on_device
        Raises `DeviceLostError` where its device fails.
    open_on_processor
        Opens what goes on; raises as `open_predictor`.
    """

    def __init__(self, on_device: Predictor, open_on_processor: Callable[[], Predictor]) -> None:
        self._now = on_device
        self._open_on_processor = open_on_processor
        self.input_height_px = on_device.input_height_px
        self.input_width_px = on_device.input_width_px
        self.thresholds = on_device.thresholds
        self.device = on_device.device
        self.is_accelerated = on_device.is_accelerated
        self.precision = on_device.precision

    def areas(self, rgb: RgbArray, field_mask: BoolArray) -> FloatArray:
        """Return (n, 4) float64 area fractions of the field; see `Predictor.areas`."""
        return self._asked(lambda predictor: predictor.areas(rgb, field_mask))

    def masks(self, rgb: RgbArray) -> BoolArray:
        """Return (n, H, W) bool masks at the central threshold."""
        return self._asked(lambda predictor: predictor.masks(rgb))

    def probabilities(self, rgb: RgbArray) -> ProbabilityArray:
        """Return (n, H, W) float32 probability maps."""
        return self._asked(lambda predictor: predictor.probabilities(rgb))

    def _asked(self, ask: Callable[[Predictor], Answer]) -> Answer:
        try:
            return ask(self._now)
        # Every other error is an answer of the model and is passed on; only a lost device is
        # answered by another one.
        except DeviceLostError:
            lost = self._now
            self._now = self._open_on_processor()
            self.is_accelerated = self._now.is_accelerated
            self.device = f"{lost.device}; after it failed, {self._now.device}"
            if self._now.precision != lost.precision:
                self.precision = f"{lost.precision}; then {self._now.precision}"
        return ask(self._now)
