"""The networks, in PyTorch: generator, discriminator, VGG16 (extra ``train``)."""

from finefill.nets.discriminator import Discriminator, PatchDiscriminator
from finefill.nets.generator import CompletionNet, Generator
from finefill.nets.plus import PlusGenerator
from finefill.nets.vgg import VGG16Features, load_vgg16

__all__ = [
    "CompletionNet",
    "Discriminator",
    "Generator",
    "PatchDiscriminator",
    "PlusGenerator",
    "VGG16Features",
    "load_vgg16",
]
