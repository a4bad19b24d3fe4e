"""Images and the dictionary vectors that each is made of."""

import torch
from lightning.pytorch import LightningModule, Trainer
from torch import Tensor

from callbacks.batches import first_images, held_out_split
from callbacks.evaluation_mode import evaluation_mode
from callbacks.image_grid import image_grid
from callbacks.picture import PictureCallback
from callbacks.verbs import HasDictionary


class Dictionary(PictureCallback):
    """A row an image: the original, then the k dictionary vectors that add most to it, the largest first.

    A unit j adds h_j D_j to the image, h_j being its value in the image's code and D_j its dictionary vector. Units are
    ranked by |h_j| ||D_j||; a unit that is 0 is not drawn. Each vector is shown with the sign that it is added with, on
    a scale of its own: grey is no effect, white or black is its largest effect, white brightens and black darkens; of
    colour images in each channel by itself. At the left stands how many units of the image's code are not 0.

    The images are of validation, or of test where there is no validation split and in `test` itself.

    Args:
        images: rows, at least 1.
        k: vectors a row, at least 1.
        every_n_epochs: see `PictureCallback`.

    Raises:
        ValueError: a count is below 1.

    Example:
        >>> trainer = Trainer(callbacks=[Dictionary(images=5, k=8)], accelerator="cpu")
    """

    verb = HasDictionary

    def __init__(self, images: int = 3, k: int = 5, every_n_epochs: int = 0) -> None:
        super().__init__(every_n_epochs)
        if images < 1 or k < 1:
            raise ValueError(f"images and k must be at least 1, got {images} and {k}")
        self.images = images
        self.k = k

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """See `PictureCallback.setup`; a model whose decoder is no dictionary refuses here."""
        super().setup(trainer, pl_module, stage)
        pl_module.dictionary()  # type: ignore[operator]

    def draw(self, trainer: Trainer, module: LightningModule, when: str) -> None:
        """See `PictureCallback.draw`."""
        held_out = held_out_split(trainer, when)
        x, y = first_images(trainer, module, held_out, self.images)
        if x is None:
            return
        with evaluation_mode(module):
            codes = module.encode(x, y).float()  # type: ignore[operator]
            vectors = module.dictionary().float()  # type: ignore[operator]
        tops = [top_vectors(code, vectors, self.k) for code in codes]
        rows = [torch.cat([image[None].to(top), top]) for image, top in zip(x, tops, strict=True)]
        labels = [f"{int(code.count_nonzero())} of {len(code)}" for code in codes]
        title = f"{held_out} split: image, its {self.k} largest dictionary vectors"
        self.save(trainer, image_grid(rows, labels, title), "dictionary", when)


def top_vectors(code: Tensor, vectors: Tensor, k: int) -> Tensor:
    """The at most `k` vectors that add most to an image, (k, C, H, W) in [0, 1] for display, see `Dictionary`.

    Args:
        code: (D,).
        vectors: (D, C, H, W).
        k: how many; fewer come back where fewer units are not 0.

    Example:
        >>> vectors = torch.tensor([[2.0, 0.0], [0.0, 4.0], [9.0, 9.0]]).reshape(3, 1, 1, 2)
        >>> top_vectors(torch.tensor([1.0, -1.0, 0.0]), vectors, 5).flatten(1)
        tensor([[0.5000, 0.0000],
                [1.0000, 0.5000]])
    """
    size = code.abs() * vectors.flatten(1).norm(dim=1)
    chosen = size.argsort(descending=True)[: min(k, int(size.count_nonzero()))]
    added = vectors[chosen] * code[chosen].sign()[:, None, None, None]
    largest = added.abs().amax((1, 2, 3), keepdim=True)
    return 0.5 + 0.5 * added / largest
