"""What an epoch costs as the data grow: Fashion-MNIST's train files, once, 4 and 16 times over, through train.py.

Run: uv run python -m benchmarks.growth --data_dir data
"""

import shutil
import tempfile
from functools import partial
from pathlib import Path
from statistics import median

from benchmarks.options import add_device, add_epochs, check_data, make_parser
from benchmarks.through_train import config
from benchmarks.turns import Setting, spread, take_turns

TIMES = (1, 4, 16)
_RAW = Path("FashionMNIST", "raw")
_HEADERS = {"train-images-idx3-ubyte": 16, "train-labels-idx1-ubyte": 8}  # bytes before the first image or label
_TEST = ("t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte")


def repeat(data_dir: Path, to: Path, times: int) -> None:
    """Write the train files with everything in them `times` times, and the test files as they are."""
    (to / _RAW).mkdir(parents=True)
    for name, header in _HEADERS.items():
        content = (data_dir / _RAW / name).read_bytes()
        count = times * int.from_bytes(content[4:8])
        body = content[header:]
        with (to / _RAW / name).open("wb") as file:
            file.write(content[:4] + count.to_bytes(4) + content[8:header])
            for _ in range(times):
                file.write(body)
    for name in _TEST:
        shutil.copy(data_dir / _RAW / name, to / _RAW / name)


def main() -> None:
    """Measure the sizes in turns, and print a row each."""
    parser = make_parser(__doc__)
    add_device(parser)
    add_epochs(parser)
    options = parser.parse_args()
    check_data(parser, options.data_dir, ["FashionMNIST"])
    with tempfile.TemporaryDirectory() as folder:
        ways = []
        for times in TIMES:
            grown = Path(folder, str(times))
            repeat(Path(options.data_dir), grown, times)
            ways.append(partial(config, name="vae_fashion_mnist", words=[f"--data.data_dir={grown}"]))
        steps = 375 * max(TIMES)
        seconds, memory = take_turns(ways, Setting(options.data_dir, options.device, options.epochs, steps))
    print(
        "| train images | seconds an epoch | per image, over the first | uint8 data, MiB | resident, MiB | peak, MiB |"
    )
    print("|---|---|---|---|---|---|")
    for times, epochs, used in zip(TIMES, seconds, memory, strict=True):
        slower = median(own / times / smallest for own, smallest in zip(epochs[1:], seconds[0][1:], strict=True))
        data = (times * 60_000 + 10_000) * 784 / 2**20
        memory_cells = f"{data:.0f} | {used.resident:.0f} | {used.peak:.0f}"
        print(f"| {times * 48_000:,} | {spread(epochs[1:])} | {slower:.2f} | {memory_cells} |")


if __name__ == "__main__":
    main()
