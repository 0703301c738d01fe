"""A model bundle ready to look at pictures."""

from __future__ import annotations

import html
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from ubereport.core.choices import Device
from ubereport.core.config import SegmentationConfig
from ubereport.core.errors import UsageError
from ubereport.segmentation.bundle import Bundle, find_bundle, load_bundle
from ubereport.segmentation.predictor import Predictor, open_predictor
from ubereport.video.picture_scaling import to_model_size


class Model:
    """A bundle and the predictor made of it; see `limits` before its answers.

    Attributes
    ----------
    bundle
        What the model says about itself, with hashes.
    thresholds
        (lenient, central, strict) probabilities; a pixel at or above one is blood.

    Examples
    --------
    >>> import ubereport
    >>> ubereport.load_model("hsv-red")
    <Model hsv-red 1, 256 × 256 px>
    """

    def __init__(self, bundle: Bundle, predictor: Predictor) -> None:
        self.bundle = bundle
        self._predictor = predictor
        self.thresholds = predictor.thresholds

    @property
    def limits(self) -> str:
        """What the model must not be used for, and what it has not seen."""
        return self.bundle.metadata.limits

    def __repr__(self) -> str:
        """Return one line: name, version, side of its input."""
        metadata = self.bundle.metadata
        size = f"{metadata.input_width_px} × {metadata.input_height_px} px"
        return f"<Model {metadata.name} {metadata.version}, {size}>"

    def _repr_html_(self) -> str:
        return f"<p>{html.escape(repr(self))}</p><p>{html.escape(self.limits)}</p>"

    def predict(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Return the probability of visible blood at every pixel.

        Parameters
        ----------
        images
            (H, W, 3) or (n, H, W, 3) uint8, RGB, cropped to the field of view.

        Returns
        -------
        (H, W) or (n, H, W) float32 in 0..1, at the size of the pictures; 0 all over a picture that
        shows no blood by the bundle's rule of presence, where it has one.

        Raises
        ------
        UsageError
            If `images` is of another shape or type.
        """
        batch = _checked(images)
        n, height, width, _ = batch.shape
        size_px = (self._predictor.input_height_px, self._predictor.input_width_px)
        out = np.empty((n, height, width), np.float32)
        for i, image in enumerate(batch):
            # Stretched to the model's square as in an analysis: another fitting would give other
            # areas than reports tell.
            probability = self._predictor.probabilities(to_model_size(image[None], *size_px))[0]
            out[i] = cv2.resize(probability, (width, height), interpolation=cv2.INTER_LINEAR)
        return out if np.ndim(images) == 4 else out[0]


def _checked(images: Any) -> NDArray[np.uint8]:  # noqa: ANN401 -- whatever a caller hands over
    array = np.asarray(images)
    is_good = array.ndim in (3, 4) and array.shape[-1] == 3 and array.dtype == np.uint8
    if not is_good or array.size == 0:
        raise UsageError(
            f"The pictures have shape {array.shape} and type {array.dtype}; need (H, W, 3) or "
            "(n, H, W, 3) of uint8, RGB."
        )
    return array if array.ndim == 4 else array[None]


def load_model(
    model: str = SegmentationConfig().model, *, device: Device | str = Device.AUTO
) -> Model:
    """Load a bundle by its name or folder; hashes are checked, pickles are refused.

    Raises
    ------
    BundleError
        If it is missing, altered, or no bundle.
    DependencyError
        If the device asked for is absent.

    Examples
    --------
    >>> import numpy as np, ubereport
    >>> red = np.full((64, 64, 3), (180, 10, 10), np.uint8)
    >>> bool(ubereport.load_model("hsv-red").predict(red).mean() > 0.5)
    True
    """
    config = SegmentationConfig(model=model, device=device)  # type: ignore[arg-type]
    bundle = load_bundle(find_bundle(config.model))
    return Model(bundle, open_predictor(bundle, config))
