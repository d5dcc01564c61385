"""Resample sound: WAV, FLAC, AIFF, Ogg Vorbis or Opus to WAV of one sampling rate, as models of speech want it.

    instore transform examples/resample.py sounds speech --args rate=16000 --ext flac:wav

Arguments: `rate` in hertz (16000), and `mono` (true): all channels become one, their mean. The result has 16 bits. What
the new rate can't hold (above half of it) is filtered out first, so that it doesn't come back as other tones.

A file that breaks off is an error, not a shorter sound. MP3 is refused, since many don't say how long they are:
`instore init --from ffmpeg` begins a project that takes them, and videos.
"""

import io
import re
from dataclasses import dataclass
from pathlib import Path

import soundfile
import soxr

from instore import ETLServer

FORMATS = ("WAV", "WAVEX", "FLAC", "AIFF", "OGG")


@dataclass
class Options:
    rate: int = 16000
    mono: bool = True

    def __post_init__(self) -> None:
        if not 1000 <= self.rate <= 384000:
            raise ValueError(f"rate is {self.rate}; it takes hertz, from 1000 to 384000")


class Resample(ETLServer):
    Args = Options

    def transform(self, data: bytes | str, path: str, args: Options) -> bytes:
        content = data if isinstance(data, bytes) else Path(data).read_bytes()
        try:
            with soundfile.SoundFile(io.BytesIO(content)) as sound:
                check_whole(sound, content)
                samples, rate = sound.read(dtype="float32", always_2d=True), sound.samplerate
        except soundfile.LibsndfileError as error:
            raise ValueError(f"this is not a whole sound that libsndfile reads: {error.error_string}") from None
        if args.mono:
            samples = samples.mean(axis=1, keepdims=True)
        result = io.BytesIO()
        resampled = soxr.resample(samples, rate, args.rate, quality="VHQ")
        soundfile.write(result, resampled, args.rate, subtype="PCM_16", format="WAV")  # what is too loud is cut off
        return result.getvalue()

    def get_mime_type(self) -> str:
        return "audio/wav"


def check_whole(sound: soundfile.SoundFile, content: bytes) -> None:
    """libsndfile reads what there is of a WAV, AIFF or Ogg file that breaks off."""
    if sound.format not in FORMATS:
        raise ValueError(f"this is {sound.format}; it takes {', '.join(FORMATS)}")
    if re.search(r"^\s*(data|SSND) .*should be", sound.extra_info, re.MULTILINE) or (
        sound.format == "OGG" and not has_last_page(content)
    ):
        raise ValueError("this sound breaks off: there is less of it than its file says")


def has_last_page(ogg: bytes) -> bool:
    """Whether the last page of an Ogg file is marked as that, and is whole."""
    start = ogg.rfind(b"OggS")
    segments = ogg[start + 27 : start + 27 + ogg[start + 26]] if start + 26 < len(ogg) else b""
    return bool(segments) and bool(ogg[start + 5] & 4) and start + 27 + len(segments) + sum(segments) <= len(ogg)
