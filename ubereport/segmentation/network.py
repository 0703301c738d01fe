"""Build a network from its description and fill it with checked weights; never downloads."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence

import segmentation_models_pytorch as smp
import torch
from safetensors.torch import load as load_safetensors
from safetensors.torch import save as save_safetensors
from torch import nn

from ubereport.core.errors import BundleError
from ubereport.segmentation.bundle import Bundle
from ubereport.segmentation.metadata import BundleMetadata, NetworkSpec
from ubereport.segmentation.view_parts import (
    VIEW_PREFIXES,
    ExposureGain,
    FloodColor,
    FloodGain,
    HazeRemoval,
    PresenceHead,
    ShadeDoubt,
)

_ARCHITECTURES = {"unetplusplus": smp.UnetPlusPlus, "unet": smp.Unet}
_COUNTER = ".num_batches_tracked"


def _own(network: nn.Module, name: str, given: nn.Module | None) -> nn.Module | None:
    return getattr(network, name, None) if given is None else given


class SegmentationNetwork(nn.Module):
    """A network of named parts: (n, 3, H, W) to (n, 1, H, W) logits of blood, or of both outputs.

    Parameters
    ----------
    network
        With `encoder`, `decoder` and `segmentation_head`, as segmentation-models-pytorch has. They
        are shared, not copied; so are the parts named below where it has them.
    haze
        Takes the veil off hazy views, before anything else looks at them.
    exposure
        Lifts dim views before the encoder looks at them.
    presence
        Lowers the logits of views that do not look like blood, from the deepest features.
    shade
        Lowers the logits of places that hardly any light reaches, as the encoder sees them.
    flood
        Believes flooded views.
    flood_color
        Takes views that are red all over for flooded ones sooner, as the encoder sees them.
    instruments
        Marks instruments, from all features; then the network answers with two logits.
    late_dtype
        Of everything after the encoder, under autocast: `torch.bfloat16` or `torch.float16`. None
        counts as the encoder does.
    """

    def __init__(
        self,
        network: nn.Module,
        *,
        haze: nn.Module | None = None,
        exposure: nn.Module | None = None,
        presence: nn.Module | None = None,
        shade: nn.Module | None = None,
        flood: nn.Module | None = None,
        flood_color: nn.Module | None = None,
        instruments: nn.Module | None = None,
        late_dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        self.encoder = network.get_submodule("encoder")
        self.decoder = network.get_submodule("decoder")
        self.segmentation_head = network.get_submodule("segmentation_head")
        self.haze = _own(network, "haze", haze)
        self.exposure = _own(network, "exposure", exposure)
        self.presence = _own(network, "presence", presence)
        self.shade = _own(network, "shade", shade)
        self.flood = _own(network, "flood", flood)
        self.flood_color = _own(network, "flood_color", flood_color)
        self.instruments = _own(network, "instruments", instruments)
        self.late_dtype = late_dtype

    def extra_repr(self) -> str:
        """Say what no part shows."""
        return f"late_dtype={self.late_dtype}"

    def seen(self, planes: torch.Tensor) -> torch.Tensor:
        """Return (n, 3, H, W) pictures as the encoder sees them, cleared and lifted."""
        for part in (self.haze, self.exposure):
            planes = planes if part is None else part(planes)
        return planes

    def features(self, planes: torch.Tensor) -> Sequence[torch.Tensor]:
        """Return what the encoder sees in (n, 3, H, W), the picture itself first."""
        features: Sequence[torch.Tensor] = self.encoder(self.seen(planes))
        return features

    def forward(self, planes: torch.Tensor) -> torch.Tensor | tuple[torch.Tensor, torch.Tensor]:
        """Return the logits of blood, or those of blood and of instruments."""
        planes = self.seen(planes)
        # Before the encoder, so that it counts in fp32 by every route.
        dark = None if self.shade is None else self.shade(planes)
        ease = 0.0 if self.flood_color is None else self.flood_color(planes)
        features: Sequence[torch.Tensor] = self.encoder(planes)
        if self.late_dtype is None:
            return self._logits(features, dark, ease)
        features = [feature.to(self.late_dtype) for feature in features]
        with torch.autocast(planes.device.type, dtype=self.late_dtype):
            return self._logits(features, dark, ease)

    def _logits(
        self,
        features: Sequence[torch.Tensor],
        dark: torch.Tensor | None,
        ease: torch.Tensor | float,
    ) -> torch.Tensor | tuple[torch.Tensor, torch.Tensor]:
        logits: torch.Tensor = self.segmentation_head(self.decoder(features))
        shift = None if self.presence is None else self.presence(features[-1])
        if dark is not None:
            shift = dark if shift is None else shift + dark
        if self.flood is not None:
            shift = self.flood(logits, shift, ease)
        if shift is not None:
            logits = logits + shift.to(logits.dtype)
        return logits if self.instruments is None else (logits, self.instruments(features))


def encoder_channels(network: nn.Module) -> Sequence[int]:
    """Return how many channels an encoder's features have, finest first."""
    channels: Sequence[int] = network.get_submodule("encoder").out_channels  # type: ignore[assignment]
    return channels


def build_network(spec: NetworkSpec) -> nn.Module:
    """Build an untrained network that maps (n, 3, H, W) float to (n, 1, H, W) logits.

    H and W are multiples of 32. Weights are random: nothing is fetched from anywhere.

    Raises
    ------
    BundleError
        If segmentation-models-pytorch or timm know no such encoder.
    """
    try:
        network: nn.Module = _ARCHITECTURES[spec.architecture](
            encoder_name=spec.encoder,
            encoder_weights=None,
            decoder_channels=spec.decoder_channels,
            decoder_interpolation=spec.interpolation,
            in_channels=3,
            classes=spec.classes,
            activation=None,
        )
    except (KeyError, RuntimeError, ValueError) as error:
        raise BundleError(
            f"There is no encoder {spec.encoder!r} for {spec.architecture}: {error}. "
            "Use an encoder of segmentation-models-pytorch or `tu-` and a name of timm."
        ) from None
    if spec.has_view_parts:
        network = SegmentationNetwork(
            network,
            haze=HazeRemoval() if spec.has_haze_removal else None,
            exposure=ExposureGain() if spec.has_exposure_gain else None,
            presence=PresenceHead(encoder_channels(network)[-1])
            if spec.has_presence_head
            else None,
            shade=ShadeDoubt() if spec.has_shade_doubt else None,
            flood=FloodGain() if spec.has_flood_gain else None,
            flood_color=FloodColor() if spec.has_flood_color else None,
        )
    return network.to(memory_format=torch.channels_last)


def portable_state(network: nn.Module) -> dict[str, torch.Tensor]:
    """Return the state dict on the CPU, contiguous, without the counters that training needs."""
    return {
        key: value.detach().to("cpu").contiguous()
        for key, value in network.state_dict().items()
        if not key.endswith(_COUNTER)
    }


def without_view_parts(state: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Return a state dict without what is fitted to no crop: haze removal, gains, doubts."""
    return {key: value for key, value in state.items() if not key.startswith(VIEW_PREFIXES)}


def has_part(state: Mapping[str, torch.Tensor], prefix: str) -> bool:
    """Say whether a state dict holds weights whose names begin with `prefix`."""
    return any(key.startswith(prefix) for key in state)


def load_state(network: nn.Module, state: Mapping[str, torch.Tensor]) -> None:
    """Fill `network` with `state`, which must fit it exactly.

    Raises
    ------
    BundleError
        If keys are missing or unexpected, a shape differs, or a value is not finite.
    """
    expected = {k: v for k, v in network.state_dict().items() if not k.endswith(_COUNTER)}
    tensors = {k: v for k, v in state.items() if not k.endswith(_COUNTER)}
    missing = sorted(expected.keys() - tensors.keys())
    unexpected = sorted(tensors.keys() - expected.keys())
    if missing or unexpected:
        raise BundleError(
            f"The weights belong to another architecture: {len(missing)} tensors are missing "
            f"({', '.join(missing[:3])}), {len(unexpected)} are unexpected "
            f"({', '.join(unexpected[:3])}). Use weights of the described network."
        )
    for key, tensor in tensors.items():
        if tensor.shape != expected[key].shape:
            raise BundleError(
                f"Tensor {key} has shape {tuple(tensor.shape)}, the network needs "
                f"{tuple(expected[key].shape)}. Use weights of the described network."
            )
        if not bool(torch.isfinite(tensor).all()):
            raise BundleError(f"Tensor {key} holds NaN or infinity; such weights are not used.")
    # Not strict only for the counters of batches, which a bundle lacks; all other names were
    # compared above.
    network.load_state_dict(dict(tensors), strict=False)


def load_network(bundle: Bundle) -> nn.Module:
    """Build the network of a bundle with its weights, in evaluation mode.

    The bytes that are used are the bytes that are hashed.

    Raises
    ------
    BundleError
        If the bundle has no network, or its weights changed or do not fit it.
    """
    spec = bundle.metadata.network
    if spec is None:
        raise BundleError(f"Bundle {bundle.metadata.name!r} holds no network.")
    content = bundle.weights_path.read_bytes()
    if hashlib.sha256(content).hexdigest() != bundle.sha256:
        raise BundleError("The weights changed since the bundle was checked; load it again.")
    network = build_network(spec)
    load_state(network, load_safetensors(content))
    return network.eval()


def state_bytes(module: nn.Module, prefix: str = "") -> bytes:
    """Return the weights of a module as safetensors, in one order, `prefix` before each name."""
    state = portable_state(module)
    return save_safetensors({f"{prefix}{key}": state[key] for key in sorted(state)})


def normalized(planes: torch.Tensor, metadata: BundleMetadata) -> torch.Tensor:
    """Return (n, 3, H, W) float planes of 0..255 on the CPU as a bundle's network takes them."""
    mean = torch.tensor(metadata.input_mean).view(1, 3, 1, 1)
    scale = torch.tensor(metadata.input_scale).view(1, 3, 1, 1)
    return (planes - mean) / scale
