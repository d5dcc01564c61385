import io
from pathlib import Path
from typing import Any

import numpy
import pytest
import soundfile

from instore.errors import ArgumentsError
from instore.server.arguments import decoder_of
from tests.examples.support import load, names_in, package_folder, run_command

RATE = 48000


def sounds() -> Path:
    """Signals of a machine, of 24 bits and two channels, that chime ships."""
    return package_folder("chime") / "themes" / "material"


def resampled(data: bytes | str, options: str = "") -> tuple[numpy.ndarray, int]:
    example: Any = load("resample.py")
    result = example.transform(data, "sounds/o.wav", decoder_of("Resample", example.Args)(options))
    assert soundfile.info(io.BytesIO(result)).subtype == "PCM_16"
    samples, rate = soundfile.read(io.BytesIO(result), always_2d=True)
    return samples, rate


def encoded(samples: numpy.ndarray, format: str = "WAV", subtype: str | None = None, rate: int = RATE) -> bytes:
    file = io.BytesIO()
    soundfile.write(file, samples, rate, format=format, subtype=subtype)
    return file.getvalue()


def tone(hertz: float, seconds: float = 1.0) -> numpy.ndarray:
    return 0.5 * numpy.sin(2 * numpy.pi * hertz * numpy.arange(int(seconds * RATE)) / RATE)


def loudness(samples: numpy.ndarray) -> float:
    """The middle of a sound: its ends are where filters begin."""
    middle = samples[len(samples) // 4 : -len(samples) // 4]
    return float(numpy.sqrt((middle**2).mean()))


def test_a_folder_of_sounds_becomes_one_of_speech_models_sounds(tmp_path: Path) -> None:
    run_command("resample.py", sounds(), tmp_path / "out", "--include", "*.wav")
    assert names_in(tmp_path / "out") == ["error.wav", "info.wav", "success.wav", "warning.wav"]
    for name in names_in(tmp_path / "out"):
        before, after = soundfile.info(sounds() / name), soundfile.info(tmp_path / "out" / name)
        assert (after.samplerate, after.channels, after.subtype) == (16000, 1, "PCM_16")
        assert after.duration == pytest.approx(before.duration, abs=0.001)


def test_to_a_higher_rate_and_back_it_is_the_same_sound() -> None:
    before, rate = soundfile.read(sounds() / "info.wav", always_2d=True)
    up, _ = resampled((sounds() / "info.wav").read_bytes(), "rate=96000&mono=false")
    back, new_rate = resampled(encoded(up, subtype="FLOAT", rate=96000), f"rate={rate}&mono=false")
    assert (new_rate, back.shape) == (rate, before.shape)
    assert numpy.abs(back - before).max() < 0.001


def test_what_the_new_rate_can_not_hold_does_not_come_back_as_another_tone() -> None:
    heard, _ = resampled(encoded(tone(1000)))
    above, _ = resampled(encoded(tone(15000)))  # would be heard at 1000 hertz
    assert loudness(heard) == pytest.approx(0.5 / 2**0.5, rel=0.01)
    assert loudness(above) < 0.0005


def test_channels_become_their_mean_or_stay() -> None:
    both = numpy.stack([tone(440), tone(880)], axis=1)
    mono, _ = resampled(encoded(both), f"rate={RATE}")
    stereo, _ = resampled(encoded(both), f"rate={RATE}&mono=false")
    assert numpy.abs(mono - both.mean(axis=1, keepdims=True)).max() < 0.001
    assert numpy.abs(stereo - both).max() < 0.001


def test_what_is_too_loud_is_cut_off_and_does_not_turn_over() -> None:
    square = numpy.sign(tone(440)) * 0.999
    result, _ = resampled(encoded(square))
    assert abs(result).max() > 0.99
    expected = numpy.interp(numpy.arange(len(result)) / 16000, numpy.arange(len(square)) / RATE, square)
    held = abs(expected) > 0.99
    assert (numpy.sign(result[held, 0]) == numpy.sign(expected[held])).mean() > 0.99


@pytest.mark.parametrize(
    ("format", "subtype"),
    [
        ("WAV", None),
        ("WAV", "FLOAT"),
        ("WAVEX", None),
        ("FLAC", None),
        ("AIFF", None),
        ("OGG", "VORBIS"),
        ("OGG", "OPUS"),
    ],
)
def test_every_format_is_read_and_one_that_breaks_off_is_refused(format: str, subtype: str | None) -> None:
    data = encoded(tone(440, 0.5), format, subtype)
    result, rate = resampled(data)
    assert (len(result), rate) == (8000, 16000)
    assert loudness(result) == pytest.approx(0.5 / 2**0.5, rel=0.02)
    for length in (len(data) - 1, len(data) - 200, len(data) // 2):
        with pytest.raises(ValueError, match=r"breaks off|not a whole sound"):
            resampled(data[:length])


def test_what_is_behind_a_sound_is_not_heard() -> None:
    data = encoded(tone(440, 0.5))
    assert (resampled(data + b"a player's notes")[0] == resampled(data)[0]).all()


def test_formats_whose_end_is_not_known_are_refused() -> None:
    with pytest.raises(ValueError, match=r"^this is MP3; it takes WAV, WAVEX, FLAC, AIFF, OGG$"):
        resampled(encoded(tone(440), "MP3"))
    with pytest.raises(ValueError, match="not a whole sound that libsndfile reads"):
        resampled(b"a text")


def test_a_path_gives_the_same_as_its_bytes() -> None:
    file = sounds() / "error.wav"
    assert (resampled(str(file))[0] == resampled(file.read_bytes())[0]).all()


def test_a_rate_that_no_sound_has_is_refused() -> None:
    with pytest.raises(ArgumentsError, match="rate is 16; it takes hertz, from 1000 to 384000"):
        resampled(b"", "rate=16")
