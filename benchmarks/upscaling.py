"""What it takes to enlarge a photograph to 3,840 pixels: time and the most memory, in a process of its own each.

The networks have random weights, which decide neither; their shapes are those of Real-ESRGAN's `realesr-general-x4v3`
(Compact, 64 features, 32 convolutions) and `RealESRGAN_x4plus` (ESRGAN, 64 features, 23 blocks). The photograph is
resized to the width that is measured. `--whole` also shows it to the first network in one piece.

python benchmarks/upscaling.py PHOTOGRAPH [--widths 500 960] [--networks compact esrgan] [--whole]
"""

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

from common import show

WIDE = 3840
CHILD = """
import json, re, sys, time
from pathlib import Path
from PIL import Image
from snellen.mining.publish import upscale
from snellen.mining.publish.upscale_network import load_network

photograph, width, weights, whole = sys.argv[1:]
with Image.open(photograph) as image:
    height = round(image.height * int(width) / image.width)
    image = image.convert("RGB").resize((int(width), height), Image.Resampling.LANCZOS)
network = load_network(Path(weights)) if weights else None
if whole == "whole":
    upscale.bands.__defaults__ = (10**6, 0, 0)
start = time.perf_counter()
made = upscale.enlarge(image, WIDE, network)
data = upscale.encode(made)
status = Path("/proc/self/status").read_text()  # getrusage counts what the parent held before this program began
peak = int(re.search(r"VmHWM:\\s+(\\d+) kB", status)[1])
print(json.dumps({"size": made.size, "seconds": time.perf_counter() - start, "mb": peak / 1024, "jpeg": len(data)}))
""".replace("WIDE", str(WIDE))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photograph", type=Path)
    parser.add_argument("--widths", type=int, nargs="+", default=[500, 960])
    parser.add_argument("--networks", nargs="*", choices=list(SHAPES), default=["compact"])
    parser.add_argument("--whole", action="store_true", help="also the first network without tiles")
    given = parser.parse_args()
    rows = []
    with tempfile.TemporaryDirectory(prefix="snellen-bench-") as folder:
        cases: list[tuple[str, str, str]] = [("Lanczos", "", "tiles")]
        for name in given.networks:
            weights = Path(folder) / f"{name}.safetensors"
            write_weights(name, weights)
            cases.append((f"{name}, tiles", str(weights), "tiles"))
        if given.whole and given.networks:
            cases.insert(2, (f"{given.networks[0]}, in one piece", cases[1][1], "whole"))
        for width in given.widths:
            for name, path, how in cases:
                command = [sys.executable, "-c", CHILD, str(given.photograph), str(width), path, how]
                done = subprocess.run(command, check=False, capture_output=True, text=True)
                if done.returncode:
                    rows.append((width, name, "–", "–", "–", f"exit {done.returncode}"))
                    continue
                found = json.loads(done.stdout)
                size = " × ".join(f"{side:,}" for side in found["size"])
                numbers = (f"{found['seconds']:.1f}", f"{found['mb']:,.0f}", f"{found['jpeg'] / 1e6:.1f}")
                rows.append((width, name, size, *numbers))
    show("Enlarging a photograph", ("width before", "by", "size", "s", "most memory, MB", "JPEG, MB"), rows)


def write_weights(name: str, path: Path) -> None:
    """Weights of a network with this name's shape: random, and small, so that what it makes stays an image."""
    import torch
    from safetensors.torch import save_file

    torch.manual_seed(0)
    network = SHAPES[name]()
    weights = {key: value.detach() * 0.5 for key, value in network.state_dict().items()}
    save_file({key: value.contiguous() for key, value in weights.items()}, path)


def compact():
    from spandrel.architectures.Compact import Compact

    return Compact(num_in_ch=3, num_out_ch=3, num_feat=64, num_conv=32, upscale=4)


def esrgan():
    from spandrel.architectures.ESRGAN import ESRGAN

    return ESRGAN(in_nc=3, out_nc=3, num_filters=64, num_blocks=23, scale=4)


SHAPES = {"compact": compact, "esrgan": esrgan}


if __name__ == "__main__":
    main()
