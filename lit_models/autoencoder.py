"""The autoencoder: plain, sparse, denoising, and sampled from a mixture of its codes."""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal

import torch
from lightning.pytorch import Trainer
from lightning.pytorch.callbacks import StochasticWeightAveraging, WeightAveraging
from lightning.pytorch.cli import LRSchedulerCallable, OptimizerCallable
from lightning.pytorch.utilities import rank_zero_warn
from torch import Tensor
from torch.nn.functional import mse_loss

from lit_models.base import BaseModule
from lit_models.checks import check_choice, check_codes, check_count, check_image_shape, check_images, check_weight
from lit_models.code_mixture import CodeMixture, draw_evenly
from lit_models.functional.elbo import bernoulli_nll
from lit_models.functional.precision import wide
from lit_models.metrics import EpochMeans
from lit_models.networks import DecoderCallable, EncoderCallable, MLPDecoder, MLPEncoder
from lit_models.networks.base import make_decoder, make_encoder
from lit_models.networks.code_layer import code_layer

SAMPLERS = ("normal", "mixture")
_MIXTURE_IMAGES = 10_000  # that a mixture is fitted to: some seconds, and 30 MB of MNIST
_CHUNK = 1000


class LitAutoencoder(BaseModule):
    """Autoencoder: an image to a code and back; with `noise_std` a denoising one, with `sparsity` a sparse one.

    Images are in [0, 1], shape (N, C, H, W), in and out; codes are (N, D).

    `loss="bernoulli"` takes a pixel as a probability: the decoder gives logits, and the loss is the cross-entropy, in
    nats per image. `loss="mse"` is the mean squared error per pixel: the decoder's output is the image itself, without
    a sigmoid, so that a linear autoencoder is a linear one; the verbs cut it to [0, 1], the loss does not.

    `noise_std` adds Gaussian noise to the encoder's input in training, and the target stays the clean image. In
    validation, test and the verbs there is no noise, but where `corrupt` is asked for it.

    `sparsity` adds so much of the mean |code| over batch and units to the loss. The code then passes a ReLU, so that it
    can be exactly zero. The columns of the dictionary, which is the weight of the linear layer that takes the code,
    have unit norm, or a smaller code with larger columns would evade the penalty. To this end a code is divided by the
    norms of the stored columns on its way into the decoder. A decoder with hidden layers has its first layer's columns
    for a dictionary.

    A plain autoencoder has no distribution of codes: `sample` draws them from N(0, I), where images' codes do not lie,
    or with `sampler="mixture"` from a mixture of Gaussians that is fitted to codes of up to 10,000 training images. A
    fit with that sampler keeps the mixture that belongs to its weights in every checkpoint. A test with that sampler of
    a checkpoint without a mixture fits one, where the data module has a train split. It is fitted to the weights that
    are trained: where a callback averages weights, `fit_mixture` is to be called on the averaged model. With
    `sparsity`, codes that are drawn below zero are set to zero, as no image has them.

    Logged for each of train, val and test, over the whole epoch: `loss`; `mse` of the reconstruction, per pixel, in
    [0, 1] units; `active_share`, of codes that are not zero; for `loss="bernoulli"`, which alone has logits,
    `bernoulli`, the cross-entropy in nats per image, and `bce_per_pixel`, the same divided by the number of pixels. In
    training they are of what the loss sees, with the noise. With noise val and test have `denoised_mse`, of the
    reconstructed noisy image against the clean one, and `noisy_mse`, of the noisy image as it is, without a cut.

    Args:
        image_shape: (C, H, W) of the images.
        latent_dim: D, width of the code.
        encoder: makes the encoder, from images to codes.
        decoder: makes the decoder, from codes to logits or images.
        loss: "bernoulli" or "mse".
        noise_std: standard deviation of the noise, in [0, 1] units, at least 0.
        sparsity: weight of the mean |code|, at least 0.
        sampler: "normal" or "mixture".
        num_components: of the mixture, each with a full covariance; 0 for no mixture, which leaves its
            num_components * latent_dim^2 numbers out of the model.
        optimizer: see `BaseModule`; Adam with learning rate 1e-3 by default.
        lr_scheduler: see `BaseModule`.

    Raises:
        ValueError: an argument out of its range; images of another shape than `image_shape`; with sparsity a decoder
            without a linear layer that takes the code.
        TypeError: `encoder` or `decoder` makes something else.

    Source: P. Vincent et al., "Extracting and composing robust features with denoising autoencoders", ICML 2008;
    unit columns against the rescaling of a sparse code: B. Olshausen, D. Field, Nature 381, 1996; a mixture fitted to
    codes afterwards: P. Ghosh et al., "From variational to deterministic autoencoders", ICLR 2020, section 4.

    Example:
        >>> model = LitAutoencoder((1, 28, 28), latent_dim=8)
        >>> model.reconstruct(torch.rand(3, 1, 28, 28)).shape, model.sample(2).shape
        (torch.Size([3, 1, 28, 28]), torch.Size([2, 1, 28, 28]))
        >>> model.fit_mixture([torch.rand(100, 1, 28, 28)])
        >>> model.sample(2, sampler="mixture").shape
        torch.Size([2, 1, 28, 28])
    """

    def __init__(
        self,
        image_shape: Sequence[int],
        latent_dim: int = 32,
        encoder: EncoderCallable = MLPEncoder,
        decoder: DecoderCallable = MLPDecoder,
        loss: Literal["bernoulli", "mse"] = "bernoulli",
        noise_std: float = 0.0,
        sparsity: float = 0.0,
        sampler: Literal["normal", "mixture"] = "normal",
        num_components: int = 10,
        optimizer: OptimizerCallable = torch.optim.Adam,
        lr_scheduler: LRSchedulerCallable | None = None,
    ) -> None:
        super().__init__(optimizer, lr_scheduler)
        self.image_shape = check_image_shape(image_shape)
        check_count("latent_dim", latent_dim)
        check_count("num_components", num_components, 0)
        check_choice("loss", loss, ["bernoulli", "mse"])
        check_weight("noise_std", noise_std, "0 for no noise")
        check_weight("sparsity", sparsity, "0 for a plain code")
        self.latent_dim = latent_dim
        self.loss = loss
        self.noise_std = noise_std
        self.sparsity = sparsity
        self.mixture = CodeMixture(num_components, latent_dim) if num_components else None
        self.sampler = self._check_sampler(sampler)
        self._mixture_images: Tensor | None = None  # those of a fit
        self._mixture_is_stale = False

        self.encoder = make_encoder("encoder", encoder, self.image_shape, latent_dim)
        self.decoder = make_decoder("decoder", decoder, latent_dim, self.image_shape)
        self._code_layer = code_layer(self.decoder, latent_dim)
        if sparsity and self._code_layer is None:
            raise ValueError(
                f"sparsity must be 0 with a {type(self.decoder).__name__}, got {sparsity}: no torch.nn.Linear in it "
                "takes the code, so there are no dictionary columns to keep at unit norm; use one that begins with it"
            )
        names = ["loss", *["bernoulli", "bce_per_pixel"] * (loss == "bernoulli"), "mse", "active_share"]
        self.add_figures("train", means=EpochMeans(names))
        self.add_figures("val", "test", means=EpochMeans(names + ["denoised_mse", "noisy_mse"] * (noise_std > 0)))

    # -- the verbs ----------------------------------------------------------------------------------------------------

    def sample(self, n: int, y: Tensor | None = None, sampler: str | None = None) -> Tensor:
        """`n` new images, (n, C, H, W) in [0, 1]: the decoder's, of codes that are drawn.

        Args:
            n: number of images.
            y: ignored: the model is not conditional.
            sampler: where codes come from, "normal" or "mixture"; None for the model's own.

        Raises:
            ValueError: `n` or `sampler` is out of its range.
            RuntimeError: there is no mixture yet.
        """
        return self.sample_from(self.draw_noise(n, sampler))

    def draw_noise(self, n: int, sampler: str | None = None) -> dict[str, Tensor]:
        """What `n` samples are made of by `sample_from`: `z`, (n, D) from N(0, I); for a mixture `race` too.

        Args:
            n: number of images.
            sampler: see `sample`.
        """
        check_count("n", n)
        sampler = self.sampler if sampler is None else self._check_sampler(sampler)
        if sampler == "normal":
            return {"z": torch.randn(n, self.latent_dim, device=self.device)}
        return self._fitted_mixture().draw_noise(n)

    def sample_from(self, noise: Mapping[str, Tensor], y: Tensor | None = None) -> Tensor:
        """Images, (n, C, H, W) in [0, 1], of given noise: `sample` without a draw of its own.

        Args:
            noise: as `draw_noise(n)` makes it.
            y: ignored: the model is not conditional.
        """
        z = self.mixture.sample_from(noise) if "race" in noise else noise["z"]  # type: ignore[union-attr]
        return self.decode(z.relu() if self.sparsity else z)

    def reconstruct(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        """Images through the code and back, (N, C, H, W) in [0, 1]; nothing is added to `x`.

        Args:
            x: (N, C, H, W) in [0, 1], or what `corrupt` made of such images.
            y: ignored: the model is not conditional.
        """
        return self.decode(self.encode(x))

    def encode(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        """Codes, (N, D); with `sparsity` at least 0, and most of them 0.

        Args:
            x: (N, C, H, W) in [0, 1], or what `corrupt` made of such images.
            y: ignored: the model is not conditional.
        """
        check_images(x, self.image_shape)
        code = wide(self.encoder(x.to(self.dtype)))
        return code.relu() if self.sparsity else code

    def decode(self, z: Tensor, y: Tensor | None = None) -> Tensor:
        """Images, (N, C, H, W) in [0, 1], of codes (N, D).

        Args:
            z: (N, D) codes.
            y: ignored: the model is not conditional.

        Raises:
            ValueError: codes of another width.
        """
        check_codes(z, self.latent_dim)
        return self._as_images(self._decode(z))

    # -- noise and dictionary -----------------------------------------------------------------------------------------

    def corrupt(self, x: Tensor) -> Tensor:
        """Images with Gaussian noise of `noise_std` added, same shape; they may leave [0, 1], and are not cut."""
        return x + self.noise_std * torch.randn_like(x) if self.noise_std else x

    def dictionary(self) -> Tensor:
        """What each code unit adds to an image, (D, C, H, W); of unit norm with `sparsity`.

        For `loss="mse"` in [0, 1] units, for "bernoulli" in logits.

        Raises:
            TypeError: the decoder is more than one linear layer.
        """
        layer = None if self._code_layer is None else self.decoder.get_submodule(self._code_layer)
        if layer is None or {id(p) for p in self.decoder.parameters()} != {id(p) for p in layer.parameters()}:
            raise TypeError(
                f"a dictionary of images is what one linear layer has, and this {type(self.decoder).__name__} has "
                "others: use MLPDecoder with hidden_dims=[]"
            )
        columns = wide(layer.weight)  # type: ignore[arg-type]
        norms = self._column_norms()
        columns = columns if norms is None else columns / norms
        return columns.detach().T.unflatten(1, self.image_shape)  # (C*H*W, D) -> (D, C, H, W)

    def _column_norms(self) -> Tensor | None:
        """Norms of the stored dictionary columns, (D,), where they matter."""
        if not self.sparsity:
            return None
        layer = self.decoder.get_submodule(str(self._code_layer))
        return wide(layer.weight).norm(dim=0).clamp(min=1e-12)  # type: ignore[arg-type]

    # -- the objective ------------------------------------------------------------------------------------------------

    def step(self, x: Tensor, y: Tensor | None, stage: str) -> Tensor:
        """Mean loss of a batch; the input is corrupted in training alone.

        Args:
            x: images (N, C, H, W) in [0, 1].
            y: not used.
            stage: whose figures are updated.
        """
        code = self.encode(self.corrupt(x) if stage == "train" else x)
        output, target = self._decode(code), wide(x)
        if self.loss == "bernoulli":
            loss = bernoulli_nll(output, target).mean()
            values = {"bernoulli": loss, "bce_per_pixel": loss / math.prod(self.image_shape)}
        else:
            loss, values = (output - target).square().mean(), {}
        if self.sparsity:
            loss = loss + self.sparsity * code.abs().mean()
        with torch.no_grad():
            values |= {"loss": loss, "active_share": code.ne(0).to(code.dtype).mean()}
            values["mse"] = mse_loss(self._as_images(output), target)
            if self.noise_std and stage != "train":
                noisy = self.corrupt(x)
                values["noisy_mse"] = mse_loss(wide(noisy), target)
                values["denoised_mse"] = mse_loss(self.reconstruct(noisy), target)
        means = self.figures(stage)["means"]
        means.update([values[name] for name in means.names], len(x))
        return loss

    def _decode(self, z: Tensor) -> Tensor:
        """The decoder's output (N, C, H, W) of codes (N, D), in float32 or wider."""
        norms = self._column_norms()
        return wide(self.decoder((z if norms is None else z / norms).to(self.dtype)))

    def _as_images(self, output: Tensor) -> Tensor:
        return output.sigmoid() if self.loss == "bernoulli" else output.clamp(0, 1)

    # -- the mixture of codes -----------------------------------------------------------------------------------------

    @torch.no_grad()
    def fit_mixture(self, batches: Iterable[Tensor]) -> None:
        """Fit the mixture to the codes of images, of up to 10,000 of them; always the same for the same weights.

        Args:
            batches: images (N, C, H, W) in [0, 1], batch by batch.

        Raises:
            ValueError: the model has no mixture, or there are fewer than 2 images.
        """
        self._check_sampler("mixture")
        self._fit_mixture(draw_evenly(batches, _MIXTURE_IMAGES))

    @torch.no_grad()
    def _fit_mixture(self, images: Tensor) -> None:
        was_training = self.training
        self.eval()
        codes = torch.cat([self.encode(part.to(self.device)).cpu() for part in images.split(_CHUNK)])
        self.train(was_training)
        self.mixture.fit(codes)  # type: ignore[union-attr]
        self._mixture_is_stale = False

    def _refresh_mixture(self) -> None:
        """Fit the mixture to the present weights, where a fit has moved them since.

        Every process holds the same images, so that each may do so by itself, as when only one draws pictures.
        """
        if self._mixture_is_stale and self._mixture_images is not None:
            self._fit_mixture(self._mixture_images)

    def _fitted_mixture(self) -> CodeMixture:
        self._refresh_mixture()
        if self.mixture is None or not self.mixture.fitted:
            raise RuntimeError(
                "sampler='mixture' has no mixture yet: train with --model.sampler mixture, or call "
                "fit_mixture(batches of training images)"
            )
        return self.mixture

    def _check_sampler(self, sampler: str) -> Any:
        check_choice("sampler", sampler, SAMPLERS)
        if sampler == "mixture" and self.mixture is None:
            raise ValueError("num_components must be at least 1 for sampler 'mixture', got 0")
        return sampler

    def on_train_start(self) -> None:
        """Forget the mixture of other weights; draw the images that new ones are fitted to."""
        if self.mixture is None:
            return
        self.mixture.fitted.fill_(False)
        if self.sampler == "mixture":
            _warn_of_averaging(self.trainer)
            # those of one process, where each may see its share alone: all must fit the same mixture
            drawn = draw_evenly(self.training_batches(), _MIXTURE_IMAGES)
            self._mixture_images = self.trainer.strategy.broadcast(drawn)
            self._mixture_is_stale = True

    def on_train_batch_start(self, batch: Any, batch_idx: int) -> None:
        """See `BaseModule`; the weights are about to move."""
        super().on_train_batch_start(batch, batch_idx)
        self._mixture_is_stale = self._mixture_images is not None

    def on_train_epoch_end(self) -> None:
        """Log the train figures; fit the mixture, on every process."""
        super().on_train_epoch_end()
        self._refresh_mixture()

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """See `BaseModule`; a checkpoint in mid-epoch gets the mixture of its weights too."""
        # in place: the state dict, which was taken before this hook, holds the same buffers
        self._refresh_mixture()
        super().on_save_checkpoint(checkpoint)

    def on_fit_end(self) -> None:
        """Let go of the images."""
        self._mixture_images = None

    def on_test_start(self) -> None:
        """Fit a mixture where one is asked for and the checkpoint has none, as of a fit with the other sampler."""
        data: Any = getattr(self.trainer, "datamodule", None)
        has_images = hasattr(data, "has_split") and data.has_split("train")
        if has_images and self.sampler == "mixture" and not self.mixture.fitted:  # type: ignore[union-attr]
            self.fit_mixture(self.training_batches())


def _warn_of_averaging(trainer: Trainer) -> None:
    """Averaged weights have other codes than those that the mixture is fitted to."""
    callbacks: Any = getattr(trainer, "callbacks", [])
    names = [type(c).__name__ for c in callbacks if isinstance(c, StochasticWeightAveraging | WeightAveraging)]
    if names:
        rank_zero_warn(
            f"{', '.join(names)} averages weights, and sampler='mixture' is fitted to those before the average: call "
            "fit_mixture(batches of training images) on the averaged model before it is sampled"
        )
