"""Annotations of stills: one type, and the formats of the tools that people draw with.

Blood masks, ignore regions (undecided pixels) and zero masks (looked at, no blood) of one or
several annotators a still go through every format unchanged. See `types` for the nouns, `stills`
for joining annotations with their stills, and one module a format: `png`, `coco`, `labelme`,
`cvat`, `label_studio`, `packed`.
"""
