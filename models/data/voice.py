"""A formant synthesiser that says the ten English digits in as many voices as there are seeds.

A digit is a chain of phones; the tracks of its parameters run linearly from the middle of one phone to
the middle of the next. Voiced sound: harmonics of the pitch that fall as 1/k (glottal source and lip
radiation together, -6 dB per octave), each scaled by the vocal tract's response, a cascade of three
second-order resonators (G. Fant, Acoustic Theory of Speech Production, 1960; D. Klatt, JASA 67, 1980).
Noise: two bands of white noise, one high (s, z, t) and one broad (f, th, v, k, h).

Vowel formants: averages over men of G. Peterson and H. Barney, JASA 24, 1952. Values of the other
phones, levels and durations are plain choices of this file, made to be heard as what they stand for.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

RATE = 8000
"""Samples per second."""
CONTROL = 80
"""Samples between two values of a parameter track: 10 ms."""
BANDWIDTHS_HZ = np.array([80.0, 110.0, 160.0])
HIGH_BAND_HZ = (2600.0, 4000.0)
BROAD_BAND_HZ = (900.0, 3400.0)


@dataclass(frozen=True)
class Phone:
    """Length in milliseconds, three formants in Hz, and levels (1 = a full vowel) of the three sources."""

    length: float
    formants: tuple[float, float, float]
    voice: float = 1.0
    high_noise: float = 0.0
    broad_noise: float = 0.0


PHONES = {
    "IY": Phone(120, (270, 2290, 3010)),
    "IH": Phone(90, (390, 1990, 2550)),
    "EH": Phone(110, (530, 1840, 2480)),
    "AH": Phone(120, (640, 1190, 2390)),
    "AA": Phone(110, (730, 1090, 2440)),
    "AO": Phone(140, (570, 840, 2410)),
    "UW": Phone(180, (300, 870, 2240)),
    "ER": Phone(80, (490, 1350, 1690), 0.8),
    "OW": Phone(140, (480, 800, 2400)),
    "schwa": Phone(60, (500, 1500, 2500), 0.8),
    "W": Phone(70, (290, 610, 2150), 0.7),
    "R": Phone(70, (330, 1060, 1400), 0.7),
    "N": Phone(90, (280, 1400, 2500), 0.4),
    "V": Phone(70, (300, 1100, 2300), 0.35, 0.0, 0.12),
    "Z": Phone(90, (300, 1500, 2500), 0.3, 0.3, 0.0),
    "S": Phone(120, (350, 1600, 2600), 0.0, 0.5, 0.0),
    "F": Phone(110, (350, 1100, 2300), 0.0, 0.04, 0.14),
    "TH": Phone(90, (350, 1400, 2500), 0.0, 0.05, 0.10),
    "gap": Phone(55, (400, 1500, 2500), 0.0),
    "T": Phone(40, (400, 1700, 2600), 0.0, 0.5, 0.1),
    "K": Phone(40, (400, 1900, 2400), 0.0, 0.1, 0.4),
}

WORDS = (
    ("Z", "IH", "R", "OW"),
    ("W", "AH", "N"),
    ("T", "UW", "UW"),
    ("TH", "R", "IY", "IY"),
    ("F", "AO", "R"),
    ("F", "AA", "IY", "V"),
    ("S", "IH", "gap", "K", "S"),
    ("S", "EH", "V", "schwa", "N"),
    ("EH", "IY", "gap", "T"),
    ("N", "AA", "IY", "N"),
)
"""The phones of the words zero to nine."""


@dataclass(frozen=True)
class Speaker:
    """What stays the same between two words of one speaker."""

    pitch_hz: float
    formant_scale: float
    rate: float
    breath: float

    @staticmethod
    def draw(seed: int, index: int) -> Speaker:
        """Speaker number `index` of the population `seed`."""
        rng = np.random.default_rng([seed, index])
        tract = rng.uniform(0.0, 1.0)
        return Speaker(
            pitch_hz=95 + 125 * tract + rng.normal(0, 12),
            formant_scale=0.94 + 0.24 * tract + rng.normal(0, 0.02),
            rate=rng.uniform(0.75, 1.3),
            breath=rng.uniform(0.7, 1.5),
        )


def say(digit: int, speaker: Speaker, rng: np.random.Generator) -> NDArray[np.float64]:
    """One utterance [samples] at RATE, of peak 1 before white noise is added at -6 to 10 dB of SNR.

    Lengths, formants, pitch and levels of each phone are jittered by draws from `rng`.
    """
    tracks = _tracks([PHONES[name] for name in WORDS[digit]], speaker, rng)
    samples = len(tracks) * CONTROL
    levels = np.repeat(tracks[:, 3:], CONTROL, axis=0)
    wave = levels[:, 0] * _voice(tracks[:, :3], speaker, rng)
    for level, band in zip(levels.T[1:], (HIGH_BAND_HZ, BROAD_BAND_HZ), strict=True):
        wave += speaker.breath * level * _noise(samples, band, rng)
    wave /= np.abs(wave).max()
    background = 10 ** (-rng.uniform(-6, 10) / 20) * np.sqrt(np.mean(wave**2))
    return wave + background * rng.standard_normal(samples)


def _tracks(phones: list[Phone], speaker: Speaker, rng: np.random.Generator) -> NDArray[np.float64]:
    """[control points, 6]: three formants in Hz, then the levels of voice, high and broad noise."""
    count = len(phones)
    lengths = np.array([p.length for p in phones]) / speaker.rate * rng.uniform(0.7, 1.35, count)
    formants = np.array([p.formants for p in phones]) * speaker.formant_scale
    formants *= rng.normal(1, 0.08, (count, 3))
    levels = np.array([(p.voice, p.high_noise, p.broad_noise) for p in phones])
    levels *= rng.uniform(0.6, 1.4, (count, 1))
    middles = np.cumsum(lengths) - lengths / 2
    time = np.arange(0, lengths.sum(), 1000 * CONTROL / RATE)
    values = np.hstack([formants, levels])
    return np.stack([np.interp(time, middles, column) for column in values.T], axis=1)


def _voice(formants: NDArray[np.float64], speaker: Speaker, rng: np.random.Generator) -> NDArray[np.float64]:
    """Voiced sound [control points * CONTROL] of level 1 with a falling, wavering pitch.

    Formants [control points, 3] in Hz. Harmonics above RATE / 2 are left out.
    """
    points = len(formants)
    fall = np.linspace(1 + rng.uniform(0, 0.15), 1 - rng.uniform(0, 0.15), points)
    pitch = speaker.pitch_hz * fall * rng.normal(1, 0.03)
    harmonics = np.arange(1, int(RATE / 2 / pitch.max()) + 1)
    amplitude = _tract(pitch[:, None] * harmonics, formants) / harmonics
    amplitude /= np.sqrt((amplitude**2).sum(axis=1, keepdims=True))
    phase = np.exp(2j * np.pi * np.cumsum(np.repeat(pitch, CONTROL)) / RATE)
    powers = np.cumprod(np.broadcast_to(phase, (len(harmonics), len(phase))), axis=0)
    return np.einsum("kpc,pk->pc", powers.imag.reshape(len(harmonics), points, CONTROL), amplitude).ravel()


def _tract(frequency: NDArray[np.float64], formants: NDArray[np.float64]) -> NDArray[np.float64]:
    """Magnitude [points, harmonics] of the resonators at `frequency` [points, harmonics] in Hz."""
    response = np.ones_like(frequency)
    for centre, bandwidth in zip(formants.T[:, :, None], BANDWIDTHS_HZ, strict=True):
        ratio = frequency / centre
        response /= np.hypot(1 - ratio**2, ratio * bandwidth / centre)
    return response


def _noise(samples: int, band: tuple[float, float], rng: np.random.Generator) -> NDArray[np.float64]:
    """White noise [samples] of power 1, cut to `band` in Hz."""
    spectrum = np.fft.rfft(rng.standard_normal(samples))
    frequency = np.fft.rfftfreq(samples, 1 / RATE)
    spectrum[(frequency < band[0]) | (frequency > band[1])] = 0
    wave = np.fft.irfft(spectrum, samples)
    return wave / np.sqrt(np.mean(wave**2))
