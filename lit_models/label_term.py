"""What makes a conditional generator obey its label: a classifier that learns along, and a price for other classes."""

from collections.abc import Sequence

from torch import Tensor, nn
from torch.func import functional_call
from torch.nn.functional import cross_entropy

from lit_models.functional.precision import wide
from lit_models.networks import EncoderCallable
from lit_models.networks.base import make_encoder


class LabelTerm(nn.Module):
    """A classifier of images, trained on real ones, and its cross-entropy of generated ones for the class asked.

    Args:
        image_shape: (C, H, W) of the images.
        num_classes: K, at least 2.
        classifier: makes the classifier, from images in [0, 1] to K logits.

    Source: the discriminator of attributes of Z. Hu et al., "Toward controlled generation of text", ICML 2017; the
    auxiliary classifier of A. Odena, C. Olah, J. Shlens, ICML 2017.

    Example:
        >>> from lit_models.networks import MLPEncoder
        >>> term = LabelTerm((1, 8, 8), 10, MLPEncoder)
        >>> term(torch.rand(2, 1, 8, 8), torch.tensor([0, 1])).shape
        torch.Size([])
    """

    def __init__(self, image_shape: Sequence[int], num_classes: int, classifier: EncoderCallable) -> None:
        super().__init__()
        self.classifier = make_encoder("label_classifier", classifier, image_shape, num_classes)

    def forward(self, made: Tensor, y: Tensor | None) -> Tensor:
        """Mean cross-entropy of generated images (N, C, H, W) for labels (N,), in nats; the classifier stays as it is.

        Its gradient reaches what made the images, and not the classifier, which would else learn to be lenient.
        """
        frozen = {name: parameter.detach() for name, parameter in self.classifier.named_parameters()}
        return cross_entropy(wide(functional_call(self.classifier, frozen, (made,))), y)  # type: ignore[arg-type]

    def learn(self, x: Tensor, y: Tensor | None) -> Tensor:
        """Mean cross-entropy of real images (N, C, H, W) for labels (N,), in nats: what trains the classifier."""
        return cross_entropy(wide(self.classifier(x)), y)  # type: ignore[arg-type]
