"""What an agent sees of one entry of a Gymnasium observation: the value is checked against its space, then converted.

An image becomes uint8 (H, W, C) with sides that are multiples of 16, everything else a flat float32 vector.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import prod
from typing import Any, Literal, Protocol

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from agents.protocol import Space
from harness.env import Mismatch
from harness.errors import BadInput

Native = Callable[[np.ndarray], np.ndarray] | None
Layout = Literal["hwc", "chw", "hw"]

STRIDE = 16  # the encoder halves images four times
LARGEST_SIDE = 256  # above it an image is shrunk to SMALL by default
SMALL = (64, 64)
SMALLEST_SIDE = 16  # a smaller array of one channel, or of floats, is a table and no image
MOST_CHANNELS = 4  # of an image that must be recognised; a stack of frames, channel first, may have up to MOST_FRAMES
MOST_FRAMES = 16
ROUNDING = 1e-5  # of the width of a range: values of a simulator may lie this far outside
GREY = np.array([0.299, 0.587, 0.114], np.float32)


class ViewOptions(BaseModel):
    """How images and ranges are read."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    resize: Literal["auto", "none"] | int | tuple[int, int] = Field(
        "auto", description="height and width of images; auto: to the nearest multiple of 16, none: as they are"
    )
    grey: bool = Field(False, description="turn images grey")
    layout: Literal["auto", "hwc", "chw", "hw", "vector"] = Field("auto", description="axes of images; vector: no images")
    bounds: Literal["check", "ignore"] = Field("check", description="whether values beyond their space's bounds are errors")


class View(Protocol):
    """One entry of an observation. `space`: what the agent gets; `notes`: in words, what was done to it."""

    space: Space
    notes: tuple[str, ...]

    def __call__(self, value: Any, native: Native) -> np.ndarray:
        """The agent's array, its own memory. Mismatch where the value is not of the declared space."""
        ...


class BoxCheck:
    """Whether a value is of a Box: shape, dtype (as Gymnasium compares it: a safe cast), range, finite."""

    def __init__(self, key: str, box: Any, bounds: str):
        self._key, self._box = key, box
        self._shape, self._dtype = box.shape, box.dtype
        self._limits = _limits(box, bounds)

    def __call__(self, value: Any) -> np.ndarray:
        array = value if isinstance(value, np.ndarray) else self._as_array(value)
        if array.shape != self._shape or not (array.dtype == self._dtype or np.can_cast(array.dtype, self._dtype)):
            raise Mismatch(self._key, f"{array.dtype} {array.shape}", str(self._box))
        if self._limits is not None:
            low, high = self._limits
            inside = (array >= low) & (array <= high)
            if not inside.all():
                raise Mismatch(self._key, _describe_outlier(array, inside), str(self._box), finite=_is_finite(array))
        return array

    def _as_array(self, value: Any) -> np.ndarray:
        """Lists and numbers have no dtype of their own: they take the declared one, if they are of its kind."""
        try:
            array = np.asarray(value)
        except ValueError:
            raise Mismatch(self._key, repr(value)[:80], str(self._box)) from None
        kinds = {"f": "fiu", "i": "iu", "u": "iu", "b": "b"}.get(self._dtype.kind, "")
        whole_range = array.dtype.kind in "iu" and self._dtype.kind in "iu"
        if array.dtype.kind not in kinds or (whole_range and array.size and not _fits(array, self._dtype)):
            return array
        return array if isinstance(value, np.generic) else array.astype(self._dtype)


def _limits(box: Any, bounds: str) -> tuple[np.ndarray, np.ndarray] | None:
    """(low, high) that a value is compared with, a little wider than the Box; None where its dtype allows no others.

    Infinite bounds become the largest finite numbers, so that one comparison finds NaN and infinity as well.
    """
    if box.dtype.kind not in "fiu":
        return None
    limits = np.finfo(box.dtype) if box.dtype.kind == "f" else np.iinfo(box.dtype)
    low, high = box.low, box.high
    if bounds == "ignore":
        low, high = np.full(box.shape, limits.min, box.dtype), np.full(box.shape, limits.max, box.dtype)
    elif box.dtype.kind == "f":
        with np.errstate(invalid="ignore", over="ignore"):
            slack = np.where(np.isfinite(low) & np.isfinite(high), (high - low) * ROUNDING, 0)
            low, high = np.clip(low - slack, limits.min, limits.max), np.clip(high + slack, limits.min, limits.max)
    elif (low == limits.min).all() and (high == limits.max).all():
        return None
    return np.asarray(low, box.dtype), np.asarray(high, box.dtype)


def _describe_outlier(array: np.ndarray, inside: np.ndarray) -> str:
    index = np.unravel_index(int(np.argmin(inside)), inside.shape) if inside.shape else ()
    place = f" at [{', '.join(map(str, index))}]" if index else ""
    return f"{array[index]}{place}"


def _is_finite(array: np.ndarray) -> bool:
    return array.dtype.kind != "f" or bool(np.isfinite(array).all())


def _fits(array: np.ndarray, dtype: np.dtype) -> bool:
    limits = np.iinfo(dtype)
    return bool(array.min() >= limits.min and array.max() <= limits.max)


class VectorView:
    """Any Box as a flat float32 vector."""

    def __init__(self, key: str, box: Any, bounds: str):
        self._check = BoxCheck(key, box, bounds)
        self.space = Space((int(np.prod(box.shape)),), "float32")
        self.notes: tuple[str, ...] = ()

    def __call__(self, value: Any, native: Native) -> np.ndarray:
        return np.array(self._check(value), np.float32).reshape(-1)


class OneHotView:
    """A choice of classes: Discrete as a one-hot vector, MultiDiscrete as several side by side, MultiBinary as it is."""

    def __init__(self, key: str, space: Any):
        from gymnasium import spaces

        self._key, self._declared = key, space
        self._is_binary = isinstance(space, spaces.MultiBinary)
        if self._is_binary:
            self._sizes = np.full(prod(space.shape), 2)
        else:
            self._sizes = np.atleast_1d(space.nvec if isinstance(space, spaces.MultiDiscrete) else space.n).reshape(-1)
        self._start = np.asarray(getattr(space, "start", 0), np.int64).reshape(-1)
        self._offsets = np.cumsum(self._sizes) - self._sizes
        self.space = Space((len(self._sizes) if self._is_binary else int(self._sizes.sum()),), "float32")
        self.notes: tuple[str, ...] = ()

    def __call__(self, value: Any, native: Native) -> np.ndarray:
        index = self._index(value)
        if self._is_binary:
            return index.astype(np.float32)
        vector = np.zeros(self.space.shape, np.float32)
        vector[self._offsets + index] = 1
        return vector

    def _index(self, value: Any) -> np.ndarray:
        """The class of each choice, counted from 0."""
        array = np.asarray(value)
        if array.size != len(self._sizes) or array.dtype.kind not in "iub":
            raise Mismatch(self._key, repr(value)[:80], str(self._declared))
        index = array.reshape(-1).astype(np.int64) - self._start
        if not ((index >= 0) & (index < self._sizes)).all():
            raise Mismatch(self._key, repr(value)[:80], str(self._declared))
        return index


class ImageView:
    """An image: axes in order, uint8, perhaps grey, and resized. `native` acts on the frame before grey and resizing."""

    def __init__(self, key: str, box: Any, layout: Layout, options: ViewOptions, size: tuple[int, int]):
        self._check = BoxCheck(key, box, options.bounds)
        self._layout = layout
        height, width, channels = _hwc_shape(box.shape, layout)
        self._grey = options.grey and channels > 1
        if self._grey and channels != 3:
            raise BadInput(f"Option grey needs images of 1 or 3 channels; '{key}' has {channels}: {box}.")
        self._scale = _scale(key, box)
        self._size = size if size != (height, width) else None
        self._sharp = size[0] >= height and size[1] >= width  # enlarged symbols must not be mixed with their neighbours
        self.space = Space((*size, 1 if self._grey else channels), "uint8")
        self.notes = tuple(self._describe(key, box, (height, width)))

    def __call__(self, value: Any, native: Native) -> np.ndarray:
        frame = self._to_hwc(self._check(value))
        if self._scale is not None:
            low, factor = self._scale
            frame = np.clip(np.rint((frame - low) * factor), 0, 255).astype(np.uint8)
        frame = np.array(frame, np.uint8)
        frame = native(frame) if native else frame
        if self._grey:
            frame = np.rint(frame @ GREY).astype(np.uint8)[..., None]
        return frame if self._size is None else resize(frame, self._size, sharp=self._sharp)

    def _to_hwc(self, array: np.ndarray) -> np.ndarray:
        if self._layout == "chw":
            return array.transpose(1, 2, 0)
        return array[..., None] if self._layout == "hw" else array

    def _describe(self, key: str, box: Any, sides: tuple[int, int]) -> list[str]:
        notes = []
        if self._layout == "chw":
            notes.append(f"{key}: {box.shape} is read as channel first (force with env.options.layout=hwc)")
        if self._layout == "hw":
            notes.append(f"{key}: {box.shape} is read as a grey image (force with env.options.layout=vector)")
        if self._scale is not None:
            notes.append(f"{key}: {box.dtype} from {box.low.min():g} to {box.high.max():g} is scaled to 0 to 255 (uint8)")
        if self._grey:
            notes.append(f"{key}: turned grey")
        if self._size is not None:
            old, new = ("x".join(map(str, size)) for size in (sides, self._size))
            times = self._size[0] * self._size[1] / (SMALL[0] * SMALL[1])
            cost = f", an update costs about {times:.0f} times one on 64x64" if times > 2 else ""
            notes.append(f"{key}: {old} is resized to {new}{cost} (env.options.resize=[HEIGHT,WIDTH] sets another size)")
        return notes


def make_views(task: str, entries: Mapping[str, Any], options: ViewOptions) -> dict[str, View]:
    """The view of every entry of an observation: key -> Gymnasium space. BadInput where an option cannot be obeyed."""
    from gymnasium import spaces

    layouts = {key: image_layout(task, key, s, options) for key, s in entries.items() if isinstance(s, spaces.Box)}
    images = {key: layout for key, layout in layouts.items() if layout is not None}
    sizes = [_target_size(task, key, _hwc_shape(entries[key].shape, images[key])[:2], options) for key in images]
    # The agent joins all images along their channels, so they have one size: the largest.
    size = max(sizes, key=lambda sides: sides[0] * sides[1], default=SMALL)
    views: dict[str, View] = {}
    for key, space in entries.items():
        if key in images:
            views[key] = ImageView(key, space, images[key], options, size)
        elif isinstance(space, spaces.Box):
            views[key] = VectorView(key, space, options.bounds)
        else:
            views[key] = OneHotView(key, space)
    return views


def image_layout(task: str, key: str, box: Any, options: ViewOptions) -> Layout | None:
    """How the axes of an image are ordered; None where the Box is no image."""
    if options.layout == "vector":
        return None
    dims = len(box.shape)
    if options.layout != "auto" and dims in (2, 3):
        if dims != (2 if options.layout == "hw" else 3):
            raise BadInput(f"Option layout={options.layout} does not fit '{key}' of {task}: {box}.")
        if _scale(key, box, task) is not None or box.dtype == np.uint8:
            return options.layout
    if dims == 2 and min(box.shape) >= SMALLEST_SIDE and _has_image_range(box):
        return "hw"
    if dims != 3:
        return None
    first, last = box.shape[0], box.shape[2]
    square = box.shape[1] == last and last > MOST_FRAMES >= first
    layout: Layout = "chw" if last > MOST_CHANNELS and (first <= MOST_CHANNELS or square) else "hwc"
    if box.dtype == np.uint8:
        return layout
    height, width, channels = _hwc_shape(box.shape, layout)
    is_image = min(height, width) >= SMALLEST_SIDE and channels <= MOST_FRAMES and _has_image_range(box)
    return layout if is_image else None


def resize(frame: np.ndarray, size: tuple[int, int], *, sharp: bool) -> np.ndarray:
    """(H, W, C) uint8 in another (height, width); `sharp`: nearest pixel instead of Pillow's BILINEAR."""
    from PIL import Image

    method = Image.Resampling.NEAREST if sharp else Image.Resampling.BILINEAR
    if frame.shape[2] == 3:
        return np.array(Image.fromarray(frame).resize(size[::-1], method))
    planes = [np.array(Image.fromarray(frame[..., channel]).resize(size[::-1], method)) for channel in range(frame.shape[2])]
    return np.stack(planes, -1)


def _hwc_shape(shape: tuple[int, ...], layout: Layout) -> tuple[int, int, int]:
    if layout == "hw":
        return shape[0], shape[1], 1
    return (shape[1], shape[2], shape[0]) if layout == "chw" else (shape[0], shape[1], shape[2])


def _has_image_range(box: Any) -> bool:
    """Whether the bounds are those of brightness: 0 to 1 or 0 to 255 everywhere."""
    return box.dtype.kind in "fiu" and bool((box.low == 0).all()) and any((box.high == top).all() for top in (1, 255))


def _scale(key: str, box: Any, task: str = "") -> tuple[float, float] | None:
    """(low, factor) of the way to 0 to 255; None for uint8. BadInput where the bounds differ or are none."""
    if box.dtype == np.uint8:
        return None
    low, high = float(box.low.flat[0]), float(box.high.flat[0])
    one_range = bool((box.low == low).all() and (box.high == high).all()) and np.isfinite([low, high]).all()
    if not one_range or low >= high:
        raise BadInput(f"'{key}' of {task} cannot be an image: its space must bound all pixels alike, and is {box}.")
    return low, 255 / (high - low)


def _target_size(task: str, key: str, sides: tuple[int, int], options: ViewOptions) -> tuple[int, int]:
    resize = options.resize
    if resize == "auto":
        height, width = (max(STRIDE, round(side / STRIDE) * STRIDE) for side in sides)
        return SMALL if max(sides) > LARGEST_SIDE else (height, width)
    size = sides if resize == "none" else (resize, resize) if isinstance(resize, int) else resize
    if any(side < STRIDE or side % STRIDE for side in size):
        raise BadInput(
            f"Option resize={resize} of {task}: '{key}' would be {size[0]}x{size[1]}, and the sides of an image must be "
            f"multiples of {STRIDE}. The default, auto, takes the nearest."
        )
    return size
