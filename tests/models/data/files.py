"""Small sounds, pictures and videos in their true formats."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import av
import numpy as np
import soundfile
from PIL import Image

LFS = b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n"
FRAMES_A_SECOND = 10


def tone(hertz: float, rate: int = 8000, seconds: float = 0.3) -> np.ndarray:
    return (0.5 * np.sin(2 * np.pi * hertz * np.arange(round(rate * seconds)) / rate)).astype(np.float32)


def write_sound(path: Path, hertz: float = 440, rate: int = 8000, seconds: float = 0.3) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, tone(hertz, rate, seconds), rate)


def write_picture(path: Path, colour: tuple[int, int, int] = (255, 0, 0), side: int = 8) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (side, side), colour).save(path)


def write_video(
    path: Path, greys: Sequence[int] = (30, 120, 220), codec: str = "mpeg4", sound: np.ndarray | None = None
) -> None:
    """Frame i, shown from i / 10 s, is all of grey `greys[i]`; `sound` [n] at 44,100 Hz."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as container:
        video = container.add_stream(codec, rate=FRAMES_A_SECOND)
        video.width = video.height = 32
        video.pix_fmt = "yuv420p"
        audio = None if sound is None else container.add_stream("aac", rate=44_100, layout="mono")
        for grey in greys:
            frame = av.VideoFrame.from_ndarray(np.full((32, 32, 3), grey, np.uint8), format="rgb24")
            container.mux(video.encode(frame))
        container.mux(video.encode())
        if audio is not None and sound is not None:
            track = av.AudioFrame.from_ndarray(sound[None].astype(np.float32), format="fltp", layout="mono")
            track.sample_rate = 44_100
            container.mux(audio.encode(track))
            container.mux(audio.encode())
