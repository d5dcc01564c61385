"""`make demo`: put a folder of real photographs through `instore transform` and draw what came out.

    .venv/bin/python -m demo.run [OUT]

The photographs are some that scikit-image ships; nothing is downloaded. All that is made lies in OUT, `demo-out` if
it is left out.
"""

import shlex
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

from demo.contact_sheet import ContactSheet, readable_size

EXAMPLE = "examples/thumbnails.py"
SIDE = 128

PHOTOGRAPHS = {
    ".": ["astronaut.png", "camera.png", "chelsea.png", "coffee.png", "coins.png", "motorcycle_left.png"],
    "close-ups": ["brick.png", "grass.png", "retina.jpg"],
    "sky": ["hubble_deep_field.jpg", "moon.png", "rocket.jpg"],
}


def main(out: Path) -> int:
    photos, thumbnails, sheet = out / "photos", out / "thumbnails", out / "contact-sheet.png"
    before = gather(photos)
    shutil.rmtree(thumbnails, ignore_errors=True)
    options = [EXAMPLE, str(photos), str(thumbnails), "--args", str(SIDE), "--ext", "png:jpg", "--workers", "2"]
    instore = command()
    print(f"$ {instore} transform {shlex.join(options)}", flush=True)
    code = subprocess.run([instore, "transform", *options], check=False).returncode
    if code:
        return code
    after = [(thumbnails / file.relative_to(photos)).with_suffix(".jpg") for file in before]
    change = f"{len(before)} photographs: {total_size(before)} before, {total_size(after)} after"
    contact_sheet = ContactSheet(f"{EXAMPLE}, {change}", len(before), SIDE)
    for original, result in zip(before, after, strict=True):
        contact_sheet.add(original, str(original.relative_to(photos)), result, str(result.relative_to(thumbnails)))
    contact_sheet.picture.save(sheet)
    print(
        f"\n{change}\nLook at {sheet}; the files are in {photos} and {thumbnails}\n\n"
        f"With pictures of your own:  {instore} transform {EXAMPLE} FOLDER thumbnails --ext png:jpg\n"
        f"All commands:               {instore} --help"
    )
    return 0


def command() -> str:
    """How `instore` is called from here: it lies beside this Python, which need not be on the PATH."""
    place = Path(sys.executable).parent / "instore"
    return str(place.relative_to(Path.cwd()) if place.is_relative_to(Path.cwd()) else place)


def gather(folder: Path) -> list[Path]:
    """Make the folder of photographs anew, and list them."""
    package = find_spec("skimage")
    if package is None or package.origin is None:
        raise SystemExit("the demo's photographs come with scikit-image, which is not installed: run `make demo`")
    shutil.rmtree(folder, ignore_errors=True)
    files = []
    for subfolder, names in PHOTOGRAPHS.items():
        (folder / subfolder).mkdir(parents=True, exist_ok=True)
        for name in names:
            files.append(folder / subfolder / name)
            shutil.copyfile(Path(package.origin).parent / "data" / name, files[-1])
    return files


def total_size(files: list[Path]) -> str:
    return readable_size(sum(file.stat().st_size for file in files))


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1] if len(sys.argv) > 1 else "demo-out")))
