"""Pictures and numbers made from the three verbs (sample, reconstruct, encode), and the checkpoints of a run."""

from callbacks.box_grid import BoxGrid
from callbacks.chain_strips import ChainStrips
from callbacks.checkpoint_io import AtomicCheckpointIO
from callbacks.class_coverage import ClassCoverage
from callbacks.confusion_matrix import ConfusionMatrix
from callbacks.curves import Curves
from callbacks.denoising_grid import DenoisingGrid
from callbacks.dictionary import Dictionary
from callbacks.filter_grid import FilterGrid
from callbacks.interpolation import Interpolation
from callbacks.latent_traversal import LatentTraversal
from callbacks.latent_tsne import LatentTSNE
from callbacks.mask_grid import MaskGrid
from callbacks.picture import PictureCallback, new_figure
from callbacks.reconstruction_grid import ReconstructionGrid
from callbacks.reconstruction_mse import ReconstructionMSE
from callbacks.run_checkpoint import RunCheckpoint
from callbacks.run_folder import run_folder
from callbacks.sample_grid import SampleGrid
from callbacks.sample_quality import SampleQuality
from callbacks.save_on_interrupt import SaveOnInterrupt

__all__ = [
    "AtomicCheckpointIO",
    "BoxGrid",
    "ChainStrips",
    "ClassCoverage",
    "ConfusionMatrix",
    "Curves",
    "DenoisingGrid",
    "Dictionary",
    "FilterGrid",
    "Interpolation",
    "LatentTSNE",
    "LatentTraversal",
    "MaskGrid",
    "PictureCallback",
    "ReconstructionGrid",
    "ReconstructionMSE",
    "RunCheckpoint",
    "SampleGrid",
    "SampleQuality",
    "SaveOnInterrupt",
    "new_figure",
    "run_folder",
]
