"""A data set that needs no download: handwritten digits that ship with scikit-learn, and made voices.

Images: the 1,797 8x8 digits of `sklearn.datasets.load_digits` (E. Alpaydin, C. Kaynak, Optical
Recognition of Handwritten Digits, UCI, 1998; CC BY 4.0), enlarged to 16x16. Writers follow one another
in it, so the split goes by index: the first 1,300 train, the other 497 test. Audio: `voice.say`, with
speakers of the test split that never speak in training.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from avnir.errors import UserError
from avnir.models.data.pairs import DIGITS, PairedData, Split
from avnir.models.data.spectrogram import log_mel
from avnir.models.data.voice import RATE, Speaker, say

TRAIN_IMAGES = 1300
TRAIN_SPEAKERS = range(60)
TEST_SPEAKERS = range(1000, 1020)


def load_generator(train_pairs: int = 5200, seed: int = 0) -> PairedData:
    """`train_pairs` training pairs, and 497 test pairs that use each test image once.

    A training image that comes again comes with another utterance. Same seed, same bytes.
    """
    images, labels = _digit_images()
    known, unseen = slice(None, TRAIN_IMAGES), slice(TRAIN_IMAGES, None)
    return PairedData(
        name="generated digits",
        train=_split(images[known], labels[known], TRAIN_SPEAKERS, train_pairs, seed),
        test=_split(images[unseen], labels[unseen], TEST_SPEAKERS, len(labels) - TRAIN_IMAGES, seed),
        class_names=DIGITS,
        provenance={
            "images": "scikit-learn load_digits (UCI optical digits, CC BY 4.0), index < 1300 trains",
            "audio": "formant synthesis, speakers 0-59 train, 1000-1019 test",
            "seed": seed,
        },
    )


def _digit_images() -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """[1797, 1, 16, 16] in [0, 1]: every pixel of the 8x8 image, 0 to 16, as a block of 2x2."""
    try:
        from sklearn.datasets import load_digits
    except ModuleNotFoundError as error:
        raise UserError("the generated digits need scikit-learn: pip install 'avnir[models]'") from error

    digits = load_digits()
    images = np.kron(digits.images / 16, np.ones((2, 2)))
    return images[:, None].astype(np.float32), digits.target.astype(np.int64)


def _split(
    images: NDArray[np.float32], labels: NDArray[np.int64], speakers: range, pairs: int, seed: int
) -> Split:
    """Pair i takes the images in turn, and an utterance of a speaker drawn for it."""
    rng = np.random.default_rng([seed, speakers.start])
    voices = [Speaker.draw(seed, index) for index in speakers]
    chosen = np.resize(np.arange(len(labels)), pairs)
    clips = [say(digit, voices[rng.integers(len(voices))], rng) for digit in labels[chosen]]
    audio = np.stack([log_mel(clip, RATE) for clip in clips])[:, None]
    order = rng.permutation(pairs)
    inputs = {"image": images[chosen[order]], "audio": audio[order]}
    return Split(inputs, labels[chosen[order]])
