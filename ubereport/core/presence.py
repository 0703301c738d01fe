"""The rule by which a picture shows blood at all, before anything of it is measured."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from ubereport.core.validation import validated

_Share = Annotated[float, Field(gt=0, lt=1)]


@validated("presence", error=ValueError)
class PresenceRule:
    """A picture shows blood where at least `view_frac` of it reaches `probability`.

    In any other picture no pixel is blood, whatever its probability: many pixels that are a little
    like blood, and none that surely is, are wet tissue in the shade more often than blood. In a
    picture that does show blood its paler rim is then found by a lower threshold than would be
    safe without the rule.

    Parameters
    ----------
    probability
        What a pixel must reach to be surely blood.
    view_frac
        Share of the model's whole picture that must be surely blood.

    Raises
    ------
    ValueError
        If a value is not above 0 and below 1.
    """

    probability: _Share
    view_frac: _Share
