"""The packages' public faces, and that what people install does without PyTorch."""

from __future__ import annotations

import ast
import importlib
import pkgutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from PIL import Image

import finefill

# What each package offers to the others and to whoever uses finefill from Python.
FACES = {
    "finefill": """
        Engine FinefillError __version__ complete load
    """,
    "finefill.files": """
        EXTENSIONS MAX_PIXELS MIN_SIDE PART Photo RGB Source alpha_of decode for_network
        from_network hidden_of name_of opacity_of orientation_of output_format photo_of put_back
        read_photo remedy
        replacing to_network turn usable write_photo
    """,
    "finefill.masks": """
        LAMA Mask Placing THRESHOLD binarize by_numbers center_square check composite fit grow
        inverted of_image placed random_box random_irregular random_object random_outline
        random_square random_strokes read_mask scale tell_empty threefold too_tight union
    """,
    "finefill.completion": """
        Box CARD_KEY Chosen Convention Engine FILLS Fill Filled MAX_THREADS NEAR Report WRAPS Way
        Window Wrap check_arrays check_fill check_wrap choose complete cpus fill_photo
        fill_with_report find groups load load_ahead locate measured names verify_file
        window_around
    """,
    "finefill.data": """
        Exclusions Frame OBJECT_LABELS Photos Pixels Recipe SUFFIXES Stream at_step batch_numbers
        frames_and_masks from_json is_photo is_stream iterate_images iterate_labelled outlines_of
        random_mask read_exclusions read_image read_photos recipes shrink source_name
        training_batch validation_batches
    """,
    "finefill.nets": """
        CompletionNet ContextEncoder Discriminator FeatureDiscriminator GFCGenerator Generator
        LatentGenerator PatchDiscriminator PlusGenerator RegionDiscriminator VGG16Features
        around_holes block_of load_vgg16 of_low_rank vgg16_at_hand
    """,
    "finefill.training": """
        build checkpoint load_dcgan losses place stored_recipe train train_dcgan
    """,
    "finefill.export": """
        begin_with export folded load_generator rewrite_card
    """,
    "finefill.evaluation": """
        AnyMetric MaskSet Method MethodResult TestSet bursts kinds latent_search leaks
        load_baseline metrics outputs pairs prepare_folder protocol report sheets
    """,
    "finefill.reproduce": """
        Bench Budget Experiment Variant base experiments load_method measure page removal
        train_variants variants
    """,
    "finefill.batch": """
        Batch ENGINES Entry MANIFEST Place Plan Task Url complete_file place prepare preview
        read_manifest run
    """,
    "finefill.web": """
        LOOPBACK Settings serve
    """,
    "finefill.cli": """
        cli main run
    """,
}


@pytest.mark.parametrize("package", FACES)
def test_faces(package: str) -> None:
    face = importlib.import_module(package)
    names = FACES[package].split()
    assert sorted(face.__all__) == names
    assert set(names) <= set(dir(face))
    modules = {module.name for module in pkgutil.iter_modules(face.__path__)}
    for name in names:
        found = getattr(face, name)
        # A module would hide another thing of its name, or not, by what was imported before.
        assert isinstance(found, ModuleType) or name not in modules
    assert not hasattr(face, "something_else")


def test_packages_use_one_another_by_their_faces() -> None:
    """``from finefill.files import RGB``, not ``from finefill.files.photo import RGB``."""
    root = Path(finefill.__file__).parent
    found = []
    for path in root.rglob("*.py"):
        own = ".".join(("finefill", *path.relative_to(root).parts[:-1]))
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and node.module:
                found += [(path, node.module)] if is_inside(node.module, own) else []
            elif isinstance(node, ast.Import):
                found += [(path, one.name) for one in node.names if is_inside(one.name, own)]
    assert not found


def is_inside(module: str, own: str) -> bool:
    """Whether a module lies within another of our packages than ``own``."""
    package = ".".join(module.split(".")[:2])
    return package in FACES and module != package and not f"{own}.".startswith(f"{package}.")


def test_completing_needs_no_torch(tmp_path: Path, model_path: Path) -> None:
    Image.new("RGB", (64, 64), (9, 99, 199)).save(tmp_path / "p.png")
    Image.fromarray(np.eye(64, dtype=bool)).save(tmp_path / "m.png")
    program = """
import sys
for name in ("torch", "onnx", "tqdm", "safetensors", "cv2"):
    sys.modules[name] = None  # importing it raises ImportError
from finefill.cli import cli
cli(sys.argv[1:], standalone_mode=False)
slow = {"numpy.ma", "PIL.ImageDraw", "secrets", "concurrent.futures", "multiprocessing"}
assert not slow & set(sys.modules), slow & set(sys.modules)
import finefill, finefill.completion.catalog, finefill.completion.photo, finefill.cli.use
assert not any(name.split(".")[0] == "torch" for name in sys.modules if sys.modules[name])
print(finefill.complete)
"""
    command = ["complete", "p.png", "--mask", "m.png", "-o", "o.png", "--model", str(model_path)]
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", program, *command],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    np.testing.assert_array_equal(
        np.asarray(Image.open(tmp_path / "o.png")), np.asarray(Image.open(tmp_path / "p.png"))
    )


@pytest.mark.parametrize(
    "statement",
    [
        "import finefill",
        "from finefill.data import recipes",
        "import finefill.batch, finefill.completion, finefill.evaluation, finefill.export",
        "import finefill.reproduce, finefill.training, finefill.web",
        "from finefill.web.calls import complete",  # what the server itself imports of its work
    ],
)
def test_importing_is_cheap(statement: str) -> None:
    """Names are imported when they are used: nobody waits for what he does not need."""
    heavy = ("numpy", "PIL", "onnxruntime", "torch", "fastapi")
    program = f"import sys; {statement}; print([n for n in {heavy} if n in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"
