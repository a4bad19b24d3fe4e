"""The Gaussian-Bernoulli restricted Boltzmann machine, trained by contrastive divergence or by the exact gradient."""

import math
from collections.abc import Iterable, Sequence
from typing import Any, Literal

import torch
from lightning.pytorch.cli import LRSchedulerCallable, OptimizerCallable
from lightning.pytorch.utilities import rank_zero_info, rank_zero_warn
from torch import Tensor, nn

from lit_models.base import BaseModule
from lit_models.checks import check_choice, check_count, check_image_shape, check_images
from lit_models.functional.ais import AISEstimate, log_partition_ais
from lit_models.functional.likelihood import LikelihoodEstimate
from lit_models.functional.precision import wide
from lit_models.functional.rbm import (
    MAX_ENUMERATED,
    RBM,
    free_energy,
    gibbs_chain,
    hidden_logits,
    log_partition,
    mean_field_chain,
    visible_mean,
)
from lit_models.hidden_unit_warnings import warn_of_hidden_units
from lit_models.metrics import EpochMeans, HiddenUnits
from lit_models.moments import moments
from lit_models.networks.standardize import Standardize

MAX_EXACT = 16  # hidden units of exact learning, which sums over 2^16 states at every step
_SIGMA_FLOOR = 0.02  # standardized units: pixels that never change would let a sigma of their own fall to 0


class LitRBM(BaseModule):
    """Gaussian-Bernoulli RBM: real-valued pixels, binary hidden units.

    `learning="cd"` is CD-k: k Gibbs steps from the data (or from persistent chains), and the difference of the two
    phases' free energies as the loss, whose gradient has hidden probabilities in its statistics, not samples.
    `learning="exact"` is the true gradient of the log-likelihood, with log Z summed over all hidden states.

    Images are in [0, 1], shape (N, C, H, W), in and out. Inside they are standardized by one mean and one standard
    deviation, over all pixels of the train split; both are kept in the checkpoint. The visible biases start at the
    train split's mean image. docs/rbm.md derives every equation.

    Logged for each stage over the epoch: `free_energy` of the data; `free_energy_gap`, the data's minus the chain's;
    `cd_mse` and, but for training, `mean_field_mse`: mean squared errors per pixel, in [0, 1] units, of what the chain
    of the loss (not a persistent one) and the mean field make of an image, before `reconstruct` cuts it to [0, 1];
    `hidden_activation`; `saturated_share`, of probabilities below 0.01 or above 0.99; with exact learning `loss`, the
    negative log-likelihood. In training also `weight_norm` and `sigma`. In validation up to 20 hidden units, and in
    test always, `log_likelihood`, nats per image as a density over [0, 1] pixels: exact up to 20 hidden units, by
    annealed importance sampling above; it says which.

    Warns in plain words of dead, always active and saturated units and of exploding weights.

    Args:
        image_shape: (C, H, W) of the images.
        hidden_dim: H, number of hidden units.
        cd_steps: k, Gibbs steps of a chain, at least 1.
        sigma: standard deviation of the visible units given the hidden ones: "fixed" keeps `sigma_init`, "shared"
            learns one for all pixels, "per_pixel" one for each, none below 0.02.
        sigma_init: its first value, in standardized units, above 0; 1 is the deviation of the data.
        chains: where a training chain starts: "data" at the batch (Hinton, 2002), "persistent" where the last one of
            that chain ended (Tieleman, ICML 2008).
        negative_phase: "gibbs" draws from both conditionals, "mean_field" takes their means instead (Welling & Hinton,
            ICANN 2002): without noise in the chain the gradient vanishes where reconstructions are exact, which makes
            these good and the model a poor density, see docs/rbm.md. Not for persistent chains.
        num_chains: persistent chains, over all processes, whose number must divide it.
        learning: "cd", or "exact" for at most 16 hidden units.
        ais_chains: chains of annealed importance sampling, at least 2.
        ais_steps: its temperatures, at least 1.
        optimizer: see `BaseModule`; Adam with learning rate 1e-3 by default.
        lr_scheduler: see `BaseModule`.

    Raises:
        ValueError: an argument out of its range; images of another shape than `image_shape`; a train split without
            any contrast.
        FloatingPointError: a free energy is not a number; the message says which.

    Source: G. Hinton, "Training products of experts by minimizing contrastive divergence", Neural Computation 14, 2002;
    M. Welling, G. Hinton, "A new learning algorithm for mean field Boltzmann machines", ICANN 2002;
    K. Cho, A. Ilin, T. Raiko, "Improved learning of Gaussian-Bernoulli restricted Boltzmann machines", ICANN 2011.

    Example:
        >>> model = LitRBM((1, 8, 8), hidden_dim=4)
        >>> model.fit_scale([torch.rand(100, 1, 8, 8)])
        >>> model.encode(torch.rand(3, 1, 8, 8)).shape, model.log_likelihood(torch.rand(3, 1, 8, 8)).shape
        (torch.Size([3, 4]), torch.Size([3]))
    """

    chain: Tensor

    def __init__(
        self,
        image_shape: Sequence[int],
        hidden_dim: int = 16,
        cd_steps: int = 5,
        sigma: Literal["fixed", "shared", "per_pixel"] = "fixed",
        sigma_init: float = 1.0,
        chains: Literal["data", "persistent"] = "data",
        negative_phase: Literal["gibbs", "mean_field"] = "gibbs",
        num_chains: int = 128,
        learning: Literal["cd", "exact"] = "cd",
        ais_chains: int = 500,
        ais_steps: int = 10_000,
        optimizer: OptimizerCallable = torch.optim.Adam,
        lr_scheduler: LRSchedulerCallable | None = None,
    ) -> None:
        super().__init__(optimizer, lr_scheduler)
        self.image_shape = check_image_shape(image_shape)
        check_count("hidden_dim", hidden_dim)
        check_count("cd_steps", cd_steps)
        check_count("num_chains", num_chains)
        check_count("ais_chains", ais_chains, 2)
        check_count("ais_steps", ais_steps)
        check_choice("sigma", sigma, ["fixed", "shared", "per_pixel"])
        check_choice("chains", chains, ["data", "persistent"])
        check_choice("negative_phase", negative_phase, ["gibbs", "mean_field"])
        check_choice("learning", learning, ["cd", "exact"])
        if negative_phase == "mean_field" and chains == "persistent":
            raise ValueError(
                "persistent chains without noise end in a few points: with chains='persistent' negative_phase must be "
                "'gibbs', got 'mean_field'"
            )
        if not (math.isfinite(sigma_init) and sigma_init >= _SIGMA_FLOOR):
            raise ValueError(f"sigma_init must be a finite number, at least {_SIGMA_FLOOR}, got {sigma_init}")
        if learning == "exact" and hidden_dim > MAX_EXACT:
            raise ValueError(
                f"learning='exact' sums over 2^hidden_dim states a step: hidden_dim must be at most {MAX_EXACT}, got "
                f"{hidden_dim}; use learning='cd'"
            )
        self.cd_steps = cd_steps
        self.chains = chains
        self.negative_phase = negative_phase
        self.learning = learning
        self.ais_chains = ais_chains
        self.ais_steps = ais_steps
        self.monitor = "val/loss" if learning == "exact" else "val/cd_mse"

        # a persistent chain starts at no image, and training has no time for the mean field
        means = ["free_energy", "free_energy_gap"] + ["loss"] * (learning == "exact")
        self.add_figures("train", means=EpochMeans(means + ["cd_mse"] * (chains == "data")))
        self.add_figures("val", "test", means=EpochMeans([*means, "cd_mse", "mean_field_mse"]))
        self.add_figures(units=HiddenUnits(hidden_dim))

        dim = math.prod(self.image_shape)
        self.weight = nn.Parameter(0.01 * torch.randn(hidden_dim, dim))
        self.visible_bias = nn.Parameter(torch.zeros(dim))
        self.hidden_bias = nn.Parameter(torch.zeros(hidden_dim))
        log_sigma = torch.full((dim,) if sigma == "per_pixel" else (), math.log(sigma_init))
        self.log_sigma = nn.Parameter(log_sigma, requires_grad=sigma != "fixed")
        self.scale = Standardize(self.image_shape)
        if chains == "persistent":
            self.register_buffer("chain", torch.randn(num_chains, dim))

    # -- the three verbs ----------------------------------------------------------------------------------------------

    def sample(self, n: int, y: Tensor | None = None, steps: int = 1000) -> Tensor:
        """`n` new images: Gibbs chains from standard normal noise, the last step's conditional mean.

        Args:
            n: number of images.
            y: ignored: the model is not conditional.
            steps: Gibbs steps, at least 1.

        Returns:
            (n, C, H, W) in [0, 1].
        """
        return self.run_chains(n, [steps])[:, 0]

    def reconstruct(self, x: Tensor, y: Tensor | None = None, cd_steps: int = 0) -> Tensor:
        """What the model makes of images, (N, C, H, W) in [0, 1]; each image's result depends on that image alone.

        Args:
            x: (N, C, H, W) in [0, 1].
            y: ignored: the model is not conditional.
            cd_steps: 0 is mean-field, the mean of p(v | h) at the probabilities of h: deterministic. k is the last
                conditional mean of k Gibbs steps from the image.
        """
        check_count("cd_steps", cd_steps, 0)
        if cd_steps == 0:
            return self.decode(self.encode(x))
        return self.scale.inverse(gibbs_chain(self.rbm, self._logits(x), cd_steps)[1]).clamp(0, 1)

    def encode(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        """p(h = 1 | v), (N, H).

        Args:
            x: (N, C, H, W) in [0, 1].
            y: ignored: the model is not conditional.
        """
        return self._logits(x).sigmoid()

    def decode(self, z: Tensor, y: Tensor | None = None) -> Tensor:
        """The mean of p(v | h), (N, C, H, W), cut to [0, 1]; of probabilities of h the mean-field mean.

        Args:
            z: (N, H) hidden units or their probabilities, in [0, 1].
            y: ignored: the model is not conditional.

        Raises:
            ValueError: `z` has another shape.
        """
        if z.ndim != 2 or z.shape[1] != len(self.hidden_bias):
            raise ValueError(
                f"z must have shape (N, {len(self.hidden_bias)}), a column a hidden unit, got {tuple(z.shape)}: "
                "encode(x) gives such codes"
            )
        rbm = self.rbm
        return self.scale.inverse(visible_mean(rbm, z.to(rbm.weight))).clamp(0, 1)

    # -- more to look at ----------------------------------------------------------------------------------------------

    @torch.no_grad()
    def run_chains(self, n: int, at: Sequence[int]) -> Tensor:
        """`n` Gibbs chains from standard normal noise, (n, T, C, H, W) in [0, 1]: conditional means at T moments.

        Args:
            n: number of chains, at least 1.
            at: T numbers of Gibbs steps, growing, the first at least 1.

        Raises:
            ValueError: a number is too small, or they do not grow.
        """
        check_count("n", n)
        if not at or list(at) != sorted(set(at)) or at[0] < 1:
            raise ValueError(f"Gibbs steps must be whole numbers that grow, the first at least 1, got {list(at)}")
        rbm, images = self.rbm, []
        v = torch.randn_like(self.visible_bias.expand(n, -1))
        for steps in (stop - start for start, stop in zip([0, *at], at, strict=False)):
            v, mean = gibbs_chain(rbm, hidden_logits(rbm, v), steps)
            images.append(self.scale.inverse(mean).clamp(0, 1))
        return torch.stack(images, 1)

    def gibbs_step(self, v: Tensor, uniform: Tensor, normal: Tensor) -> tuple[Tensor, Tensor]:
        """One Gibbs step with given noise: the next v, (N, D), and the mean it is drawn around as images, (N, C, H, W).

        A chain of `run_chains` starts at v from N(0, I).

        Args:
            v: (N, D), D = C H W visible units, standardized as `scale` does it.
            uniform: (N, H) in [0, 1), which hidden units are drawn with.
            normal: (N, D) from N(0, I), which visible units are drawn with.
        """
        rbm = self.rbm
        h = (uniform < hidden_logits(rbm, v).sigmoid()).to(v.dtype)
        mean = visible_mean(rbm, h)
        return torch.addcmul(mean, rbm.sigma, normal), self.scale.inverse(mean).clamp(0, 1)

    def filters(self) -> Tensor:
        """By how much each hidden unit brightens or darkens each pixel, (H, C, H, W) in units of [0, 1] pixels."""
        rbm = self.rbm
        return (rbm.sigma * rbm.weight * self.scale.std).detach().unflatten(1, self.image_shape)

    @torch.no_grad()
    def log_likelihood(self, x: Tensor, log_z: float | Tensor | None = None) -> Tensor:
        """Log p(x), (N,) nats, as a density over [0, 1] pixels: equation (10).

        Args:
            x: (N, C, H, W) in [0, 1].
            log_z: log Z where it is known; else it is summed over all hidden states.

        Raises:
            ValueError: no `log_z`, and more than 20 hidden units.
        """
        rbm = self.rbm
        log_z = log_partition(rbm) if log_z is None else log_z
        return self._log_density(free_energy(rbm, self._visible(x)), log_z)

    def estimate_likelihood(self, x: Tensor, y: Tensor | None = None, draws: int = 500) -> LikelihoodEstimate:
        """Log-likelihood of images (N, C, H, W) in [0, 1]: exact with up to 20 hidden units, else by AIS.

        `y` and `draws` are not used: `ais_chains` and `ais_steps` are the model's own.
        """
        if len(self.hidden_bias) <= MAX_ENUMERATED:
            return LikelihoodEstimate(self.log_likelihood(x), "density", "exact")
        found = self.annealed_log_partition()
        return LikelihoodEstimate(
            self.log_likelihood(x, found.log_partition),
            "density",
            "annealed importance sampling",
            found.chains,
            found.effective_sample_size,
            found.standard_error,
        )

    @property
    def rbm(self) -> RBM:
        """The parameters as the functions of `functional.rbm` take them, in standardized units, in float32 or wider."""
        parameters = (self.weight, self.visible_bias, self.hidden_bias, self.log_sigma)
        weight, visible_bias, hidden_bias, log_sigma = (wide(parameter) for parameter in parameters)
        return RBM(weight, visible_bias, hidden_bias, log_sigma.exp())

    def _in_float64(self) -> RBM:
        def double(value: Tensor) -> Tensor:  # which Apple's GPUs do not have
            return value.detach().to("cpu" if value.device.type == "mps" else value.device).double()

        return RBM(*(double(value) for value in self.rbm))

    def annealed_log_partition(self) -> AISEstimate:
        """Log Z by annealed importance sampling from the mean image, with random numbers of its own."""
        rbm = self._in_float64()
        generator = torch.Generator(rbm.weight.device).manual_seed(0)
        base_mean = self.scale.mean_image.to(rbm.weight.device)
        return log_partition_ais(rbm, base_mean, self.ais_chains, self.ais_steps, generator=generator)

    # -- the objective ------------------------------------------------------------------------------------------------

    def step(self, x: Tensor, y: Tensor | None, stage: str) -> Tensor:
        """The loss of a batch: the free-energy gap to the chain's end, or the exact negative log-likelihood.

        With `chains="persistent"` a training step moves these, and measures against them.

        Args:
            x: images (N, C, H, W) in [0, 1].
            y: not used.
            stage: whose figures are updated.
        """
        # free energies are differences of large numbers, and settled probabilities lie near 0 and 1: no 16 bits here
        with torch.autocast(self.device.type, enabled=False):
            rbm, v = self.rbm, self._visible(x)
            logits = hidden_logits(rbm, v)
            values = {"free_energy": free_energy(rbm, v, logits).mean()}
            if stage == "train" and self.chains == "persistent":
                chain = self._advance_chains()
            else:
                chain, mean = self._chain_from(rbm, logits.detach())
                values["cd_mse"] = self._mse(mean, v)
            chain_energy = free_energy(rbm, chain.detach()).mean()
            loss = values["free_energy_gap"] = values["free_energy"] - chain_energy
            if stage == "train":
                energies = {"the free energy of the data": values["free_energy"]}
                self.stop_unless_finite(energies | {"the free energy of the chain": chain_energy})
            else:
                values["mean_field_mse"] = self._mse(visible_mean(rbm, logits.sigmoid()), v)
            if self.learning == "exact":
                loss = values["loss"] = values["free_energy"] + log_partition(rbm) + self.scale.log_volume()
        figures = self.figures(stage)
        figures["means"].update([values[name] for name in figures["means"].names], len(x))
        figures["units"].update(logits)
        return loss

    def _mse(self, mean: Tensor, v: Tensor) -> Tensor:
        """Per pixel, in units of [0, 1] pixels, of standardized images (N, D)."""
        # in one pass, where mse_loss makes two
        return (self.scale.std * torch.dist(mean, v)).square() / v.numel()

    def _chain_from(self, rbm: RBM, logits: Tensor) -> tuple[Tensor, Tensor]:
        """Where k steps of the negative phase end, and the mean that was drawn around."""
        if self.negative_phase == "gibbs":
            return gibbs_chain(rbm, logits, self.cd_steps)
        mean = mean_field_chain(rbm, logits, self.cd_steps)
        return mean, mean

    def on_train_batch_start(self, batch: Any, batch_idx: int) -> None:
        """See `BaseModule`; also keep sigma above its floor where a checkpoint was written before that was done."""
        super().on_train_batch_start(batch, batch_idx)
        self._raise_sigma()

    def on_train_batch_end(self, outputs: Any, batch: Any, batch_idx: int) -> None:
        """Keep sigma above its floor; from there the gradient may raise it again."""
        self._raise_sigma()

    def _raise_sigma(self) -> None:
        if self.log_sigma.requires_grad:
            with torch.no_grad():
                self.log_sigma.clamp_(min=math.log(_SIGMA_FLOOR))

    def setup(self, stage: str) -> None:
        """Refuse persistent chains that the processes cannot share."""
        super().setup(stage)
        if stage == "fit" and self.chains == "persistent" and len(self.chain) % self.trainer.world_size:
            raise ValueError(
                f"num_chains must be a multiple of the {self.trainer.world_size} processes, got {len(self.chain)}"
            )

    def on_train_start(self) -> None:
        """Before a first fit, take the scale of the train split; a model that is trained further keeps its own."""
        if self.dtype != wide(self.weight).dtype:
            self.scale.float()  # in 16 bits scale and chains would lose digits, which weights can do without
        if self.chains == "persistent":
            self.chain = wide(self.chain)
        if not self.scale.fitted:
            self.fit_scale(self.training_batches())

    @torch.no_grad()
    def fit_scale(self, batches: Iterable[Tensor]) -> None:
        """Set the scale, and the visible biases to the mean image, from all training images.

        Args:
            batches: images (N, C, H, W) in [0, 1], batch by batch.

        Raises:
            ValueError: they are no images of this model in floating point, or none, or all pixels have one value.
        """

        def checked(x: Tensor) -> Tensor:
            self.check_input(x)
            self.check_values(x, None)
            return x

        self.scale.set_scale(*moments(checked(x) for x in batches))
        self.visible_bias.copy_(self.scale.mean_image)

    # -- figures and words --------------------------------------------------------------------------------------------

    def on_train_epoch_end(self) -> None:
        """Log the train figures and say what goes wrong."""
        figures = self.log_figures("train")
        rbm = self.rbm
        self.log("train/weight_norm", rbm.weight.norm(), sync_dist=True)
        self.log("train/sigma", rbm.sigma.mean(), sync_dist=True)
        if figures:  # not where a run was resumed at the very end of an epoch
            moved = (rbm.sigma * rbm.weight).detach().square().mean(1).max().sqrt()
            activation = self.figures("train")["units"].activation
            warn_of_hidden_units(self.current_epoch, activation, float(figures["saturated_share"]), float(moved))

    def on_validation_epoch_end(self) -> None:
        """Log the validation figures; the log-likelihood where it costs little."""
        figures = self.log_figures("val")
        if figures and len(self.hidden_bias) <= MAX_ENUMERATED:
            log_likelihood = self._log_density(figures["free_energy"], log_partition(self.rbm))
            self.log("val/log_likelihood", log_likelihood, sync_dist=True)

    def on_test_epoch_end(self) -> None:
        """Log the test figures and the log-likelihood, and say how it was found."""
        energy = self.log_figures("test")["free_energy"]
        if len(self.hidden_bias) <= MAX_ENUMERATED:
            log_z: float | Tensor = log_partition(self._in_float64()).item()
            how = f"exact: all 2^{len(self.hidden_bias)} hidden states are summed"
        else:
            estimate = self.annealed_log_partition()
            log_z, error, size, chains = estimate
            how = f"an AIS estimate: standard error {error:.2g} nats, {size:.0f} of {chains} chains effective"
            self.log("test/ais_standard_error", error, sync_dist=True)
            self.log("test/ais_effective_sample_size", size, sync_dist=True)
            if doubt := estimate.doubt():
                rank_zero_warn(doubt)
        self.log("test/log_likelihood", self._log_density(energy, log_z), sync_dist=True)
        rank_zero_info(f"test/log_likelihood is {how}")

    def _log_density(self, energy: Tensor, log_z: Tensor | float) -> Tensor:
        """Equation (10), of the free energy of one image or of the mean over many."""
        return -energy - log_z - self.scale.log_volume()

    # -- scales and chains --------------------------------------------------------------------------------------------

    def _logits(self, x: Tensor) -> Tensor:
        return hidden_logits(self.rbm, self._visible(x))

    def _visible(self, x: Tensor) -> Tensor:
        check_images(x, self.image_shape)
        return self.scale(x)

    @torch.no_grad()
    def _advance_chains(self) -> Tensor:
        """This process's share of the persistent chains, k Gibbs steps on; every process keeps them all."""
        rbm = self.rbm
        share = self.chain.chunk(self.trainer.world_size)[self.global_rank]
        moved, _ = gibbs_chain(rbm, hidden_logits(rbm, share), self.cd_steps)
        everyone: Any = self.all_gather(moved)
        self.chain.copy_(everyone.flatten(0, -2))
        return moved
