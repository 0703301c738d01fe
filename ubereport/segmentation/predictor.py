"""The one thing that the analysis asks of a model: pictures in, area fractions out."""

from __future__ import annotations

from dataclasses import replace
from typing import Protocol

from ubereport.core.arrays import BoolArray, FloatArray, RgbArray
from ubereport.core.config import Device, Route, SegmentationConfig
from ubereport.segmentation.bundle import Bundle
from ubereport.segmentation.pictures import ProbabilityArray
from ubereport.segmentation.routes import takes_openvino


class Predictor(Protocol):
    """A model that is ready to look at pictures of one size.

    All pictures are (n, input_height_px, input_width_px, 3) uint8 full-range RGB, any n >= 0.

    Parameters
    ----------
    thresholds
        Lenient, central and strict probability threshold.
    device
        Where it runs, such as ``cpu`` or ``cuda (NVIDIA L4)``; for the record.
    is_accelerated
        Whether a device of its own counts, and not the processor that cases share out.
    precision
        How it counts, such as ``fp32`` or ``fp32, late stages bf16``; for the record.
    """

    input_height_px: int
    input_width_px: int
    thresholds: tuple[float, float, float]
    device: str
    is_accelerated: bool
    precision: str

    def areas(self, rgb: RgbArray, field_mask: BoolArray) -> FloatArray:
        """Return (n, 4) float64 area fractions of the field, raising rather than doubtful ones.

        Lenient, central and strict, and the central area over what shows no instrument: NaN where
        the bundle marks no instruments, or they leave too little of the view
        (`pictures.MIN_TISSUE_FRAC`). `field_mask` is (H, W) bool.

        Raises
        ------
        PredictionError
            If the network answers with NaN, infinity or a wrong shape, or memory runs out even
            for a single picture.
        ValueError
            If `rgb` or `field_mask` have another size than the model's.
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

    torch, which takes seconds and half a gigabyte, is loaded where it counts and nowhere else.
    Where a graphics device fails later on, the processor goes on, and `device` says so.

    Raises
    ------
    BundleError
        If the weights do not fit the described network, or the graph that is asked for is absent.
    DependencyError
        If the asked-for device or library is absent; no other one takes its place silently.
    """
    if bundle.metadata.hsv is not None:
        from ubereport.segmentation.hsv import HsvPredictor

        return HsvPredictor(bundle.metadata)
    if takes_openvino(bundle, config):
        from ubereport.segmentation.openvino import openvino_gains_from_bf16
        from ubereport.segmentation.openvino_predictor import OpenVinoPredictor

        is_low = config.is_low_precision_allowed and openvino_gains_from_bf16()
        return OpenVinoPredictor(bundle, is_low=is_low, n_threads=config.n_threads)
    from ubereport.segmentation.network_predictor import open_network_predictor

    predictor = open_network_predictor(bundle, config)
    if not predictor.is_accelerated:
        return predictor
    from ubereport.segmentation.failover import FailoverPredictor

    on_processor = replace(config, device=Device.CPU, route=Route.AUTO)
    return FailoverPredictor(predictor, lambda: open_predictor(bundle, on_processor))
