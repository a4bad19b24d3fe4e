"""Probabilistic PCA and factor analysis: linear models of images with an exact likelihood."""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Literal, Self

import torch
from lightning.pytorch.cli import LRSchedulerCallable, OptimizerCallable
from lightning.pytorch.utilities import rank_zero_info
from torch import Tensor, nn
from torch.optim import Optimizer

from lit_models.base import BaseModule
from lit_models.checks import check_choice, check_codes, check_count, check_image_shape, check_images
from lit_models.functional.elbo import standard_normal_unit_kl
from lit_models.functional.likelihood import LikelihoodEstimate
from lit_models.functional.linear_gaussian import (
    LinearGaussian,
    closed_form,
    em_step,
    log_density,
    mean_log_density,
    posterior,
    principal_axes,
    projection,
)
from lit_models.functional.precision import wide
from lit_models.held import Held
from lit_models.metrics import EpochMeans
from lit_models.moments import covariance, moments
from lit_models.processes import from_first_process

MAX_PIXELS = 4096  # of a D x D covariance in float64: 134 MB, and a minute or two for its eigenvectors
_CONSTANT = 1e-12  # variance below which a pixel never changes: sums of float64 do not give 0


class LitPPCA(BaseModule):
    """Probabilistic PCA; with `noise="diagonal"` factor analysis, which has a noise of its own for each pixel.

    An image is x = W z + mu + eps with a code z ~ N(0, I) and noise eps ~ N(0, diag(psi)): a Gaussian whose covariance
    is W W' + diag(psi). The loss is the negative log-likelihood in nats per image, as a density over [0, 1] pixels;
    nothing in it is estimated. mu is the mean of the train split. docs/ppca.md has the equations.

    How W and psi are found is `fit`'s to say:

    - "closed_form", for isotropic noise: from the eigenvectors of the train split's covariance, before the first epoch;
    - "em": `em_steps` steps of expectation maximization over the whole train split at the start of each epoch, whose
      likelihood falls at none of them;
    - "gradient": `optimizer`, on batches, from W near 0 and the pixels' variances as psi.

    The first two go through the train split once, for its mean and covariance, in float64 and over all processes: they
    use neither `optimizer` nor `limit_train_batches`, an epoch only measures, and several processes give what one
    gives. The covariance has D x D numbers: of images with more than 4,096 values use "gradient".

    A pixel that never changes in the train split would have psi = 0 and an infinite likelihood. `min_variance` is the
    floor of psi; a fit with diagonal noise says how many pixels are constant.

    Images are in [0, 1], shape (N, C, H, W), in and out; codes are (N, K). A Gaussian does not know that pixels end at
    0 and 1: what leaves the verbs is cut there, what the density sees is not. 16-bit precisions of the Trainer leave
    the parameters in float32, and the likelihood is computed there.

    Logged for each of train, val and test: `loss`, `log_likelihood` and `mse`, of W z + mu at the posterior mean before
    the cut, per pixel, which is never below that of PCA on the same images. `train/log_likelihood` of "closed_form" and
    "em" is of the whole train split, from its covariance.

    Args:
        image_shape: (C, H, W) of the images; D is the number of their values.
        latent_dim: K, at least 1, below D.
        noise: "isotropic", one psi for all pixels (PPCA), or "diagonal", one for each (factor analysis).
        fit: "closed_form", "em" or "gradient".
        em_steps: of "em", in each epoch, at least 1.
        min_variance: floor of psi, above 0. The default is 1 / (12 * 255^2), the variance of what rounding to bytes
            takes away: no pixel of such images is known better.
        pixel_noise: whether `sample` adds eps to its images; `log_likelihood` is of images with it.
        optimizer: of "gradient"; Adam with learning rate 1e-3 by default.
        lr_scheduler: of "gradient", see `BaseModule`.

    Raises:
        ValueError: an argument out of its range, or one that `fit` has no use for; images of another shape than
            `image_shape`; at the start of "closed_form" and "em", not more training images than `latent_dim`.
        RuntimeError: samples, codes or likelihoods are asked for before the model has seen training images.

    Source: M. E. Tipping, C. M. Bishop, "Probabilistic principal component analysis", J. R. Statist. Soc. B 61, 1999;
    D. B. Rubin, D. T. Thayer, "EM algorithms for ML factor analysis", Psychometrika 47, 1982.

    Example:
        >>> model = LitPPCA((1, 8, 8), latent_dim=4)
        >>> model.fit_covariance([torch.rand(100, 1, 8, 8)])
        >>> model.encode(torch.rand(3, 1, 8, 8)).shape, model.log_likelihood(torch.rand(3, 1, 8, 8)).shape
        (torch.Size([3, 4]), torch.Size([3]))
    """

    mean: Tensor
    fitted: Tensor

    def __init__(
        self,
        image_shape: Sequence[int],
        latent_dim: int = 32,
        noise: Literal["isotropic", "diagonal"] = "isotropic",
        fit: Literal["closed_form", "em", "gradient"] = "closed_form",
        em_steps: int = 20,
        min_variance: float = 1 / (12 * 255**2),
        pixel_noise: bool = False,
        optimizer: OptimizerCallable = torch.optim.Adam,
        lr_scheduler: LRSchedulerCallable | None = None,
    ) -> None:
        super().__init__(optimizer, lr_scheduler)
        self.image_shape = check_image_shape(image_shape)
        dim = math.prod(self.image_shape)
        check_choice("noise", noise, ["isotropic", "diagonal"])
        check_choice("fit", fit, ["closed_form", "em", "gradient"])
        check_count("latent_dim", latent_dim)
        check_count("em_steps", em_steps)
        _check_sizes(dim, latent_dim, fit)
        _check_fit(fit, noise, lr_scheduler)
        if not (math.isfinite(min_variance) and min_variance > 0):
            raise ValueError(
                f"min_variance must be a finite number above 0, got {min_variance}: at 0 a pixel that never changes "
                "has an infinite likelihood"
            )
        self.latent_dim = latent_dim
        self.isotropic = noise == "isotropic"
        self.fit = fit
        self.em_steps = em_steps
        self.min_variance = min_variance
        self.pixel_noise = pixel_noise
        self._projection: Tensor | None = None  # see `settle`
        self._covariance: Tensor | None = None  # of the train split, while a fit needs it

        # W in units of each pixel's noise, psi^-1/2 W: a step of a gradient that is right for the pixels of the middle
        # would be a thousand times the noise of those at the border
        self.weight = nn.Parameter(0.01 * torch.randn(dim, latent_dim))
        self.log_variance = nn.Parameter(torch.zeros(() if self.isotropic else dim))
        self.register_buffer("mean", torch.zeros(dim))
        self.register_buffer("fitted", torch.tensor(False))
        self.add_figures("train", means=EpochMeans(["loss", "mse"] + ["log_likelihood"] * (fit == "gradient")))
        self.add_figures("val", "test", means=EpochMeans(["loss", "mse", "log_likelihood"]))

    # -- the three verbs ----------------------------------------------------------------------------------------------

    def sample(self, n: int, y: Tensor | None = None, pixel_noise: bool | None = None) -> Tensor:
        """`n` new images, (n, C, H, W) in [0, 1]: W z + mu for codes z ~ N(0, I).

        Args:
            n: number of images.
            y: ignored: the model is not conditional.
            pixel_noise: add the noise of each pixel, as the density has it; None for the model's own choice.
        """
        return self.sample_from(self.draw_noise(n, pixel_noise))

    def draw_noise(self, n: int, pixel_noise: bool | None = None) -> dict[str, Tensor]:
        """What `n` samples are made of by `sample_from`: `z`, (n, K), and maybe `pixel_noise`, (n, D), of N(0, I).

        Args:
            n: number of images.
            pixel_noise: see `sample`.
        """
        check_count("n", n)
        mean = self._known().mean
        noise = {"z": torch.randn(n, self.latent_dim, device=mean.device, dtype=mean.dtype)}
        if self.pixel_noise if pixel_noise is None else pixel_noise:
            noise["pixel_noise"] = torch.randn(n, len(mean), device=mean.device, dtype=mean.dtype)
        return noise

    def sample_from(self, noise: Mapping[str, Tensor], y: Tensor | None = None) -> Tensor:
        """Images, (n, C, H, W) in [0, 1], of given noise: `sample` without a draw of its own.

        Args:
            noise: as `draw_noise(n)` makes it.
            y: ignored: the model is not conditional.
        """
        weight, mean, variance = self._known()
        images = mean + noise["z"] @ weight.T
        if "pixel_noise" in noise:
            images = images + noise["pixel_noise"] * variance.sqrt()
        return self._as_images(images)

    def reconstruct(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        """W z + mu at the posterior mean z of images, (N, C, H, W), cut to [0, 1].

        Args:
            x: (N, C, H, W) in [0, 1].
            y: ignored: the model is not conditional.
        """
        return self.decode(self.encode(x))

    def encode(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        """The posterior mean of the codes, (N, K).

        Args:
            x: (N, C, H, W) in [0, 1].
            y: ignored: the model is not conditional.
        """
        with self._in_full():
            if torch.compiler.is_exporting() and self._projection is not None:  # graphs have no Cholesky factors
                return (self._pixels(x) - self.gaussian.mean) @ self._projection.T
            return posterior(self._known(), self._pixels(x)).mean

    def settle(self) -> None:
        """Compute the matrix that brings images to codes, for a graph of `encode`."""
        self._projection = projection(self._known()).clone(memory_format=torch.contiguous_format)

    # -- what codes mean ----------------------------------------------------------------------------------------------

    def decode(self, z: Tensor, y: Tensor | None = None) -> Tensor:
        """W z + mu, (N, C, H, W), cut to [0, 1].

        Args:
            z: (N, K) codes.
            y: ignored: the model is not conditional.

        Raises:
            ValueError: codes of another width.
        """
        check_codes(z, self.latent_dim)
        weight, mean, _ = self._known()
        with self._in_full():
            return self._as_images(mean + z.to(mean) @ weight.T)

    @torch.no_grad()
    def unit_kl(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        """KL of each unit's posterior from N(0, 1), (N, K) nats.

        Args:
            x: (N, C, H, W) in [0, 1].
            y: ignored: the model is not conditional.
        """
        with self._in_full():
            mean, spread = posterior(self._known(), self._pixels(x))
        return standard_normal_unit_kl(mean, spread.diagonal().log())

    def prior_moments(self, y: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Mean and standard deviation of each unit under the prior: 0 and 1, (K,) each."""
        zeros = self.gaussian.mean.new_zeros(self.latent_dim)
        return zeros, zeros + 1

    def filters(self) -> Tensor:
        """What each unit adds to an image, (K, C, H, W) in [0, 1] units: the columns of W."""
        return self.gaussian.weight.detach().T.unflatten(1, self.image_shape)  # (D, K) -> (K, C, H, W)

    @torch.no_grad()
    def log_likelihood(self, x: Tensor) -> Tensor:
        """Log p(x), (N,) nats, exactly, as a density over [0, 1] pixels.

        Args:
            x: (N, C, H, W) in [0, 1].
        """
        with self._in_full():
            return log_density(self._known(), self._pixels(x))

    def estimate_likelihood(self, x: Tensor, y: Tensor | None = None, draws: int = 500) -> LikelihoodEstimate:
        """Exact log-likelihood of images (N, C, H, W) in [0, 1]; `y` and `draws` are not used."""
        return LikelihoodEstimate(self.log_likelihood(x), "density", "exact")

    @property
    def gaussian(self) -> LinearGaussian:
        """The parameters as `functional.linear_gaussian` takes them, in float32 or wider."""
        return self._gaussian_of(*(wide(value) for value in (self.weight, self.mean, self.log_variance)))

    def _known(self) -> LinearGaussian:
        """`gaussian`, for the verbs: before it knows the images' mean it is of no images."""
        if not torch.compiler.is_exporting() and not self.fitted:
            raise RuntimeError(
                "this LitPPCA knows no images yet, its mean is 0 and its noise 1: train it with trainer.fit, call "
                "fit_covariance(batches of training images), or load a checkpoint with load_model(path)"
            )
        return self.gaussian

    def untrained(self, seed: int = 0) -> Self:
        """See `BaseModule.untrained`; the mean of the training images is kept."""
        model = super().untrained(seed)
        model.mean.copy_(self.mean)
        model.fitted.copy_(self.fitted)
        return model

    def _gaussian_of(self, weight: Tensor, mean: Tensor, log_variance: Tensor) -> LinearGaussian:
        variance = log_variance.exp().expand(len(mean))
        return LinearGaussian(weight * variance.sqrt().unsqueeze(1), mean, variance)

    # -- the objective ------------------------------------------------------------------------------------------------

    def step(self, x: Tensor, y: Tensor | None, stage: str) -> Tensor:
        """Mean negative log-likelihood of a batch, in nats per image.

        Args:
            x: images (N, C, H, W) in [0, 1].
            y: not used.
            stage: whose figures are updated.
        """
        with self._in_full():
            model, pixels = self.gaussian, self._pixels(x)
            loss = -log_density(model, pixels).mean()
            with torch.no_grad():
                restored = model.mean + posterior(model, pixels).mean @ model.weight.T
                values = {"loss": loss, "log_likelihood": -loss, "mse": (restored - pixels).square().mean()}
        means = self.figures(stage)["means"]
        means.update([values[name] for name in means.names], len(x))
        return loss

    def build_optimizer(self) -> Optimizer:
        """The optimizer; one that moves nothing where there is no gradient to follow."""
        return super().build_optimizer() if self.fit == "gradient" else Held(self.parameters())

    # -- fits ---------------------------------------------------------------------------------------------------------

    def on_train_start(self) -> None:
        """Take what the fit needs of the train split; a model that is trained further goes on from where it is."""
        if self.fit == "gradient":
            self.fit_start(self.training_batches())
        else:
            self.fit_covariance(self.training_batches())

    def on_train_batch_start(self, batch: Any, batch_idx: int) -> None:
        """See `BaseModule`; an epoch begins with its steps of expectation maximization."""
        super().on_train_batch_start(batch, batch_idx)
        if self.fit == "em" and batch_idx == 0:  # a run that is resumed within an epoch has made them
            self.maximize(self.em_steps)

    def on_train_batch_end(self, outputs: Any, batch: Any, batch_idx: int) -> None:
        """Keep psi above its floor; from there the gradient may raise it again."""
        if self.fit == "gradient":
            with torch.no_grad():
                self.log_variance.clamp_(min=math.log(self.min_variance))

    def on_train_epoch_end(self) -> None:
        """Log the train figures; of all training images the log-likelihood, where it costs nothing."""
        super().on_train_epoch_end()
        if self._covariance is not None:
            value = mean_log_density(self._in_float64(), self._covariance)
            self.log("train/log_likelihood", value.float(), sync_dist=True)

    def on_fit_end(self) -> None:
        """Let go of the covariance."""
        self._covariance = None

    @torch.no_grad()
    def fit_covariance(self, batches: Iterable[Tensor]) -> None:
        """Take mean and covariance of all training images, and with "closed_form" the solution.

        Args:
            batches: images (N, C, H, W) in [0, 1], batch by batch.

        Raises:
            ValueError: they are no images of this model, or not more than `latent_dim`.
        """
        images, mean, spread = covariance(self._checked(batches))
        if images <= self.latent_dim:
            raise ValueError(
                f"latent_dim must be below the number of training images, got {self.latent_dim} for {images}: they "
                "span no more directions; use fewer codes or more images"
            )
        self._begin(mean, spread.diagonal())
        self._covariance = spread
        if self.fit == "closed_form":
            self._set(closed_form(mean, spread, self.latent_dim, self.min_variance))

    @torch.no_grad()
    def fit_start(self, batches: Iterable[Tensor]) -> None:
        """Take mean and variances of all training images, where "gradient" starts.

        Args:
            batches: images (N, C, H, W) in [0, 1], batch by batch.

        Raises:
            ValueError: they are no images of this model.
        """
        known = moments(self._checked(batches))
        self._begin(known.mean, known.variance)

    @torch.no_grad()
    def maximize(self, steps: int) -> None:
        """Make steps of expectation maximization over all training images, and turn the codes to principal axes.

        Args:
            steps: their number, at least 1.

        Raises:
            RuntimeError: the model knows no training images.
        """
        check_count("steps", steps)
        if self._covariance is None:
            raise RuntimeError("there is no covariance to fit: call fit_covariance(batches of training images) first")
        model = self._in_float64()
        for _ in range(steps):
            model = em_step(model, self._covariance, self.isotropic, self.min_variance)
        self._set(principal_axes(model))

    def _begin(self, mean: Tensor, variance: Tensor) -> None:
        """Set the mean, and before a first fit the variances; say which pixels are constant."""
        constant = int((variance < _CONSTANT).sum())
        if constant and not self.isotropic:
            rank_zero_info(
                f"{constant} of {len(mean)} pixels never change in the train split: their variance is set to "
                f"min_variance={self.min_variance:.3g}, since at 0 the likelihood would be infinite"
            )
        self.mean.copy_(mean)
        if not self.fitted:
            variance = variance.mean() if self.isotropic else variance
            self.log_variance.copy_(variance.clamp(min=self.min_variance).log())
        self.fitted.fill_(True)

    def _set(self, model: LinearGaussian) -> None:
        scaled = model.weight / model.variance.sqrt().unsqueeze(1)
        weight, variance = (from_first_process(value.to(self.weight)) for value in (scaled, model.variance))
        self.weight.copy_(weight)
        self.log_variance.copy_((variance[0] if self.isotropic else variance).log())

    def _in_float64(self) -> LinearGaussian:
        def double(value: Tensor) -> Tensor:  # which Apple's GPUs do not have
            return value.detach().to("cpu" if value.device.type == "mps" else value.device).double()

        return self._gaussian_of(*(double(value) for value in (self.weight, self.mean, self.log_variance)))

    def _checked(self, batches: Iterable[Tensor]) -> Iterator[Tensor]:
        for x in batches:
            self.check_input(x)
            self.check_values(x, None)
            yield x

    # -- precision ----------------------------------------------------------------------------------------------------

    def to(self, *args: Any, **kwargs: Any) -> Self:
        """See `torch.nn.Module.to`; asked for 16 bits it takes float32, where the Trainer's precisions ask for them."""
        kwargs = {name: _at_least_float32(value) for name, value in kwargs.items()}
        return super().to(*(_at_least_float32(value) for value in args), **kwargs)

    def _in_full(self) -> AbstractContextManager[Any]:
        """Without 16 bits: a log-likelihood is a small difference of large numbers."""
        if torch.compiler.is_exporting():  # a graph has no precision but that of its numbers
            return nullcontext()
        return torch.autocast(self.device.type, enabled=False)

    def _pixels(self, x: Tensor) -> Tensor:
        """Images as vectors, (N, D), in the precision of the parameters."""
        check_images(x, self.image_shape)
        return x.flatten(1).to(wide(self.weight).dtype)

    def _as_images(self, pixels: Tensor) -> Tensor:
        return pixels.unflatten(1, self.image_shape).clamp(0, 1)  # (N, D) -> (N, C, H, W)


def _at_least_float32(value: Any) -> Any:
    return torch.promote_types(value, torch.float32) if isinstance(value, torch.dtype) else value


def _check_sizes(dim: int, latent_dim: int, fit: str) -> None:
    if latent_dim >= dim:
        raise ValueError(
            f"latent_dim must be below the {dim} values of an image, got {latent_dim}: none would be left for noise"
        )
    if fit != "gradient" and dim > MAX_PIXELS:
        raise ValueError(
            f'fit="{fit}" holds the covariance of all pixels: image_shape must have at most {MAX_PIXELS} values, got '
            f'{dim}; use fit="gradient", or smaller images'
        )


def _check_fit(fit: str, noise: str, lr_scheduler: Any) -> None:
    if fit == "closed_form" and noise == "diagonal":
        raise ValueError(
            'noise="diagonal" (factor analysis) has no solution in closed form: use fit="em" or fit="gradient"'
        )
    if fit != "gradient" and lr_scheduler is not None:
        raise ValueError(f'lr_scheduler has no effect with fit="{fit}": leave it out, or use fit="gradient"')
