"""Losses of linear models with their first two derivatives in closed form: softmax, logistic and linear regression.

A model's outputs are Z = X W' + b, (N, M). A loss is a mean over examples, and its derivatives by the outputs of one
example are a residual r, (M,), and a curvature C, (M, M). The chain rule gives those by the parameters, with H = (X, 1)
and theta = (W, b), a row an output: the gradient R' H / N, and the Hessian, the mean of C kron h h'. docs/linear.md
derives them.

Classes are told apart by M = K outputs, or for two classes by one, the other class's output being 0.
"""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy, one_hot, pad


class LinearLoss(NamedTuple):
    """A loss and its derivatives by the outputs.

    Attributes:
        loss: of outputs (N, M) and targets, a mean over examples.
        residual: its first derivative by each example's outputs, times N, (N, M).
        curvature: its second derivative, times N, (N, M, M), of outputs (N, M).

    Example:
        >>> float(SQUARED_ERROR.loss(torch.tensor([[3.0]]), torch.tensor([[1.0]])))
        2.0
    """

    loss: Callable[[Tensor, Tensor], Tensor]
    residual: Callable[[Tensor, Tensor], Tensor]
    curvature: Callable[[Tensor], Tensor]


def class_logits(outputs: Tensor) -> Tensor:
    """Logits (N, K) of outputs (N, M): for two classes with one output the first class's logit is 0.

    Example:
        >>> class_logits(torch.tensor([[3.0]]))
        tensor([[0., 3.]])
    """
    return pad(outputs, (1, 0)) if outputs.shape[1] == 1 else outputs


def log_loss(outputs: Tensor, y: Tensor) -> Tensor:
    """Mean cross-entropy in nats of outputs (N, M) for class indices y (N,).

    Example:
        >>> log_loss(torch.zeros(2, 1), torch.tensor([0, 1]))
        tensor(0.6931)
    """
    return cross_entropy(class_logits(outputs), y)


def log_loss_residual(outputs: Tensor, y: Tensor) -> Tensor:
    """Probabilities minus the one-hot class, p - y, (N, M).

    Example:
        >>> log_loss_residual(torch.zeros(2, 1), torch.tensor([0, 1])).tolist()
        [[0.5], [-0.5]]
    """
    logits = class_logits(outputs)
    residual = logits.softmax(1) - one_hot(y, logits.shape[1]).to(logits.dtype)  # (N, K)
    return residual[:, -outputs.shape[1] :]


def log_loss_curvature(outputs: Tensor) -> Tensor:
    """diag(p) - p p', (N, M, M); with one output p (1 - p).

    Example:
        >>> log_loss_curvature(torch.zeros(1, 1))
        tensor([[[0.2500]]])
    """
    p = class_logits(outputs).softmax(1)
    if outputs.shape[1] == 1:
        return p.prod(1).view(-1, 1, 1)  # of both classes: 1 - p would lose the digits of a sure p
    return torch.diag_embed(p) - p.unsqueeze(2) * p.unsqueeze(1)


def squared_error(outputs: Tensor, y: Tensor) -> Tensor:
    """Half the squared error, summed over targets, of outputs and targets (N, M); a mean over examples.

    Example:
        >>> squared_error(torch.tensor([[1.0, 2.0]]), torch.zeros(1, 2))
        tensor(2.5000)
    """
    return (outputs - y).square().sum(1).mean() / 2


def squared_error_residual(outputs: Tensor, y: Tensor) -> Tensor:
    """Outputs minus targets, (N, M).

    Example:
        >>> squared_error_residual(torch.ones(1, 1), torch.zeros(1, 1))
        tensor([[1.]])
    """
    return outputs - y


def squared_error_curvature(outputs: Tensor) -> Tensor:
    """The identity, (N, M, M).

    Example:
        >>> squared_error_curvature(torch.zeros(3, 2)).shape
        torch.Size([3, 2, 2])
    """
    eye = torch.eye(outputs.shape[1], dtype=outputs.dtype, device=outputs.device)
    return eye.expand(len(outputs), -1, -1)


LOG_LOSS = LinearLoss(log_loss, log_loss_residual, log_loss_curvature)
SQUARED_ERROR = LinearLoss(squared_error, squared_error_residual, squared_error_curvature)


def with_ones(x: Tensor) -> Tensor:
    """Rows x (N, D) with a 1 behind each, (N, D + 1), for the bias.

    Example:
        >>> with_ones(torch.tensor([[5.0]]))
        tensor([[5., 1.]])
    """
    return pad(x, (0, 1), value=1.0)


def gradient_sum(h: Tensor, residual: Tensor) -> Tensor:
    """N times the gradient by theta, (M, D + 1), of rows h (N, D + 1) and residuals (N, M).

    Example:
        >>> gradient_sum(torch.tensor([[2.0, 1.0]]), torch.tensor([[3.0]]))
        tensor([[6., 3.]])
    """
    return residual.T @ h


def hessian_sum(h: Tensor, curvature: Tensor) -> Tensor:
    """N times the Hessian by theta taken row by row, (M (D + 1), M (D + 1)).

    Args:
        h: (N, D + 1).
        curvature: (N, M, M).

    Example:
        >>> hessian_sum(torch.tensor([[2.0, 1.0]]), torch.tensor([[[0.25]]]))
        tensor([[1.0000, 0.5000],
                [0.5000, 0.2500]])
    """
    rows = [h.T @ (c.unsqueeze(2) * h.unsqueeze(1)).flatten(1) for c in curvature.unbind(1)]  # M of (D+1, M (D+1))
    return torch.cat(rows)


def hessian_diagonal_sum(h: Tensor, curvature: Tensor) -> Tensor:
    """N times the Hessian's diagonal, as theta, (M, D + 1).

    Example:
        >>> hessian_diagonal_sum(torch.tensor([[2.0, 1.0]]), torch.tensor([[[0.25]]]))
        tensor([[1.0000, 0.2500]])
    """
    return curvature.diagonal(dim1=1, dim2=2).T @ h.square()


class _ByHand(torch.autograd.Function):
    """The loss of a linear layer as one operation whose derivative is written out below, not recorded."""

    @staticmethod
    def forward(ctx, x, weight, bias, y, loss):  # type: ignore[no-untyped-def]
        outputs = (x @ weight.T + bias).to(torch.promote_types(x.dtype, torch.float32))
        ctx.save_for_backward(x, weight, loss.residual(outputs, y) / len(x))
        return loss.loss(outputs, y), outputs

    @staticmethod
    def backward(ctx, factor, _):  # type: ignore[no-untyped-def]
        x, weight, residual = ctx.saved_tensors
        residual = factor * residual  # the factor is 1 but where the loss is scaled, as for float16
        by_weight = (residual.T @ x.to(residual.dtype)).to(weight.dtype)  # (M, N) (N, D) -> (M, D)
        return None, by_weight, residual.sum(0).to(weight.dtype), None, None


def loss_by_hand(x: Tensor, weight: Tensor, bias: Tensor, y: Tensor, loss: LinearLoss) -> tuple[Tensor, Tensor]:
    """A linear layer's loss, and its outputs (N, M), with the gradient R' X / N written by hand.

    Backward of the loss gives weight and bias this gradient; of x there is none, and the outputs have none.

    Args:
        x: (N, D).
        weight: (M, D).
        bias: (M,).
        y: what `loss` takes as targets.
        loss: `LOG_LOSS` or `SQUARED_ERROR`.

    Example:
        >>> weight = torch.zeros(1, 2, requires_grad=True)
        >>> loss_by_hand(torch.tensor([[2.0, 4.0]]), weight, torch.zeros(1), torch.tensor([1]), LOG_LOSS)[0].backward()
        >>> weight.grad
        tensor([[-1., -2.]])
    """
    value, outputs = _ByHand.apply(x, weight, bias, y, loss)
    return value, outputs.detach()
