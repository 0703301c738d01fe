"""Parts of a network that see whole views: a head, gains, doubts, haze removal."""

from __future__ import annotations

from typing import Final

import torch
import torch.nn.functional as F
from torch import nn

_MAX_SHIFT = 3.0
_BLOCK_PX = 16
_SHADE_PX = 9
# Of a view's level: darker pixels say nothing of a veil, since what surrounds a view is black.
_LIT_SHARE = 0.1
_MIN_LIT_SHARE_OF_BLOCK = 0.25
# So that noise is not made ten times as strong where hardly anything but a veil is seen.
_MAX_VEIL = 0.9
PRESENCE_PREFIX: Final = "presence."
"""Of the names of a presence head's weights in a state dict."""
FLOOD_PREFIX: Final = "flood."
"""Of the names of a flood gain's numbers in a state dict."""
HAZE_PREFIX: Final = "haze."
"""Of the names of a haze removal's numbers in a state dict."""
EXPOSURE_PREFIX: Final = "exposure."
"""Of the names of an exposure gain's numbers in a state dict."""
FLOOD_COLOR_PREFIX: Final = "flood_color."
"""Of the names of a flood color's numbers in a state dict."""
SHADE_PREFIX: Final = "shade."
"""Of the names of a shade doubt's numbers in a state dict."""
VIEW_PREFIXES: Final = (
    PRESENCE_PREFIX,
    FLOOD_PREFIX,
    HAZE_PREFIX,
    EXPOSURE_PREFIX,
    FLOOD_COLOR_PREFIX,
    SHADE_PREFIX,
)
"""Of all of these."""


def _register(module: nn.Module, **numbers: float) -> None:
    """Make numbers part of a module's weights that no training changes."""
    for name, number in numbers.items():
        module.register_buffer(name, torch.tensor([number]))


class PresenceHead(nn.Module):
    """Doubts a view as a whole: one logit, never above 0, that is added to all of its pixels.

    A pixel's logit knows its surroundings; that fluid is red all over, or that a view holds
    nothing but a dark hollow, shows in the view as a whole. A view that speaks for blood is left as
    it is, since what its pixels say is how far the blood reaches. The shift is bounded, so that no
    view, however strange, drowns what its pixels say.

    Parameters
    ----------
    n_channels
        Channels of the encoder's deepest features.
    """

    def __init__(self, n_channels: int) -> None:
        super().__init__()
        self.linear = nn.Linear(2 * n_channels, 1)

    def forward(self, deepest: torch.Tensor) -> torch.Tensor:
        """Map (n, channels, h, w) to the shift of each picture, (n, 1, 1, 1)."""
        evidence = self.linear(pooled_features(deepest)).clamp(max=0)
        shift = _MAX_SHIFT * torch.tanh(evidence / _MAX_SHIFT)
        return shift[:, :, None, None]


def pooled_features(deepest: torch.Tensor) -> torch.Tensor:
    """Return (n, 2 channels): mean and maximum of each of (n, channels, h, w) features."""
    return torch.cat([deepest.mean((2, 3)), deepest.amax((2, 3))], 1)


class FloodGain(nn.Module):
    """Believes a flooded view: its doubt is taken back, and something is added to its logits.

    A pixel deep in a pool that fills the view sees nothing that is not red, and nothing tells it
    that this is blood; that so much of the view is likely blood does. Where little is, a threshold
    that keeps clean views clean is right, and nothing changes. In between it changes in proportion.

    Its four numbers are part of the weights: `likely_logit` (probability 0.8), the shares of the
    view that must reach it, `from_frac` on and `to_frac` in full, and `gain` in logits (a threshold
    of 0.92 means what 0.70 did).
    """

    likely_logit: torch.Tensor
    from_frac: torch.Tensor
    to_frac: torch.Tensor
    gain: torch.Tensor

    def __init__(self) -> None:
        super().__init__()
        _register(self, likely_logit=1.386, from_frac=0.35, to_frac=0.55, gain=1.6)

    def share(self, logits: torch.Tensor, ease: torch.Tensor | float = 0.0) -> torch.Tensor:
        """Return (n, 1, 1, 1) how far each of (n, 1, H, W) logits shows a flooded view, 0 to 1.

        `ease` is what is added to the share of each view that is likely blood.
        """
        likely = (logits >= self.likely_logit).to(torch.float32).mean((2, 3), keepdim=True)
        return ((likely + ease - self.from_frac) / (self.to_frac - self.from_frac)).clamp(0, 1)

    def forward(
        self,
        logits: torch.Tensor,
        doubt: torch.Tensor | None,
        ease: torch.Tensor | float = 0.0,
    ) -> torch.Tensor:
        """Return what to add to (n, 1, H, W) logits, in the shape of what doubts them."""
        share = self.share(logits, ease)
        return self.gain * share + (0 if doubt is None else (1 - share) * doubt)


class _LightPart(nn.Module):
    """What tells how much light a picture sends: its numbers, of which `black` and `white` are two.

    Parameters
    ----------
    black, white
        Normalized values of pictures.
    numbers
        Those of the part itself.
    """

    black: torch.Tensor
    white: torch.Tensor

    def __init__(self, black: float, white: float, **numbers: float) -> None:
        super().__init__()
        _register(self, black=black, white=white, **numbers)

    def level(self, planes: torch.Tensor) -> torch.Tensor:
        """Return (n, 1, 1, 1) how bright each of (n, 3, H, W) pictures is, as a share of white."""
        return brightest_level(planes, self.black) / (self.white - self.black)

    def tint(self, planes: torch.Tensor) -> torch.Tensor:
        """Return (n, 1, 1, 1) the mean of green and blue of (n, 3, H, W), as a share of the red."""
        means = (planes - self.black).mean((2, 3), keepdim=True)
        return means[:, 1:].mean(1, keepdim=True) / means[:, :1].clamp(min=1e-3)


class FloodColor(_LightPart):
    """Takes a view that is red all over for a flooded one sooner, however dark it is.

    Blood swallows green and blue light, and tissue sends some of both back: a view that has hardly
    any of them lies behind blood. In the dark a network calls less of it likely; so less is asked
    for. A view that shows other colors, dark liver among them, is asked for as much as before.

    Its five numbers are part of the weights: the normalized values of `black` and `white`; how much
    green and blue a view has at most, as a share of its red, below `from_tint` in proportion and
    from `to_tint` down in full; and `ease`, the share of the view that is likely blood without
    being so, in full.
    """

    from_tint: torch.Tensor
    to_tint: torch.Tensor
    ease: torch.Tensor

    def __init__(self, black: float = -127 / 128, white: float = 1.0) -> None:
        super().__init__(black, white, from_tint=0.27, to_tint=0.2, ease=0.25)

    def forward(self, planes: torch.Tensor) -> torch.Tensor:
        """Map (n, 3, H, W) normalized pictures to (n, 1, 1, 1) what a flood gain adds to shares."""
        lack = (self.from_tint - self.tint(planes)) / (self.from_tint - self.to_tint)
        return self.ease * lack.clamp(0, 1)


class HazeRemoval(_LightPart):
    """Takes off the white veil that smoke, a fogged optic or turbid fluid lays over a view.

    In a veil blood is pale, and is not known as blood. A clear view has something, somewhere, that
    sends no light of one color: shadow, blood, fat without blue. Where even the darkest of that is
    bright (dark channel prior; He, Sun, Tang, CVPR 2009), what it sends is the veil. Views with
    as little of it as those that were trained on stay as they are.

    Its five numbers are part of the weights: the normalized values of `black` and `white`; the
    veil, as a share of how bright a view is, `from_veil` on which it is taken off and `to_veil`
    from which in full; and the share `left_veil` that stays, as most clear views have some.
    """

    from_veil: torch.Tensor
    to_veil: torch.Tensor
    left_veil: torch.Tensor

    def __init__(self, black: float = -127 / 128, white: float = 1.0) -> None:
        super().__init__(black, white, from_veil=0.25, to_veil=0.33, left_veil=0.08)

    def veil(self, planes: torch.Tensor) -> torch.Tensor:
        """Return (n, 1, 1, 1) the veil of (n, 3, H, W) pictures, as a share of their level."""
        return self._veil(planes - self.black, brightest_level(planes, self.black))

    def _veil(self, light: torch.Tensor, level: torch.Tensor) -> torch.Tensor:
        # Means of what is lit in each block, so that noise hides no veil and the edge of a round
        # view, half of it black, does not either.
        is_lit = (light.amax(1, keepdim=True) > _LIT_SHARE * level).to(light.dtype)
        lit_share = F.avg_pool2d(is_lit, _BLOCK_PX)
        least = F.avg_pool2d(light.amin(1, keepdim=True) * is_lit, _BLOCK_PX)
        is_told = lit_share >= _MIN_LIT_SHARE_OF_BLOCK
        least = torch.where(is_told, least / lit_share.clamp(min=1e-3), level).flatten(1)
        darkest = least.topk(max(1, least.shape[1] // 50), dim=1, largest=False).values
        return darkest.mean(1).view(-1, 1, 1, 1) / level.clamp(min=1e-3)

    def forward(self, planes: torch.Tensor) -> torch.Tensor:
        """Map (n, 3, H, W) normalized pictures to the same, as bright, without their veil."""
        light, level = planes - self.black, brightest_level(planes, self.black)
        veil = self._veil(light, level).clamp(max=_MAX_VEIL)
        share = ((veil - self.from_veil) / (self.to_veil - self.from_veil)).clamp(0, 1)
        removed = share * (veil - self.left_veil) / (1 - self.left_veil)
        clear = (light - removed * level) / (1 - removed) + self.black
        clear = torch.minimum(torch.maximum(clear, self.black), self.white)
        # A clear view is to keep its very bits, and no sum gives them back.
        return torch.where(removed > 0, clear, planes)


def brightest_level(planes: torch.Tensor, black: torch.Tensor) -> torch.Tensor:
    """Return (n, 1, 1, 1) how far above `black` the brightest fifth of (n, 3, H, W) pictures is."""
    value = planes.amax(1, keepdim=True)
    # Means of blocks, so that glints and noise do not make a view bright.
    blocks = F.avg_pool2d(value, _BLOCK_PX).flatten(1)
    brightest = blocks.topk(max(1, blocks.shape[1] // 5), dim=1).values
    return (brightest.mean(1) - black).view(-1, 1, 1, 1)


class ExposureGain(_LightPart):
    """Lifts a view that is dimmer than what a network was trained on, as a camera's gain does.

    In a dim view blood is too dark to be known as blood, though its color is there. How bright a
    view is, its brightest fifth says: what surrounds a view, and hollows that no light reaches,
    are dark in bright views, too. A view as bright as those that were trained on stays as it is;
    so does one that is red all over, since a flood is dark by itself and is known by that.

    Its six numbers are part of the weights: the normalized values of `black` and `white`, the
    `least_level` (share of white) that a view is lifted to, the `max_gain` by which, and how much
    green and blue a view has at least, as a share of its red: `from_tint` on it is lifted, and from
    `to_tint` in full.
    """

    least_level: torch.Tensor
    max_gain: torch.Tensor
    from_tint: torch.Tensor
    to_tint: torch.Tensor

    def __init__(self, black: float = -127 / 128, white: float = 1.0) -> None:
        super().__init__(black, white, least_level=0.535, max_gain=8.0, from_tint=0.2, to_tint=0.27)

    def forward(self, planes: torch.Tensor) -> torch.Tensor:
        """Map (n, 3, H, W) normalized pictures to the same, dim ones lifted."""
        lack = (self.least_level / self.level(planes).clamp(min=1e-3)).clamp(min=1)
        share = (self.tint(planes) - self.from_tint) / (self.to_tint - self.from_tint)
        gain = 1 + (torch.minimum(lack, self.max_gain) - 1) * share.clamp(0, 1)
        lifted = torch.minimum((planes - self.black) * gain + self.black, self.white)
        # A bright view is to keep its very bits, and no sum gives them back.
        return torch.where(gain > 1, lifted, planes)


class ShadeDoubt(_LightPart):
    """Doubts what hardly any light reaches: there, liver and a pool of blood have one color.

    How bright a place is, the mean of its surroundings says, so that the glints and the noise of a
    dark place do not make it bright. A place as bright as blood mostly is stays as it is. A view
    that is dim altogether, as floods are, is no dark place: less light is asked for there.

    Its six numbers are part of the weights: the normalized values of `black` and `white`; the
    levels, as shares of white, `from_level` below which a place is doubted and `to_level` at which
    it is in full, in views whose brightest fifth has `bright_level`, and in proportion in dimmer
    ones; and `doubt` in logits.
    """

    bright_level: torch.Tensor
    from_level: torch.Tensor
    to_level: torch.Tensor
    doubt: torch.Tensor

    def __init__(self, black: float = -127 / 128, white: float = 1.0) -> None:
        super().__init__(
            black, white, bright_level=0.535, from_level=0.196, to_level=0.098, doubt=3.0
        )

    def forward(self, planes: torch.Tensor) -> torch.Tensor:
        """Map (n, 3, H, W) normalized pictures to the shift of each pixel, (n, 1, H, W), <= 0."""
        light = (planes.amax(1, keepdim=True) - self.black) / (self.white - self.black)
        level = F.avg_pool2d(light, _SHADE_PX, 1, _SHADE_PX // 2, count_include_pad=False)
        level = level / (self.level(planes) / self.bright_level).clamp(1e-3, 1.0)
        lack = (level - self.from_level) / (self.from_level - self.to_level)
        return self.doubt * lack.clamp(-1, 0)
