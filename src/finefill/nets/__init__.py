"""The networks, in PyTorch: generator, discriminator, VGG16 (extra ``train``)."""

from finefill.nets.context_encoder import ContextEncoder
from finefill.nets.crops import around_holes
from finefill.nets.dcgan import LatentGenerator
from finefill.nets.discriminator import Discriminator, PatchDiscriminator, RegionDiscriminator
from finefill.nets.feature_heads import FeatureDiscriminator
from finefill.nets.generator import CompletionNet, Generator
from finefill.nets.gfc import GFCGenerator
from finefill.nets.low_rank import of_low_rank
from finefill.nets.plus import PlusGenerator
from finefill.nets.vgg import VGG16Features, block_of, load_vgg16, vgg16_at_hand

__all__ = [
    "CompletionNet",
    "ContextEncoder",
    "Discriminator",
    "FeatureDiscriminator",
    "GFCGenerator",
    "Generator",
    "LatentGenerator",
    "PatchDiscriminator",
    "PlusGenerator",
    "RegionDiscriminator",
    "VGG16Features",
    "around_holes",
    "block_of",
    "load_vgg16",
    "of_low_rank",
    "vgg16_at_hand",
]
