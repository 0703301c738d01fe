"""What every output says of itself."""

from __future__ import annotations

DISCLAIMER = (
    "For research and departmental quality review. Not a medical device, not for diagnosis, "
    "not for judging one person."
)
