"""Train in slices: where a machine is lent for minutes at a time, or files may not be large.

    python tools/train-slices.py pack PHOTOS -o work/data --shorter 150 --mib 60
    python tools/train-slices.py run work/run --shards work/data --minutes 25 -- --recipe scenes
    python tools/train-slices.py split work/run/checkpoint.safetensors
    python tools/train-slices.py join work/run/checkpoint.safetensors

``run`` calls ``finefill train`` again and again until the training is complete or ``--slices`` is
reached. It begins by joining checkpoints whose pieces are newer than they are, or all there is, and
leaves them in pieces with ``--mib``: so the pieces are all that has to travel from one machine to
the next, with the data. Needs finefill with the extra ``train``.
"""

from __future__ import annotations

import hashlib
import io
import os
import shlex
import subprocess
import sys
import tarfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import click
from PIL import Image

from finefill.data import iterate_images, shrink
from finefill.errors import FinefillError
from finefill.files import replacing
from finefill.training import checkpoint

MIB = 1 << 20
HEAD = 1024  # bytes of a tar member besides its content, at most: header and padding
END = 20_480  # bytes that close a tar, at most: a record is 10,240


@click.group(help=__doc__.partition("\n")[0] if __doc__ else None)
def cli() -> None:
    """The commands."""


@cli.command()
@click.argument("photos", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("-o", "--output", required=True, type=click.Path(path_type=Path), help="Folder.")
@click.option("--shorter", type=int, help="Scale the shorter side down to so many pixels.")
@click.option("--mib", default=60.0, show_default=True, help="Size that no shard reaches.")
@click.option("--quality", default=92, show_default=True, help="Of the JPEG files.")
def pack(
    photos: tuple[Path, ...], output: Path, shorter: int | None, mib: float, quality: int
) -> None:
    """Pack folders or shards of photographs into JPEG shards of limited size."""
    output.mkdir(parents=True, exist_ok=True)
    if next(output.glob("photos-*.tar"), None):
        raise FinefillError(f"{output}: holds shards already; choose another -o")
    limit = int(mib * MIB) - END
    count, waiting, size = 0, list[tuple[str, bytes]](), 0
    for name, image in iterate_images(photos):
        buffer = io.BytesIO()
        Image.fromarray(shrink(image, shorter)).save(buffer, "JPEG", quality=quality)
        more = HEAD + buffer.tell()
        if more >= limit:
            raise FinefillError(f"{name}: alone as large as a shard may be; give a larger --mib")
        if size + more >= limit:
            _write(output / f"photos-{count:03d}.tar", waiting)
            count, waiting, size = count + 1, [], 0
        waiting.append((_flat(name), buffer.getvalue()))
        size += more
    _write(output / f"photos-{count:03d}.tar", waiting)
    click.echo(f"{output}: {count + 1} shards below {mib:g} MiB")


def _write(path: Path, files: list[tuple[str, bytes]]) -> None:
    with replacing(path) as target, tarfile.open(fileobj=target, mode="w") as tar:
        for name, content in files:
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content))


def _flat(name: str) -> str:
    """A short name of its own for each photograph; the split into training and rest follows it."""
    return f"{hashlib.sha256(name.encode()).hexdigest()[:20]}.jpg"


@cli.command(context_settings={"ignore_unknown_options": True})
@click.argument("run", type=click.Path(path_type=Path))
@click.argument("settings", nargs=-1, type=click.UNPROCESSED)
@click.option("--shards", type=click.Path(path_type=Path), help="Folder that pack has made.")
@click.option("--minutes", required=True, type=float, help="Length of a slice.")
@click.option("--slices", type=int, help="Stop after so many, complete or not.")
@click.option("--mib", type=float, help="Leave the checkpoint in pieces below this size, too.")
@click.option("--launcher", default="", help='Such as "torchrun --nproc-per-node 2 -m".')
def run(
    run: Path,
    settings: tuple[str, ...],
    shards: Path | None,
    minutes: float,
    slices: int | None,
    mib: float | None,
    launcher: str,
) -> None:
    """Train in slices; what follows -- goes to ``finefill train`` (--recipe, --data, --set)."""
    last, best = run / checkpoint.LAST, run / checkpoint.BEST
    start = shlex.split(launcher) if launcher else [sys.executable, "-m"]
    data = [f"--data={shard}" for shard in sorted(shards.glob("*.tar"))] if shards else []
    complete, number = False, 0
    while not complete and (slices is None or number < slices):
        take_newer(last)
        take_newer(best)
        given = [*without_from(settings), "--resume"] if last.exists() else settings
        command = [*start, "finefill", "train", *given, *data, "-o", str(run)]
        command += ["--max-minutes", str(minutes)]
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
        if done.returncode:
            raise FinefillError(f"{run}: this slice ended with an error, see above")
        number += 1
        complete = done.stdout.startswith("complete")
        if mib is not None:
            for file in filter(Path.exists, (last, best)):
                split_file(file, mib)
        click.echo(f"slice {number}: {done.stdout.strip()}")


def without_from(settings: Sequence[str]) -> list[str]:
    """Settings without ``--from``: only the first slice begins with another run or model."""
    kept: list[str] = []
    rest = iter(settings)
    for word in rest:
        if word == "--from":
            next(rest, None)
        elif not word.startswith("--from="):
            kept.append(word)
    return kept


def take_newer(file: Path) -> None:
    """Join a checkpoint from its pieces where they hold more steps than it, or it is missing."""
    if not list_of(file).exists():
        return
    if not file.exists():
        join_pieces(file)
        return
    listed = list_of(file).read_text(encoding="utf-8").split()
    if hashlib.sha256(file.read_bytes()).hexdigest() in listed:
        return
    joined = file.with_name(f"{file.name}.joined")
    join_pieces(file, joined)
    if checkpoint.read_state(joined)["step"] > checkpoint.read_state(file)["step"]:
        os.replace(joined, file)
    else:
        joined.unlink()


@cli.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--mib", default=15.0, show_default=True, help="Size of a piece.")
def split(file: Path, mib: float) -> None:
    """Split a file into pieces FILE.000, FILE.001 … and list their SHA-256 in FILE.sha256."""
    click.echo(f"{list_of(file)}: {split_file(file, mib)} pieces")


@cli.command()
@click.argument("file", type=click.Path(path_type=Path))
def join(file: Path) -> None:
    """Make FILE from its pieces; it is kept only if every SHA-256 agrees."""
    join_pieces(file)
    click.echo(f"{file}: joined")


def list_of(file: Path) -> Path:
    """Where the SHA-256 of a file and its pieces are listed, as ``sha256sum`` does."""
    return file.with_name(file.name + ".sha256")


def split_file(file: Path, mib: float) -> int:
    """Write a file's pieces and their list; pieces of before are removed. Returns the count."""
    for old in file.parent.glob(f"{file.name}.[0-9][0-9][0-9]"):
        old.unlink()
    lines, whole = [], hashlib.sha256()
    for number, content in enumerate(_chunks(file, int(mib * MIB))):
        piece = file.with_name(f"{file.name}.{number:03d}")
        piece.write_bytes(content)
        whole.update(content)
        lines.append(f"{hashlib.sha256(content).hexdigest()}  {piece.name}")
    lines.append(f"{whole.hexdigest()}  {file.name}")
    with replacing(list_of(file)) as temporary:
        temporary.write(("\n".join(lines) + "\n").encode())
    return len(lines) - 1


def join_pieces(file: Path, into: Path | None = None) -> None:
    """The inverse of :func:`split_file`; the file itself is written, or ``into``.

    Raises:
        FinefillError: the list or a piece is missing or another one than the list says.
    """
    try:
        listed = list_of(file).read_text(encoding="utf-8").split()
        *pieces, (expected, _) = zip(listed[::2], listed[1::2], strict=True)
    except (OSError, ValueError) as error:
        raise FinefillError(f"{list_of(file)}: not a readable list ({error})") from error
    if missing := [name for _, name in pieces if not (file.parent / name).exists()]:
        raise FinefillError(f"{file.parent / missing[0]}: missing; copy this piece too")
    whole = hashlib.sha256()
    with replacing(into or file) as target:
        for digest, name in pieces:
            content = (file.parent / name).read_bytes()
            if hashlib.sha256(content).hexdigest() != digest:
                raise FinefillError(f"{file.parent / name}: damaged; copy this piece again")
            whole.update(content)
            target.write(content)
        if whole.hexdigest() != expected:
            raise FinefillError(f"{list_of(file)}: lists not all pieces; copy it again")


def _chunks(file: Path, size: int) -> Iterator[bytes]:
    with file.open("rb") as source:
        while content := source.read(size):
            yield content


if __name__ == "__main__":
    try:
        cli()
    except FinefillError as error:
        click.echo(f"train-slices: {error}", err=True)
        sys.exit(2)
