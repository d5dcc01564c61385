import subprocess
import sys
from pathlib import Path

from PIL import Image

from tests.examples.support import ROOT, names_in


def test_demo_makes_thumbnails_and_a_contact_sheet_and_says_where_and_can_be_repeated(tmp_path: Path) -> None:
    out = tmp_path / "out"
    for _ in range(2):
        done = subprocess.run(
            [sys.executable, "-m", "demo.run", str(out)],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=True,
        )
    originals = names_in(out / "photos")
    assert len(originals) == 12
    assert names_in(out / "thumbnails") == [str(Path(name).with_suffix(".jpg")) for name in originals]
    with Image.open(out / "contact-sheet.png") as sheet:
        assert sheet.format == "PNG"
        assert sheet.width > sheet.height > 500
    assert "12 photographs: " in done.stdout
    assert str(out / "contact-sheet.png") in done.stdout


def test_demo_ends_with_a_way_to_call_instore_that_works_as_it_stands(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "demo.run", str(tmp_path)], cwd=ROOT, capture_output=True, text=True, check=True
    )
    command, option = done.stdout.splitlines()[-1].split()[-2:]
    helped = subprocess.run([command, option], cwd=ROOT, capture_output=True, text=True, check=True)
    assert "Usage: instore" in helped.stdout
