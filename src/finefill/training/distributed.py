"""Several processes, each on its own device, that train one network: what they say to each other.

PyTorch's launcher starts them (``torchrun -m finefill train …``) and tells each its place in the
environment. Started without it, a process is alone: every method is then the identity.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.parallel import DistributedDataParallel

from finefill.errors import FinefillError
from finefill.training import balance


@dataclass(frozen=True)
class World:
    """A process's place among those of a training; by default it is alone."""

    rank: int = 0
    size: int = 1

    @property
    def first(self) -> bool:
        """Whether this process is the one that writes."""
        return self.rank == 0

    def own(self, values: Tensor) -> Tensor:
        """This process's slice (N / size, …) of something drawn for the whole batch (N, …)."""
        return values.chunk(self.size)[self.rank]

    def mean(self, scalars: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Means of scalars over the processes, without gradients; one exchange for all of them."""
        if self.size == 1:
            return dict(scalars)
        values = _average(torch.stack([s.detach().float() for s in scalars.values()]))
        return dict(zip(scalars, values, strict=True))

    def weight(self, count: Tensor) -> Tensor | float:
        """``count`` over its mean among the processes.

        A term that is a mean over ``count`` things, times this, becomes on average over the
        processes the mean over all their things: the term of the whole batch.
        """
        return 1.0 if self.size == 1 else count / self.mean({"": count})[""].clamp(min=1e-12)

    def any(self, flag: bool) -> bool:
        """Whether the flag is set in any process; through the CPU, so that no device waits."""
        if self.size == 1:
            return flag
        votes = torch.tensor(float(flag))
        dist.all_reduce(votes, dist.ReduceOp.MAX)
        return bool(votes)

    def check_same(self, text: str, problem: str) -> None:
        """Raise ``problem`` as a FinefillError unless all processes hold the same text."""
        if self.size > 1:
            texts: list[str] = [""] * self.size
            dist.all_gather_object(texts, text)
            if len(set(texts)) > 1:
                raise FinefillError(problem)

    def share(self, net: nn.Module, device: torch.device) -> nn.Module:
        """The network, or a wrapper around it whose backward averages the gradients.

        All processes get the first one's weights. Only calls whose loss is given to ``backward``
        go through the wrapper.
        """
        if self.size == 1:
            return net
        ids = [device.index] if device.type == "cuda" else None
        with warnings.catch_warnings():  # newer versions have another name for what 2.6 knows
            warnings.filterwarnings("ignore", "`broadcast_buffers`", FutureWarning)
            return DistributedDataParallel(net, device_ids=ids, broadcast_buffers=False)

    def average_statistics(self, *nets: nn.Module | None) -> None:
        """Make the running statistics of batch normalisation, where each has its own, the same."""
        if self.size > 1:
            norms = [m for net in nets if net for m in net.modules() if isinstance(m, _BatchNorm)]
            for norm in norms:
                for values in (norm.running_mean, norm.running_var):
                    assert values is not None
                    values.copy_(_average(values))

    def gradient_norms(
        self, terms: Mapping[str, Tensor], parameters: Sequence[nn.Parameter]
    ) -> dict[str, float]:
        """As :func:`balance.gradient_norms`, of the gradients' mean over the processes."""
        if self.size == 1:
            return balance.gradient_norms(terms, parameters)
        norms = {}
        for name, term in terms.items():
            gradients = torch.autograd.grad(term, parameters, retain_graph=True, allow_unused=True)
            flat = [g.float().flatten() for g in gradients if g is not None]
            norms[name] = float(_average(torch.cat(flat)).norm()) if flat else 0.0
        return norms


ALONE = World()


def place() -> World:
    """Where the launcher put this process."""
    return World(int(os.environ.get("RANK", "0")), int(os.environ.get("WORLD_SIZE", "1")))


@contextmanager
def join(device: torch.device) -> Iterator[tuple[World, torch.device]]:
    """Meet the other processes; yields this one's place and its device.

    Raises:
        FinefillError: fewer CUDA devices than processes, or another process was lost.
    """
    world = place()
    if world.size == 1:
        yield world, device
        return
    if device.type == "cuda":
        device = torch.device("cuda", int(os.environ["LOCAL_RANK"]))
        if device.index >= torch.cuda.device_count():
            raise FinefillError(
                f"more processes than the {torch.cuda.device_count()} CUDA devices of this "
                "machine: give torchrun a smaller --nproc-per-node"
            )
        torch.cuda.set_device(device)
    own = not dist.is_initialized()  # or the caller has done it, and goes on with it
    try:
        if own:  # what is on the CPU goes over gloo in either case
            dist.init_process_group("cpu:gloo,cuda:nccl" if device.type == "cuda" else "gloo")
        yield world, device
    except RuntimeError as error:
        if not isinstance(error, dist.DistError) and "gloo" not in str(error).lower():
            raise
        raise FinefillError(
            f"process {world.rank} of {world.size} lost another one; the last checkpoint is kept, "
            f"go on from it with --resume ({str(error).splitlines()[0]})"
        ) from error
    finally:
        if own and dist.is_initialized():
            dist.destroy_process_group()


class _Mean(torch.autograd.Function):
    """Mean over the processes; the gradient of a mean is the mean of the gradients."""

    @staticmethod
    def forward(ctx: object, values: Tensor) -> Tensor:
        return _average(values)

    @staticmethod
    def backward(ctx: object, *gradients: Tensor) -> Tensor:
        return _average(gradients[0])


class SyncedBatchNorm(_BatchNorm):
    """Batch normalisation over the batches of all processes, on any device.

    PyTorch's SyncBatchNorm is the same for CUDA alone. The batches have equal sizes.
    """

    def _check_input_dim(self, input: Tensor) -> None:
        """Any number of dimensions."""

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, …) -> the same shape and type."""
        if not self.training:
            return super().forward(x)
        assert self.running_mean is not None
        assert self.running_var is not None
        assert self.num_batches_tracked is not None
        assert self.momentum is not None
        values = x.float()
        variance, mean = torch.var_mean(values, [0, *range(2, x.dim())], correction=0)
        moments: Tensor = _Mean.apply(torch.stack([mean, variance + mean**2]))  # type: ignore[no-untyped-call]  # PyTorch leaves it untyped
        mean, variance = moments[0], moments[1] - moments[0] ** 2
        with torch.no_grad():
            count = values.numel() // values.shape[1] * dist.get_world_size()
            self.running_mean.lerp_(mean, self.momentum)
            self.running_var.lerp_(variance * (count / (count - 1)), self.momentum)
            self.num_batches_tracked += 1
        shape = (1, -1) + (1,) * (x.dim() - 2)
        scale = self.weight * torch.rsqrt(variance + self.eps)
        shift = self.bias - mean * scale
        return torch.addcmul(shift.view(shape), values, scale.view(shape)).to(x.dtype)


def synchronise(net: nn.Module, device: torch.device) -> nn.Module:
    """Let the batch normalisations of a network count the batches of all processes."""
    if device.type == "cuda":
        synced: nn.Module = nn.SyncBatchNorm.convert_sync_batchnorm(net)  # type: ignore[no-untyped-call]  # PyTorch leaves it untyped
        return synced
    for module in net.modules():
        if isinstance(module, _BatchNorm):
            module.__class__ = SyncedBatchNorm  # the same weights and buffers, another forward
    return net


def _average(values: Tensor) -> Tensor:
    """Mean of a tensor over the processes, as a new tensor."""
    total = values.detach().clone(memory_format=torch.contiguous_format)
    dist.all_reduce(total)
    return total / dist.get_world_size()
