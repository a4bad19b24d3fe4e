"""Which layer of a decoder takes the code."""

import torch
from torch import Tensor, nn

from lit_models.networks.base import Decoder


@torch.no_grad()
def code_layer(decoder: Decoder, in_dim: int) -> str | None:
    """Name of the linear layer whose input is the code itself, for `decoder.get_submodule`; None where there is none.

    It is found by decoding one code in eval mode, and not by the layers' order, which says nothing of their use.

    Args:
        decoder: without a condition.
        in_dim: width of its code.

    Example:
        >>> from lit_models.networks import MLPDecoder
        >>> code_layer(MLPDecoder(20, (1, 28, 28), hidden_dims=[]), 20)
        'logits'
        >>> code_layer(MLPDecoder(20, (1, 28, 28), hidden_dims=[400]), 20)
        'body.0'
    """
    code = torch.arange(1.0, in_dim + 1)[None].to(next(decoder.parameters(), torch.zeros(())))
    found: list[str] = []

    def watch(name: str) -> object:
        def note(layer: nn.Module, inputs: tuple[Tensor, ...]) -> None:
            if inputs[0].shape == code.shape and torch.equal(inputs[0], code):
                found.append(name)

        return note

    linear = [(name, layer) for name, layer in decoder.named_modules() if isinstance(layer, nn.Linear)]
    handles = [layer.register_forward_pre_hook(watch(name)) for name, layer in linear]  # type: ignore[arg-type]
    was_training = decoder.training
    decoder.eval()(code)
    decoder.train(was_training)
    for handle in handles:
        handle.remove()
    return found[0] if found else None
