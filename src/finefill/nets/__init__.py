"""The networks, in PyTorch: generator, discriminator, VGG16 (extra ``train``)."""

from finefill.nets.discriminator import Discriminator
from finefill.nets.generator import Generator
from finefill.nets.vgg import VGG16Features, load_vgg16

__all__ = ["Discriminator", "Generator", "VGG16Features", "load_vgg16"]
