"""Pictures of a case at hand: from its recording where it is there, else its key frames."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np

from ubereport.analysis.view.outline import Ellipse, Outline
from ubereport.core.arrays import BoolArray, RgbArray
from ubereport.core.case import PartSummary
from ubereport.core.config import SegmentationConfig
from ubereport.core.errors import UsageError
from ubereport.core.frames import PixelBox
from ubereport.review.desk.case_desk import CaseDesk
from ubereport.review.desk.recordings import FoundPart
from ubereport.video.moment_child import MomentPart
from ubereport.video.moments import Moment, MomentReader
from ubereport.video.reader import color_rule_of

if TYPE_CHECKING:
    from ubereport.segmentation.predictor import Predictor

__all__ = ["CasePictures", "ShownPicture", "field_mask"]


@dataclass(frozen=True, slots=True, eq=False)
class ShownPicture:
    """A picture to show: JPEG bytes, its time on the case clock, and whether it is exact."""

    jpeg: bytes
    time_s: float
    is_exact: bool


class CasePictures:
    """Pictures and masks of one case; call `close` when done.

    Parameters
    ----------
    desk
        The case.
    models
        Folder of bundles; the case's own bundle draws its masks.
    """

    def __init__(self, desk: CaseDesk, models: Path) -> None:
        self._desk = desk
        self._models = models
        self._reader: MomentReader | None = None
        self._strip_reader: MomentReader | None = None
        self._predictor: Predictor | None = None
        self._opening = threading.Lock()

    def picture(self, time_s: float, *, is_exact: bool, width_px: int) -> ShownPicture:
        """Return the picture that stands at a moment of the case clock, or the nearest to be had.

        Raises
        ------
        SupersededError
            If another moment was asked for meanwhile.
        DecodeError
            If the recording gives no picture there.
        UsageError
            If neither a recording nor a key frame is at hand.
        """
        part_index = self._part_at(time_s)
        if part_index is None or not self._desk.is_shown(part_index):
            return self._key_frame(time_s)
        moment = self._moment(part_index, time_s, is_exact=is_exact, width_px=width_px)
        return ShownPicture(moment.jpeg, self._on_case_clock(part_index, moment), is_exact)

    def small_picture(self, time_s: float, width_px: int) -> ShownPicture:
        """Return a small picture near a moment, for a strip; gives way to nobody."""
        part_index = self._part_at(time_s)
        if part_index is None or not self._desk.is_shown(part_index):
            return self._key_frame(time_s)
        if self._strip_reader is None:
            self._strip_reader = self._opened_reader()
        start_s = self._desk.record.parts[part_index].start_s
        moment = self._strip_reader.moment(
            part_index,
            max(0.0, time_s - start_s),
            is_exact=False,
            width_px=width_px,
            is_patient=True,
        )
        return ShownPicture(moment.jpeg, self._on_case_clock(part_index, moment), is_exact=False)

    def mask(self, time_s: float) -> tuple[BoolArray, BoolArray, float]:
        """Return (mask, field of view, time) of the picture that stands at a moment.

        Both are (h, w) bool at the size that the model sees; time is on the case clock.

        Raises
        ------
        UsageError
            If the recording is not at hand.
        ModelError
            If the bundle that measured the case is not installed.
        """
        predictor = self._opened_predictor()
        seen, part_index, shown_s = self._seen(time_s, predictor)
        field = field_mask(self._desk.record.parts[part_index], seen.shape[:2])
        mask = np.asarray(predictor.masks(seen[None])[0] & field, dtype=np.bool_)
        return mask, field, shown_s

    def still(self, time_s: float) -> tuple[bytes, float]:
        """Return the exact picture as the model sees it, as PNG, and its time; to learn from."""
        seen, _, shown_s = self._seen(time_s, self._opened_predictor())
        is_done, encoded = cv2.imencode(".png", cv2.cvtColor(seen, cv2.COLOR_RGB2BGR))
        if not is_done:
            raise ValueError("OpenCV cannot encode the picture as PNG")
        return bytes(encoded), shown_s

    def _seen(self, time_s: float, predictor: Predictor) -> tuple[RgbArray, int, float]:
        """Return the picture at a moment as the model sees it, its part, and its time."""
        part_index = self._part_at(time_s)
        if part_index is None or not self._desk.is_shown(part_index):
            raise UsageError(
                "A mask needs the picture itself, and the recording of this part is not at hand."
                " Start the review with --recording."
            )
        seen_px = (predictor.input_height_px, predictor.input_width_px)
        moment = self._moment(part_index, time_s, is_exact=True, width_px=64, seen_px=seen_px)
        if moment.seen is None:
            raise ValueError("the picture was asked for as the model sees it")
        return moment.seen, part_index, self._on_case_clock(part_index, moment)

    def close(self) -> None:
        """End the decoding processes."""
        for reader in (self._reader, self._strip_reader):
            if reader is not None:
                reader.close()

    def _moment(
        self,
        part_index: int,
        time_s: float,
        *,
        is_exact: bool,
        width_px: int,
        seen_px: tuple[int, int] | None = None,
    ) -> Moment:
        with self._opening:
            if self._reader is None:
                self._reader = self._opened_reader()
        start_s = self._desk.record.parts[part_index].start_s
        return self._reader.moment(
            part_index,
            max(0.0, time_s - start_s),
            is_exact=is_exact,
            width_px=width_px,
            seen_px=seen_px,
            is_patient=seen_px is not None,
        )

    def _opened_reader(self) -> MomentReader:
        parts = [
            _moment_part(summary, found, self._desk.config.decode.max_width_px)
            for summary, found in zip(self._desk.record.parts, self._desk.parts, strict=True)
        ]
        return MomentReader(parts, self._desk.config.decode)

    def _opened_predictor(self) -> Predictor:
        from ubereport.segmentation.bundle import find_bundle, load_bundle
        from ubereport.segmentation.predictor import open_predictor

        with self._opening:
            if self._predictor is None:
                model = self._desk.record.provenance.model
                bundle = load_bundle(find_bundle(model.name, self._models))
                if bundle.sha256 != model.sha256:
                    raise UsageError(
                        f"The bundle {model.name} here is not the one that measured this case"
                        f" (version {model.version}). Give the folder that holds it with --models,"
                        " or measure the case again."
                    )
                self._predictor = open_predictor(bundle, SegmentationConfig())
            return self._predictor

    def _part_at(self, time_s: float) -> int | None:
        for index, part in enumerate(self._desk.record.parts):
            if part.start_s - 1e-6 <= time_s < part.start_s + part.duration_s:
                return index
        return None

    def _on_case_clock(self, part_index: int, moment: Moment) -> float:
        return self._desk.record.parts[part_index].start_s + moment.time_s

    def _key_frame(self, time_s: float) -> ShownPicture:
        frames = self._desk.record.key_frames
        nearest = min(frames, key=lambda frame: abs(frame.time_s - time_s), default=None)
        if nearest is None:
            raise UsageError(
                "No picture of this case is at hand: its recording was not given and it has no key"
                " frames. Start the review with --recording."
            )
        jpeg = (self._desk.folder / nearest.raw_path).read_bytes()
        return ShownPicture(jpeg, nearest.time_s, abs(nearest.time_s - time_s) < 1e-3)


def field_mask(part: PartSummary, seen_px: tuple[int, ...]) -> BoolArray:
    """Return the field of view of a part at the size that a model sees, (h, w) bool.

    The record keeps its bounding box and shape: a circle is the one that the box encloses, and of
    a circle that the picture cuts, the one as wide as the longer side.
    """
    field = part.field_of_view
    upright = (part.width_px, part.height_px)
    width_px, height_px = upright if part.rotation_deg % 180 == 0 else upright[::-1]
    crop = PixelBox(field.left_px, field.top_px, field.right_px, field.bottom_px)
    ellipse = None
    if field.shape == "circle":
        radius_px = max(crop.width_px, crop.height_px) / 2
        ellipse = Ellipse(
            (crop.left_px + crop.right_px) / 2 / width_px,
            (crop.top_px + crop.bottom_px) / 2 / height_px,
            radius_px / width_px,
            radius_px / height_px,
        )
    return Outline(0.0, 0.0, 1.0, 1.0, ellipse).render_crop(
        crop, (height_px, width_px), (seen_px[0], seen_px[1])
    )


def _moment_part(part: PartSummary, found: FoundPart, max_side_px: int) -> MomentPart:
    matrix, color_range = color_rule_of(
        part.width_px, part.height_px, part.color_matrix, part.color_range
    )
    upright = (part.width_px, part.height_px)
    field = part.field_of_view
    return MomentPart(
        path="" if found.path is None else str(found.path),
        color_matrix=matrix,
        color_range=color_range,
        rotation_deg=part.rotation_deg,
        source_size_px=upright if part.rotation_deg % 180 == 0 else upright[::-1],
        crop=(field.left_px, field.top_px, field.right_px, field.bottom_px),
        max_pixels=max_side_px * max_side_px,
    )
