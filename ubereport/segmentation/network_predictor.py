"""Run a bundle's network over pictures; for areas, only counts of pixels leave the device."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np
import torch
from torch import nn

from ubereport.core.arrays import BoolArray, FloatArray, RgbArray
from ubereport.core.config import SegmentationConfig
from ubereport.core.errors import PredictionError
from ubereport.segmentation.bundle import Bundle
from ubereport.segmentation.devices import DeviceChoice, choose_device, one_thread
from ubereport.segmentation.failover import DeviceLostError
from ubereport.segmentation.fusion import answers_of, fuse_batch_norms
from ubereport.segmentation.instruments import load_outputs
from ubereport.segmentation.metadata import BundleMetadata
from ubereport.segmentation.pictures import (
    ProbabilityArray,
    areas_with_tissue,
    check_field_mask,
    check_pictures,
    counted_masks,
    not_finite,
    shown_blood,
)
from ubereport.segmentation.precision import with_low_precision_tail
from ubereport.segmentation.routes import ACCELERATOR_BATCH, PROCESSOR_BATCH
from ubereport.segmentation.uploads import PictureUploads

Answer = np.ndarray[tuple[int, ...], np.dtype[np.generic]]
_OUT_OF_MEMORY = ("out of memory", "not enough memory", "can't allocate memory")
_DEVICE_FAILED = ("cuda error", "cuda driver", "cudnn", "cublas", "hip error", "mps backend")


def open_network_predictor(bundle: Bundle, config: SegmentationConfig) -> NetworkPredictor:
    """Load a bundle's network onto the device that `config` asks for; see `open_predictor`."""
    choice = choose_device(config.device, config.is_low_precision_allowed)
    if config.n_threads > 0:
        torch.set_num_threads(config.n_threads)
    with one_thread():
        network = fuse_batch_norms(load_outputs(bundle))
    # Batch norms are folded in before: folded in low precision, weights would be rounded twice.
    network = with_low_precision_tail(network, choice.late_dtype)
    by_device = PROCESSOR_BATCH if choice.device.type == "cpu" else ACCELERATOR_BATCH
    return NetworkPredictor(network, bundle.metadata, choice, config.batch_size or by_device)


class NetworkPredictor:
    """`Predictor` of a bundle of kind "network".

    Parameters
    ----------
    network
        Maps (n, 3, H, W) float32 to (n, 1, H, W) logits, or to two of them where the bundle marks
        instruments; put into evaluation mode.
    metadata
        Input size, normalization, thresholds.
    choice
        Device and precision.
    batch_size
        Pictures looked at together; halved for good when memory runs out, which changes no
        answer since every picture is looked at on its own.
    """

    def __init__(
        self,
        network: nn.Module,
        metadata: BundleMetadata,
        choice: DeviceChoice,
        batch_size: int,
    ) -> None:
        self.input_height_px = metadata.input_height_px
        self.input_width_px = metadata.input_width_px
        self.thresholds = metadata.thresholds
        self.device = choice.title
        self.is_accelerated = choice.device.type != "cpu"
        self.precision = choice.precision
        self.batch_size = batch_size
        self._choice = choice
        self._uploads = PictureUploads(choice.device)
        self._is_flip_averaged = metadata.test_time == "flip"
        self._instruments = metadata.instruments
        self._presence = metadata.presence
        # Channels last is how pictures lie in memory already, and what convolutions of both kinds
        # of device read fastest.
        self._network = network.eval().to(choice.device).to(memory_format=torch.channels_last)
        self._mean = _channel_vector(metadata.input_mean, choice.device)
        self._scale = _channel_vector(metadata.input_scale, choice.device)

    def areas(self, rgb: RgbArray, field_mask: BoolArray) -> FloatArray:
        """Return (n, 4) float64 area fractions of the field; see `Predictor.areas`.

        Raises
        ------
        PredictionError
            If the network answers with NaN, infinity or a wrong shape, or memory runs out even
            for a single picture; `DeviceLostError` where another device than the processor fails.
        ValueError
            If `rgb` or `field_mask` have another size than the model's.
        """
        check_field_mask(field_mask, self.input_height_px, self.input_width_px)
        with self._telling_device_failures():
            field = torch.from_numpy(np.array(field_mask)).to(self._choice.device)
        counts = self._batched(rgb, lambda chunk: self._count(chunk, field))
        if len(rgb) == 0:
            return np.empty((0, 4), dtype=np.float64)
        # Whole pixels are counted on the device and divided here: the same count is the same
        # fraction on every device.
        return areas_with_tissue(counts.astype(np.int64), int(np.count_nonzero(field_mask)))

    def masks(self, rgb: RgbArray) -> BoolArray:
        """Return (n, H, W) bool masks at the central threshold; raises as `areas`."""
        central = self.thresholds[1]
        return self._batched(rgb, lambda chunk: self._blood(chunk) >= central).astype(bool)

    def probabilities(self, rgb: RgbArray) -> ProbabilityArray:
        """Return (n, H, W) float32 probability maps; raises as `areas`."""
        return self._batched(rgb, self._blood).astype(np.float32)

    def _batched(self, rgb: RgbArray, step: Callable[[torch.Tensor], torch.Tensor]) -> Answer:
        check_pictures(rgb, self.input_height_px, self.input_width_px)
        parts: list[Answer] = []
        done = 0
        with self._telling_device_failures():
            while done < len(rgb):
                # After memory ran out, what was answered stays and the rest goes on in smaller
                # batches.
                for answer in self._answers(rgb[done:], step):
                    parts.append(answer)
                    done += len(answer)
                if done < len(rgb):
                    self._halve()
        shape = (0, self.input_height_px, self.input_width_px)
        return np.concatenate(parts) if parts else np.empty(shape)

    def _answers(
        self, rgb: RgbArray, step: Callable[[torch.Tensor], torch.Tensor]
    ) -> Iterator[Answer]:
        """Yield what `step` says of each chunk; end early where memory runs out."""
        chunks = self._uploads.chunks(rgb, self.batch_size)
        while True:
            try:
                with torch.inference_mode():
                    pixels = next(chunks, None)
                    if pixels is None:
                        return
                    # A device works on while Python goes on; fetching the answer waits for it, so
                    # that its failure is met here and at no later call.
                    answer = np.asarray(step(pixels).cpu().numpy())
            except torch.OutOfMemoryError:
                return
            except RuntimeError as error:
                # Processors and Apple's devices say in words only that memory ran out.
                if any(words in str(error).lower() for words in _OUT_OF_MEMORY):
                    return
                raise
            yield answer

    def _halve(self) -> None:
        if self.batch_size == 1:
            raise (DeviceLostError if self.is_accelerated else PredictionError)(
                f"Memory ran out on {self.device} for a single picture of {self.input_height_px} × "
                f"{self.input_width_px}. Free memory or use --device cpu."
            )
        self.batch_size //= 2
        if self._choice.device.type == "cuda":
            torch.cuda.empty_cache()

    @contextmanager
    def _telling_device_failures(self) -> Iterator[None]:
        """Raise `DeviceLostError` where the device and not the network is at fault."""
        try:
            yield
        except RuntimeError as error:
            is_driver = isinstance(error, torch.AcceleratorError) or any(
                words in str(error).lower() for words in _DEVICE_FAILED
            )
            if not self.is_accelerated or not is_driver:
                raise
            raise DeviceLostError(
                f"{self.device} failed in mid-case. Run again, or use --device cpu."
            ) from error

    def _count(self, pixels: torch.Tensor, field: torch.Tensor) -> torch.Tensor:
        masks = counted_masks(
            self._probabilities(pixels), field, self.thresholds, self._instruments
        )
        return torch.stack([mask.sum(dim=(1, 2)) for mask in masks], dim=1)

    def _blood(self, pixels: torch.Tensor) -> torch.Tensor:
        return self._probabilities(pixels)[0]

    def _probabilities(self, pixels: torch.Tensor) -> list[torch.Tensor]:
        """Return (n, H, W) of blood, and of instruments where they are marked."""
        planes = pixels.permute(0, 3, 1, 2).to(torch.float32, memory_format=torch.channels_last)
        planes = (planes - self._mean) / self._scale
        probabilities = [torch.sigmoid(logits) for logits in self._logits(planes)]
        if self._is_flip_averaged:
            # Probabilities are averaged and not logits, as calibration does: thresholds hold for
            # their mean.
            mirrored = [torch.sigmoid(logits).flip(2) for logits in self._logits(planes.flip(3))]
            probabilities = [(p + m) / 2 for p, m in zip(probabilities, mirrored, strict=True)]
        blood, *others = probabilities
        return [shown_blood(blood, self._presence), *others]

    def _logits(self, planes: torch.Tensor) -> list[torch.Tensor]:
        with _ieee_convolutions():
            answers = answers_of(self._network(planes))
        n_described = 1 if self._instruments is None else 2
        if len(answers) != n_described:
            raise PredictionError(
                f"The network answered with {len(answers)} outputs; the bundle describes "
                f"{n_described}. Export the bundle again."
            )
        return [self._checked(logits, len(planes)) for logits in answers]

    def _checked(self, logits: object, n: int) -> torch.Tensor:
        expected = (n, 1, self.input_height_px, self.input_width_px)
        if not isinstance(logits, torch.Tensor) or tuple(logits.shape) != expected:
            shape = tuple(logits.shape) if isinstance(logits, torch.Tensor) else type(logits)
            raise PredictionError(
                f"The network answered with shape {shape}, not {expected}: one logit a pixel. "
                "Export the bundle again."
            )
        # NaN is at or above no threshold and would count as a clean view.
        if not bool(torch.isfinite(logits).all()):
            raise not_finite(self.precision, self.device)
        return logits[:, 0].float()


@contextmanager
def _ieee_convolutions() -> Iterator[None]:
    """Let fp32 mean fp32 on CUDA, where convolutions are counted in TF32 (10 bits) if not told.

    With TF32 an area lay up to 0.34 percentage points from the processor's (H200, `ube-blood-3`);
    the rule is 0.2. What is given in bf16 stays in bf16.
    """
    cudnn = torch.backends.cudnn
    with cudnn.flags(
        enabled=cudnn.enabled,
        benchmark=cudnn.benchmark,
        deterministic=True,
        allow_tf32=False,
    ):
        yield


def _channel_vector(values: tuple[float, float, float], device: torch.device) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float32, device=device).view(1, 3, 1, 1)
