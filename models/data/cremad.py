"""CREMA-D: 91 actors say twelve sentences in six emotions, 7,442 clips of picture and sound.

Source: H. Cao, D. G. Cooper, M. K. Keutmann, R. C. Gur, A. Nenkova, R. Verma, CREMA-D: Crowd-sourced
Emotional Multimodal Actors Dataset, IEEE Trans. Affective Computing 5(4), 2014; Open Database License.
Layout: `AudioWAV/1001_DFA_ANG_XX.wav` and `VideoFlash/1001_DFA_ANG_XX.flv`: actor, sentence, emotion, level.

Sound as S-CMRL's public code takes it: repeated until 3 s are full, cut there, then `audio.log_stft`.
Picture: the middle frame, where that code draws one at random, as RGB in [0, 1] without ImageNet's mean and
deviation, which are the network's affair.

CREMA-D has no official split. Here actors are numbered in order of their names and every fifth tests,
from number `fold` (0 to 4), so that no one is heard in training and test. The split of S-CMRL's code and
of those before it draws a tenth of the clips at random.
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from avnir.errors import DataError
from avnir.models.data import splits
from avnir.models.data.audio import Feature, log_stft
from avnir.models.data.clips import Clip, groups_of, labels_of, paired, read_audio, read_image
from avnir.models.data.media import refuse
from avnir.models.data.pairs import PairedData
from avnir.models.data.registry import Options

SOUNDS = "AudioWAV"
VIDEOS = "VideoFlash"
NAME = re.compile(r"(\d{4})_([A-Z]{3})_([A-Z]{3})_([A-Z]{2})")
EMOTIONS = ("NEU", "HAP", "SAD", "FEA", "DIS", "ANG")
"""In the order of S-CMRL's code."""
CLASSES = ("neutral", "happy", "sad", "fearful", "disgust", "angry")
SECONDS = 3
FOLDS = 5
RANDOM_TEST_SHARE = 0.1


def missing_cremad(folder: Path) -> list[str]:
    """What `folder` lacks to load CREMA-D; empty if something of both is there."""
    wanted = ((SOUNDS, "wav"), (VIDEOS, "flv"))
    return [f"{name}/*.{kind}" for name, kind in wanted if not any((folder / name).glob(f"*.{kind}"))]


def load_cremad(folder: Path, options: Options, feature: Feature = log_stft) -> PairedData:
    """image [N, 3, image_size, image_size], audio [N, 1, audio_size, audio_size], both in [0, 1].

    Clips of which the sound or the video is missing are left out and counted in the provenance: the
    published set lacks some videos. Raises `DataError` for names that don't parse, unreadable files and
    absent emotions, all at once.
    """
    fold = options.fold or 0
    splits.check_fold(fold, range(FOLDS))
    if missing := missing_cremad(folder):
        raise DataError(f"{folder}: missing {' and '.join(missing)}")
    clips, alone = _clips(folder)
    is_test = _every_fifth(groups_of(clips), fold)
    at_random = options.split == "authors"
    if at_random:
        is_test = splits.random_test(labels_of(clips), RANDOM_TEST_SHARE, options.seed)
        splits.warn_of_leak(groups_of(clips), is_test, "speaker")
    return paired(
        *("CREMA-D", folder, clips, is_test, CLASSES),
        readers={
            "image": lambda clip: read_image(clip, options.image_size),
            "audio": lambda clip: _spectrum(clip, options.audio_size, feature),
        },
        provenance={
            "source": "CREMA-D (Cao et al. 2014; Open Database License)",
            "split": "random tenth of the clips" if at_random else f"by actor, fold {fold} of {FOLDS}",
            "seed": options.seed,
            "feature": feature.__name__,
            "left out, sound or video missing": alone,
        },
    )


def _clips(folder: Path) -> tuple[list[Clip], int]:
    """The clips with both files, by name; and how many have one."""
    sounds = {path.stem: path for path in (folder / SOUNDS).glob("*.wav")}
    videos = {path.stem: path for path in (folder / VIDEOS).glob("*.flv")}
    refuse(folder, (problem for stem in sorted({*sounds, *videos}) if (problem := _name_problem(stem))))
    both = sorted(sounds.keys() & videos.keys())
    if not both:
        raise DataError(f"{folder}: no clip has its sound in {SOUNDS} and its video in {VIDEOS}")
    clips = [Clip(videos[stem], sounds[stem], EMOTIONS.index(stem[9:12]), stem[:4]) for stem in both]
    return clips, len(sounds.keys() ^ videos.keys())


def _name_problem(stem: str) -> str | None:
    found = NAME.fullmatch(stem)
    if found and found[3] in EMOTIONS:
        return None
    return f"{stem}: not a name like 1001_DFA_ANG_XX with an emotion of {', '.join(EMOTIONS)}"


def _every_fifth(actors: NDArray[np.str_], first: int) -> splits.Mask:
    names = np.unique(actors)
    return np.isin(actors, names[first::FOLDS])


def _spectrum(clip: Clip, size: int, feature: Feature) -> NDArray[np.float32]:
    sound = read_audio(clip)
    return feature(np.resize(sound.samples, SECONDS * sound.rate), sound.rate, size)[None]
