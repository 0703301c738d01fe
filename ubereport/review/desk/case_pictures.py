"""Pictures of a case at hand: from its recording where it is there, else its key frames."""

from __future__ import annotations

import threading
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from ubereport.core.arrays import BoolArray, RgbArray
from ubereport.core.case import PartSummary, part_at
from ubereport.core.errors import UsageError
from ubereport.core.frames import PixelBox
from ubereport.core.outline import Ellipse, Outline
from ubereport.review.desk.case_desk import CaseDesk
from ubereport.review.desk.mask_network import MaskNetwork
from ubereport.review.desk.recordings import FoundPart
from ubereport.segmentation.bundle import Bundle, find_bundle, load_bundle
from ubereport.video.moment_part import MomentPart
from ubereport.video.moments import MomentReader
from ubereport.video.reader import color_rule, upright_size


@dataclass(frozen=True, slots=True, eq=False)
class ShownPicture:
    """A picture to show: JPEG bytes and its time on the case clock.

    `is_exact` says that it is the recording's own picture of the moment asked for; a stored key
    frame never is, and has no mask to be asked for.
    """

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
    network
        Runs the bundle; not closed with the pictures.
    """

    def __init__(self, desk: CaseDesk, models: Path | None, network: MaskNetwork) -> None:
        self._desk = desk
        self._models = models
        self._network = network
        self._readers: dict[str, MomentReader] = {}
        self._bundle: Bundle | None = None
        self._opening = threading.Lock()

    def picture(
        self, time_s: float, *, is_exact: bool, width_px: int, is_patient: bool = False
    ) -> ShownPicture:
        """Return the picture that stands at a moment of the case clock, or the nearest to be had.

        A patient one, of a strip, waits for its turn; any other gives way to a later one.

        Raises
        ------
        SupersededError
            If another moment was asked for meanwhile.
        DecodeError
            If the recording gives no picture there.
        UsageError
            If neither a recording nor a key frame is at hand.
        """
        part_index = self._shown_part_at(time_s)
        if part_index is None:
            return self._key_frame(time_s)
        start_s = self._start_s(part_index)
        moment = self._opened_reader("strip" if is_patient else "jumps").moment(
            part_index,
            max(0.0, time_s - start_s),
            is_exact=is_exact,
            width_px=width_px,
            is_patient=is_patient,
        )
        return ShownPicture(moment.jpeg, start_s + moment.time_s, is_exact)

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
        seen, field, shown_s = self.still(time_s)
        mask = np.asarray(
            self._network.masks(self._own_bundle(), seen[None])[0] & field, dtype=np.bool_
        )
        return mask, field, shown_s

    def graded_masks(self, time_s: float) -> tuple[RgbArray, BoolArray, BoolArray, BoolArray]:
        """Return (picture, field of view, mask at the lenient, mask at the strict threshold).

        Pixels between the two masks are blood by one of the bundle's thresholds and not by
        another; sizes and errors as in `mask`.
        """
        seen, field, _ = self.still(time_s)
        bundle = self._own_bundle()
        probability = self._network.probabilities(bundle, seen[None])[0]
        lenient, _, strict = bundle.metadata.thresholds
        return seen, field, (probability >= lenient) & field, (probability >= strict) & field

    def still(self, time_s: float) -> tuple[RgbArray, BoolArray, float]:
        """Return (picture, field of view, time) of a moment, as the model sees it; see `mask`."""
        model = self._own_bundle().metadata
        return self.still_of_size(time_s, model.input_height_px, model.input_width_px)

    def still_of_size(
        self, time_s: float, height_px: int, width_px: int
    ) -> tuple[RgbArray, BoolArray, float]:
        """Return (picture, field of view, time) of a moment, its crop stretched to a size.

        Raises
        ------
        UsageError
            If the recording is not at hand.
        DecodeError
            If the recording gives no picture there.
        """
        part_index = self._shown_part_at(time_s)
        if part_index is None:
            raise UsageError(
                "A mask needs the picture itself, and the recording of this part is not at hand."
                " Start the review with --recording."
            )
        start_s = self._start_s(part_index)
        moment = self._opened_reader("jumps").moment(
            part_index,
            max(0.0, time_s - start_s),
            is_exact=True,
            width_px=64,
            seen_px=(height_px, width_px),
            is_patient=True,
        )
        if moment.seen is None:
            raise ValueError("the picture was asked for as the model sees it")
        field = field_mask(self._desk.record.parts[part_index], moment.seen.shape[:2])
        return moment.seen, field, start_s + moment.time_s

    def rest(self) -> None:
        """End the decoding processes; the next picture starts them again."""
        with self._opening:
            readers = tuple(self._readers.values())
        for reader in readers:
            reader.rest()

    def close(self) -> None:
        """End the decoding processes."""
        for reader in self._readers.values():
            reader.close()

    def _opened_reader(self, purpose: str) -> MomentReader:
        """Return the reader for jumps or for strips, so that neither waits for the other."""
        with self._opening:
            # Not before a picture is asked for: each reader is a decoding process of its own.
            if purpose not in self._readers:
                decode = self._desk.config.decode
                parts = [
                    _moment_part(summary, part_file, decode.max_width_px)
                    for summary, part_file in zip(
                        self._desk.record.parts, self._desk.parts, strict=True
                    )
                ]
                self._readers[purpose] = MomentReader(parts, decode)
            return self._readers[purpose]

    def _own_bundle(self) -> Bundle:
        with self._opening:
            if self._bundle is None:
                model = self._desk.record.provenance.model
                bundle = load_bundle(find_bundle(model.name, self._models))
                # The digest and not the version: masks drawn now must be those that the areas were
                # counted from.
                if bundle.sha256 != model.sha256:
                    raise UsageError(
                        f"The bundle {model.name} here is not the one that measured this case"
                        f" (version {model.version}). Give the folder that holds it with --models,"
                        " or measure the case again."
                    )
                # A later version of the same weights may read them otherwise than this case's did.
                metadata = replace(
                    bundle.metadata, thresholds=model.thresholds, presence=model.presence
                )
                self._bundle = replace(bundle, metadata=metadata)
            return self._bundle

    def _shown_part_at(self, time_s: float) -> int | None:
        """Return the part that a moment lies in, if its pictures may be shown."""
        index = part_at(self._desk.record.parts, time_s)
        return index if index is not None and self._desk.is_shown(index) else None

    def _start_s(self, part_index: int) -> float:
        return self._desk.record.parts[part_index].start_s

    def _key_frame(self, time_s: float) -> ShownPicture:
        frames = self._desk.record.key_frames
        nearest = min(frames, key=lambda frame: abs(frame.time_s - time_s), default=None)
        if nearest is None:
            raise UsageError(
                "No picture of this case is at hand: its recording was not given and it has no key"
                " frames. Start the review with --recording."
            )
        jpeg = (self._desk.folder / nearest.raw_path).read_bytes()
        return ShownPicture(jpeg, nearest.time_s, is_exact=False)


def field_mask(part: PartSummary, seen_px: tuple[int, ...]) -> BoolArray:
    """Return the field of view of a part at the size that a model sees, (h, w) bool.

    The record keeps its bounding box and shape: a circle is the one that the box encloses, and of
    a circle that the picture cuts, the one as wide as the longer side.
    """
    field = part.field_of_view
    width_px, height_px = upright_size(part)
    crop = PixelBox(field.left_px, field.top_px, field.right_px, field.bottom_px)
    ellipse = None
    if field.shape == "circle":
        # The longer side: where the picture cuts the circle, the shorter one is the cut and not the
        # width.
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


def _moment_part(part: PartSummary, part_file: FoundPart, max_side_px: int) -> MomentPart:
    matrix, color_range = color_rule(part)
    field = part.field_of_view
    return MomentPart(
        path="" if part_file.path is None else str(part_file.path),
        color_matrix=matrix,
        color_range=color_range,
        rotation_deg=part.rotation_deg,
        source_size_px=upright_size(part),
        crop=(field.left_px, field.top_px, field.right_px, field.bottom_px),
        max_pixels=max_side_px * max_side_px,
    )
