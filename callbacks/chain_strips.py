"""Strips of Markov chains over time."""

from collections.abc import Sequence

from lightning.pytorch import LightningModule, Trainer

from callbacks.evaluation_mode import evaluation_mode
from callbacks.image_grid import image_grid
from callbacks.picture import PictureCallback
from callbacks.verbs import RunsChains


class ChainStrips(PictureCallback):
    """Markov chains from noise, one strip a chain, at growing numbers of Gibbs steps.

    They show how soon a chain looks like data, and whether it travels between kinds of it.

    Args:
        chains: strips, at least 1.
        at: Gibbs steps at which a chain is shown; they stand above the picture.
        every_n_epochs: see `PictureCallback`.
        seed: of the chains' random numbers.

    Raises:
        ValueError: `chains` is below 1, or `at` does not grow from at least 1.

    Example:
        >>> trainer = Trainer(callbacks=[ChainStrips(chains=4, at=(1, 10, 100))], accelerator="cpu")
    """

    verb = RunsChains

    def __init__(
        self,
        chains: int = 8,
        at: Sequence[int] = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000),
        every_n_epochs: int = 0,
        seed: int = 0,
    ) -> None:
        super().__init__(every_n_epochs)
        if chains < 1:
            raise ValueError(f"chains must be at least 1, got {chains}")
        if not at or list(at) != sorted(set(at)) or at[0] < 1:
            raise ValueError(f"at must be Gibbs steps that grow, the first at least 1, got {list(at)}")
        self.chains = chains
        self.at = list(at)
        self.seed = seed

    def draw(self, trainer: Trainer, module: LightningModule, when: str) -> None:
        """See `PictureCallback.draw`."""
        with evaluation_mode(module, self.seed):
            strips = module.run_chains(self.chains, self.at)  # type: ignore[operator]
        title = "Gibbs steps: " + ", ".join(str(steps) for steps in self.at)
        self.save(trainer, image_grid(list(strips), title=title), "chains", when)
