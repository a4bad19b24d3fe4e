"""scikit-learn's handwritten digits: real data that needs no download."""

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from datamodules.images import ImageDataModule
from datamodules.splits import stratified_subset

_TEST_FRACTION = 0.2
_TEST_SEED = 1797


class DigitsDataModule(ImageDataModule):
    """1,797 handwritten digits, 8x8 with 17 grey levels, brought to 1x28x28 by bicubic interpolation.

    They come with scikit-learn (`sklearn.datasets.load_digits`), so `data_dir` and `download` have no effect. There is
    no official test split: a fixed fifth of each class, the same whatever `split_seed` is, is set aside as one.

    Source: E. Alpaydin, C. Kaynak, "Optical Recognition of Handwritten Digits", UCI Machine Learning Repository, 1998.

    Example:
        >>> data = DigitsDataModule(batch_size=32)
        >>> data.setup()
        >>> images, labels = data.split("train")
        >>> images.shape, images.dtype
        (torch.Size([1150, 1, 28, 28]), torch.uint8)
    """

    input_shape = (1, 28, 28)
    num_classes = 10
    class_names = tuple("0123456789")

    def load(self, train: bool) -> tuple[Tensor, Tensor]:
        """See `TensorDataModule.load`."""
        from sklearn.datasets import load_digits  # here, since every start of every command would wait for it

        digits = load_digits()
        labels = torch.from_numpy(digits.target).long()
        small = torch.from_numpy(digits.images).float().unsqueeze(1) * (255 / 16)  # (N, 1, 8, 8)
        large = interpolate(small, size=self.input_shape[1:], mode="bicubic")  # (N, 1, 28, 28)
        images = large.round().clamp(0, 255).to(torch.uint8)
        is_test = torch.zeros(len(labels), dtype=torch.bool)
        is_test[stratified_subset(labels, _TEST_FRACTION, _TEST_SEED)] = True
        chosen = ~is_test if train else is_test
        return images[chosen], labels[chosen]
