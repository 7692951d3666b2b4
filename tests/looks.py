"""What a reader would trip over in a figure: text beyond the page, labels over each other, lines without an entry."""

import itertools

import numpy as np
from matplotlib.colors import to_rgb

# Machado, Oliveira and Fernandes (2009), table 1, severity 1.0: linear RGB as each complete colour blindness sees it.
SIGHTS = {
    "normal": np.eye(3),
    "protan": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "deutan": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]],
    "tritan": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]],
}
XYZ = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])


def lines(ax, label):
    return [line for line in ax.lines if line.get_label() == label]


def points(ax, label):
    """Every (x, y) of the lines of that label, in order of drawing."""
    return [(float(x), float(y)) for line in lines(ax, label) for x, y in zip(*line.get_data(), strict=True)]


def caption_text(figure):
    """The caption as one line."""
    return " ".join(" ".join(text.get_text() for text in figure.texts).split())


def check(figure, smallest=6.5):
    """No text leaves the page, no tick label or title touches another of its panel's, and nothing is too small to read."""
    figure.canvas.draw()
    renderer, page = figure.canvas.get_renderer(), figure.bbox
    for ax in figure.axes:
        ticks = [[t for t in axis.get_ticklabels() if t.get_text() and within(ax, axis, t)] for axis in (ax.xaxis, ax.yaxis)]
        for labels in ticks:
            boxes = [label.get_window_extent(renderer) for label in labels]
            if not any(label.get_rotation() % 90 for label in labels):  # boxes of tilted text always overlap
                for a, b in itertools.pairwise(boxes):
                    assert not overlap(a, b), (ax.get_title(), [label.get_text() for label in labels])
        texts = [*itertools.chain(*ticks), *ax.texts, ax.title, ax._left_title, ax.xaxis.label, ax.yaxis.label]
        for text in filter(lambda text: text.get_text(), texts):
            box = text.get_window_extent(renderer)
            assert page.x0 - 1 <= box.x0 and box.x1 <= page.x1 + 1 and box.y0 >= page.y0 - 1, text.get_text()
            assert box.y1 <= page.y1 + 1, text.get_text()
            assert text.get_fontsize() >= smallest, text.get_text()
    titles = [t.get_window_extent(renderer) for ax in figure.axes for t in (ax.title, ax._left_title) if t.get_text()]
    assert not any(overlap(a, b) for a, b in itertools.combinations(titles, 2))
    for below in [*figure.texts, *figure.legends]:
        box = below.get_window_extent(renderer)
        assert box.x1 <= page.x1 + 1 and box.y0 >= page.y0 - 1, "caption or legend is cut"
        assert not any(overlap(box, ax.get_tightbbox(renderer)) for ax in figure.axes), "caption or legend lies on a panel"


def within(ax, axis, label):
    low, high = sorted(ax.get_xlim() if axis is ax.xaxis else ax.get_ylim())
    return low <= label.get_position()[0 if axis is ax.xaxis else 1] <= high


def overlap(a, b):
    return a.x0 < b.x1 - 0.5 and b.x0 < a.x1 - 0.5 and a.y0 < b.y1 - 0.5 and b.y0 < a.y1 - 0.5


def lab(colour, sight):
    """CIE L*a*b* (D65) of a colour as somebody with that sight sees it."""
    rgb = np.array(to_rgb(colour))
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    xyz = XYZ @ np.clip(np.array(SIGHTS[sight]) @ linear, 0, 1) / [0.9505, 1, 1.089]
    f = np.where(xyz > 0.008856, np.cbrt(xyz), 7.787 * xyz + 16 / 116)
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])
