"""Which metric can measure something of which dataset: where it can measure nothing it says so, and never passes."""

from __future__ import annotations

from dataclasses import replace

import pytest

from mmbench.modality import DatasetSpec, Modality
from mmbench.plugins import METRICS, available, load

GREY = Modality(name="grey", shape=(1, 16, 16), network="own", latent=2)
OTHER = Modality(name="other", shape=(1, 16, 16), network="own", latent=2)
COLOUR = Modality(name="colour", shape=(3, 16, 16), network="own", latent=2)
SECOND = Modality(name="second", shape=(3, 16, 16), network="own", latent=2)
CAPTION = Modality(name="caption", shape=(2,), network="own", latent=2, likelihood="categorical", vocabulary=("a", "b"))
WORD = replace(CAPTION, name="word", classes=("a", "b"))
TINY = replace(GREY, name="tiny", shape=(1, 8, 8))
PAIRS = {"clip_s", "caption_match"}
INCEPTION = {"fid", "kid", "prdc_inception"}
JUDGED = {"fmd", "prdc"}
ANY = {"log_likelihood"}
PIXELS = {"reconstruction_error", *ANY}
CASES = {
    "grey digits": ((GREY, OTHER), 2, {"coherence", "linear_probe", *JUDGED, *PIXELS}),
    "images too small for the judges": ((GREY, TINY), 2, {"linear_probe", *PIXELS}),
    "images too small for a window": ((TINY, replace(TINY, name="speck")), 2, {"linear_probe", *ANY}),
    "grey and colour digits": ((GREY, COLOUR), 2, {"coherence", "linear_probe", *JUDGED, *INCEPTION, *PIXELS}),
    "digits and their names": (
        (GREY, COLOUR, WORD),
        2,
        {"agreement", "coherence", *JUDGED, *INCEPTION, *PIXELS, *PAIRS},
    ),
    "images with captions": ((COLOUR, CAPTION), 0, {*INCEPTION, *PIXELS, *PAIRS}),
    "grey images with captions": ((GREY, CAPTION), 0, PIXELS),
    "two images with captions": ((COLOUR, SECOND, CAPTION), 0, {*INCEPTION, *PIXELS}),
    "captions that are classed": ((COLOUR, CAPTION), 2, {"linear_probe", *JUDGED, *INCEPTION, *PIXELS, *PAIRS}),
    "three of which one is mute": ((GREY, COLOUR, CAPTION), 2, {"linear_probe", *JUDGED, *INCEPTION, *PIXELS, *PAIRS}),
    "two texts": ((WORD, CAPTION), 0, ANY),
    "two texts that say their class": ((WORD, replace(WORD, name="again")), 2, {"coherence", *ANY}),
}


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("metric", sorted(available(METRICS)))
def test_a_metric_knows_what_it_can_measure(case: str, metric: str) -> None:
    modalities, classes, fit = CASES[case]
    spec = DatasetSpec(name="own", title="Own", modalities=modalities, classes=classes)
    reason = load(METRICS, metric).unfit(spec)
    assert bool(reason) == (metric not in fit), reason
    assert "\n" not in reason
