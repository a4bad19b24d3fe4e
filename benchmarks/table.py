"""One table: models down, ways of training across, measured in turns, each way in a process of its own.

(a) as notebooks have it, in float32 always, (b) the barest loop, (c) train.py with the shipped config, its figures,
logs and progress bar on; validation, checkpoints and pictures are off the clock. Times are milliseconds a step: median
over all epochs but the first, and in brackets the fastest and slowest. The ratios are medians too, of epochs that were
run one after the other. The probe's notebook encodes the images again each epoch; (b) and (c) did it once, before the
clock starts. A step of t-SNE is all of it, for 10,000 codes. The data must be there already.

Run: uv run python -m benchmarks.table --data_dir data
"""

from collections.abc import Sequence
from functools import partial
from statistics import median
from typing import NamedTuple

import torch

from benchmarks import bare, notebook, through_train
from benchmarks.options import add_device, add_epochs, check_data, make_parser
from benchmarks.turns import Memory, Setting, Way, spread, take_turns


class Row(NamedTuple):
    """A model's data set, steps an epoch, three ways, and how many epochs are enough where one takes long."""

    data_set: str
    steps: int
    notebook: Way
    bare: Way
    ours: Way
    enough: int | None = None


def _ours(name: str, *words: str) -> Way:
    return partial(through_train.config, name=name, words=words)


_BF16 = "--trainer.precision=bf16-mixed"


def _vae(config: str, conditional: bool, bfloat16: bool = False) -> Row:
    notebooks = partial(notebook.vae, conditional=conditional)
    barest = partial(bare.vae, conditional=conditional, bfloat16=bfloat16)
    return Row("FashionMNIST", 375, notebooks, barest, _ours(config, *[_BF16] * bfloat16))


ROWS = {
    "VAE": _vae("vae_fashion_mnist", conditional=False),
    "VAE, bf16": _vae("vae_fashion_mnist", conditional=False, bfloat16=True),
    "C-VAE": _vae("cvae_fashion_mnist", conditional=True),
    "C-VAE, bf16": _vae("cvae_fashion_mnist", conditional=True, bfloat16=True),
    "autoencoder": Row("MNIST", 860, notebook.autoencoder, bare.autoencoder, _ours("autoencoder_mnist")),
    **{
        f"RBM {dim}": Row(
            "KMNIST",
            469,
            partial(notebook.rbm, hidden_dim=dim),
            partial(bare.rbm, hidden_dim=dim),
            _ours("rbm_kmnist", f"--model.hidden_dim={dim}"),
        )
        for dim in (16, 64, 256)
    },
    "DCGAN": Row("MNIST", 12, notebook.dcgan, bare.dcgan, _ours("dcgan_mnist", "--trainer.precision=32-true")),
    "DCGAN, bf16": Row("MNIST", 12, notebook.dcgan, partial(bare.dcgan, bfloat16=True), _ours("dcgan_mnist", _BF16)),
    "probe": Row("MNIST", 47, notebook.probe, bare.probe, through_train.probe),
    "t-SNE": Row("FashionMNIST", 1, notebook.tsne, bare.tsne, through_train.tsne, enough=3),
}


def print_row(name: str, steps: int, seconds: Sequence[Sequence[float]], memory: Sequence[Memory]) -> None:
    """Print the three ways' times and peaks, and the third's ratios to the other two."""
    measured = [way[1:] for way in seconds]
    cells = [spread([1e3 * second / steps for second in way]) for way in measured]
    a, b, c = measured
    faster = median(other / ours for other, ours in zip(a, c, strict=True))
    slower = median(ours / other for other, ours in zip(b, c, strict=True))
    peak = " / ".join(f"{way.peak:.0f}" for way in memory)
    print(f"| {name} | {' | '.join(cells)} | {faster:.2f} | {slower:.2f} | {peak} |", flush=True)


def main() -> None:
    """Measure all ways of each model in turns, and print a row a model."""
    parser = make_parser(__doc__)
    names = ", ".join(f"'{name}'" for name in ROWS)
    parser.add_argument("--models", nargs="+", default=list(ROWS), choices=list(ROWS), metavar="MODEL", help=names)
    add_device(parser)
    add_epochs(parser)
    options = parser.parse_args()
    check_data(parser, options.data_dir, [ROWS[name].data_set for name in options.models])
    print(f"{options.device}, {torch.get_num_threads()} threads, torch {torch.__version__}\n")
    print("| model | (a) notebook, ms a step | (b) bare | (c) train.py | a / c | c / b | peak MiB, a / b / c |")
    print("|---|---|---|---|---|---|---|")
    for name in options.models:
        _, steps, *ways, enough = ROWS[name]
        epochs = min(options.epochs, enough or options.epochs)
        seconds, memory = take_turns(ways, Setting(options.data_dir, options.device, epochs, steps))
        print_row(name, steps, seconds, memory)


if __name__ == "__main__":
    main()
