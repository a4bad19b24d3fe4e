"""The codes that a trained model makes of another data module's splits."""

import torch
from lightning.pytorch import LightningModule
from lightning.pytorch.utilities import rank_zero_info
from torch import Tensor

from datamodules.base import TensorDataModule


class EncodedDataModule(TensorDataModule):
    """Codes of another data module's inputs, each computed once, for models that learn from codes (a linear probe).

    A batch is `(codes, labels)`. Codes are float32, shape (B, D); with a baseline (B, 2, D): row 0 are the encoder's,
    row 1 those of the same architecture with untrained weights, `encoder.untrained(baseline_seed)`. An encoder without
    that method has no baseline. A split is encoded when it is first asked for: in eval mode, without gradients,
    `data.batch_size` at a time, on the trainer's device; then the encoder goes back to the CPU. It is part of no model
    or checkpoint.

    `input_shape` is (D,) or (2, D). Classes, batch size and splits are those of `data`, which is left as it is.

    Args:
        data: what is encoded.
        encoder: a model with `encode(x)`: codes (N, D). In a config `class_path: lit_models.load_model` with
            `init_args: {checkpoint: PATH}`.
        baseline: add the codes of untrained weights.
        baseline_seed: decides the untrained weights; with 0 `untrained` is called without an argument.

    Raises:
        TypeError: the encoder has no `encode`.
        ValueError: the encoder is conditional, or is for images of another shape.

    Example:
        >>> from datamodules import DigitsDataModule
        >>> class Rows(LightningModule):
        ...     def encode(self, x, y=None):
        ...         return x.mean(3).flatten(1)
        >>> codes = EncodedDataModule(DigitsDataModule(), Rows(), baseline=False)
        >>> codes.setup()
        >>> codes.input_shape, codes.split("val")[0].shape
        ((28,), torch.Size([288, 28]))
    """

    def __init__(
        self, data: TensorDataModule, encoder: LightningModule, baseline: bool = True, baseline_seed: int = 0
    ) -> None:
        super().__init__(data.batch_size, data.val_fraction, data.train_fraction, data.split_seed, data.drop_last)
        _check(encoder, data)
        self.data = data
        self.num_classes = data.num_classes
        self.class_names = data.class_names
        self.encoders = [encoder.eval()]
        if baseline and hasattr(encoder, "untrained"):
            seed = [baseline_seed] if baseline_seed else []
            self.encoders.append(encoder.untrained(*seed).eval())  # type: ignore[operator]
        elif baseline:
            rank_zero_info(f"{type(encoder).__name__} has no untrained(): its codes are without a baseline")
        self.input_shape = tuple(self._encode(torch.zeros(1, *data.input_shape)).shape[1:])

    def prepare_data(self) -> None:
        """Fetch what `data` fetches."""
        self.data.prepare_data()

    def setup(self, stage: str | None = None) -> None:
        """Cut the splits as `data` does."""
        self.data.setup(stage)
        self.splits = {name: torch.arange(len(index)) for name, index in self.data.splits.items()}

    def _held(self, split: str) -> tuple[Tensor, Tensor]:
        if split in self.splits and split not in self.tensors:
            self._encode_split(split)
        return self.tensors[split] if split in self.tensors else super()._held(split)

    def _encode_split(self, split: str) -> None:
        device = self.trainer.strategy.root_device if self.trainer else torch.device("cpu")
        codes = torch.empty(len(self.splits[split]), *self.input_shape)
        labels = torch.empty(len(codes), dtype=self.data.tensors["train"][1].dtype)
        for encoder in self.encoders:
            encoder.to(device)
        done = 0
        for batch in self.data.loader(split, sharded=False) if len(codes) else []:
            moved = self.data.transfer_batch_to_device(batch, device, 0)
            x, y = self.data.on_after_batch_transfer(moved, 0)
            codes[done : done + len(x)], labels[done : done + len(x)] = self._encode(x), y
            done += len(x)
        for encoder in self.encoders:
            encoder.cpu()
        self.tensors[split] = (codes, labels)

    def _encode(self, x: Tensor) -> Tensor:
        """(N, *data.input_shape) to float32 codes on the CPU, (N, *self.input_shape)."""
        with torch.no_grad():
            codes = [encoder.encode(x.to(encoder.dtype)).float().cpu() for encoder in self.encoders]  # type: ignore[operator]
        return codes[0] if len(codes) == 1 else torch.stack(codes, 1)


def _check(encoder: LightningModule, data: TensorDataModule) -> None:
    name = type(encoder).__name__
    if not callable(getattr(encoder, "encode", None)):
        raise TypeError(f"EncodedDataModule needs an encoder with encode(x), which {name} does not have")
    if getattr(encoder, "conditional", False):
        raise ValueError(f"the encoder, a {name}, is conditional: its codes need the very label that is to be found")
    shape = tuple(getattr(encoder, "image_shape", data.input_shape))
    if shape != data.input_shape:
        raise ValueError(f"the encoder, a {name}, is for images of shape {shape}, the data have {data.input_shape}")
