"""nn.Modules: parameters, no optimizer, no logging."""

from lit_models.networks.base import Decoder, DecoderCallable, Encoder, EncoderCallable
from lit_models.networks.conv import ConvDecoder, ConvEncoder
from lit_models.networks.conv_head import ConvHead, MapClassifier
from lit_models.networks.dcgan import DCGANDiscriminator, DCGANGenerator
from lit_models.networks.head import Head, HeadCallable, StandardizedLinear
from lit_models.networks.maps import MapDecoder, MapEncoder
from lit_models.networks.mlp import MLPDecoder, MLPEncoder
from lit_models.networks.pooled import PooledConvEncoder
from lit_models.networks.residual import ResidualDecoder, ResidualEncoder
from lit_models.networks.shallow import ShallowConvEncoder
from lit_models.networks.unet import SegmenterCallable, UNet

__all__ = [
    "ConvDecoder",
    "ConvEncoder",
    "ConvHead",
    "DCGANDiscriminator",
    "DCGANGenerator",
    "Decoder",
    "DecoderCallable",
    "Encoder",
    "EncoderCallable",
    "Head",
    "HeadCallable",
    "MLPDecoder",
    "MLPEncoder",
    "MapClassifier",
    "MapDecoder",
    "MapEncoder",
    "PooledConvEncoder",
    "ResidualDecoder",
    "ResidualEncoder",
    "SegmenterCallable",
    "ShallowConvEncoder",
    "StandardizedLinear",
    "UNet",
]
