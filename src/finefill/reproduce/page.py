"""One page of results: a section for each experiment found in the results' folder."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from PIL import Image

from finefill.evaluation import sheets
from finefill.files import replacing
from finefill.reproduce.experiments import EXPERIMENTS, Experiment

PAGE = "README.md"
FIGURE9 = "figure9"
# Key, title, digits; columns that were not measured are left out. Of those in BOUNDED the interval
# is written too: one for each column would make a table that nobody can read.
COLUMNS = (
    ("l1", "L1 ↓", 4),
    ("l2", "L2 ↓", 4),
    ("psnr", "PSNR (dB) ↑", 2),
    ("ssim", "SSIM ↑", 3),
    ("lite0", "Lite0 distance ↓", 3),
    ("lite0_fd", "Lite0 Fréchet ↓", 1),
    ("u_ids", "U-IDS (Lite0) ↑", 3),
    ("vgg16", "VGG16 distance (trained on) ↓", 3),
    ("frechet", "VGG16 Fréchet (trained on) ↓", 4),
    ("seam", "seam → 0", 3),
)
BOUNDED = ("psnr", "lite0", "u_ids", "vgg16")
COMPARED = (
    ("psnr", "PSNR (dB)", 2),
    ("lite0", "Lite0 distance", 3),
    ("vgg16", "VGG16 distance (trained on)", 3),
    ("seam", "seam", 3),
)


def write_section(
    folder: Path,
    name: str,
    facts: Mapping[str, Any],
    images: Mapping[str, Image.Image],
    subject: str = "",
) -> None:
    """Write an experiment's facts and its sheet into the results' folder, then the page anew.

    Args:
        images: sheets by file name without suffix; the last is kept, that of the random squares
            where those were measured.
        subject: what the photographs show, to keep an experiment on several sets of them apart.

    Raises:
        FinefillError: a file cannot be written.
    """
    section = f"{name}-{subject}" if subject else name
    pictures = []
    for stem, image in list(images.items())[-1:]:
        pictures.append(f"{section}{stem.removeprefix(name)}.webp")
        _write(folder / pictures[-1], sheets.webp(image))
    if "curves" in facts:
        _write(folder / f"{section}-curves.png", _curves(facts))
        _write(folder / f"{section}-parameters.png", _parameters(facts))
    stored = {"experiment": name, "subject": subject, **facts, "images": pictures}
    text = json.dumps(_short(stored), indent=0, ensure_ascii=False) + "\n"
    _write(folder / f"{section}.json", text.encode())
    write_page(folder)


def _short(value: Any) -> Any:
    """The same with numbers of eight significant digits, far more than any table shows."""
    if isinstance(value, Mapping):
        return {key: _short(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_short(item) for item in value]
    return float(f"{value:.8g}") if isinstance(value, float) else value


def write_page(folder: Path) -> None:
    """Compose the page of all sections in the folder, in the paper's order.

    ``SECTION.md`` beside ``SECTION.json`` is what people concluded, and is put below the section's
    claim; ``intro.md`` is put in front, ``earlier.md`` at the end: what was measured once.

    Raises:
        FinefillError: it cannot be written.
    """
    lines = ["# The paper's tables and figures, again", ""]
    lines += _note(folder, "intro")
    order = [*EXPERIMENTS, FIGURE9]
    sections = {}
    for file in sorted(folder.glob("*.json")):
        facts = json.loads(file.read_text(encoding="utf-8"))
        if facts.get("experiment") in order:
            sections[file.stem] = facts
    for section, facts in sorted(
        sections.items(), key=lambda item: (order.index(item[1]["experiment"]), item[0])
    ):
        lines += _section(folder, section, facts)
    lines += _note(folder, "earlier")
    _write(folder / PAGE, ("\n".join(lines).rstrip() + "\n").encode())


def _section(folder: Path, section: str, facts: Mapping[str, Any]) -> list[str]:
    experiment = EXPERIMENTS.get(facts["experiment"])
    title = experiment.title if experiment else "Figure 9: object removal"
    claim = experiment.claim if experiment else "Removed objects leave a natural result."
    subject = f" ({facts['subject']})" if facts["subject"] else ""
    lines = [f"## {title}{subject}", "", f"The paper: {claim}", "", *_note(folder, section)]
    if experiment:
        for kind, summary in facts["masks"].items():
            lines += _table(experiment, kind, summary, facts["rows"])
    if "curves" in facts:
        lines += [f"![error against samples]({section}-curves.png)", ""]
        lines += [f"![quality against parameters]({section}-parameters.png)", ""]
    for picture in facts["images"]:
        lines += [f"![{Path(picture).stem}]({picture})", ""]
    return [*lines, *_provenance(facts), ""]


def _note(folder: Path, name: str) -> list[str]:
    file = folder / f"{name}.md"
    return [file.read_text(encoding="utf-8").strip(), ""] if file.exists() else []


def _table(
    experiment: Experiment, kind: str, summary: Mapping[str, Any], rows: Mapping[str, Any]
) -> list[str]:
    """Means by method, and differences to the experiment's baseline with their intervals."""
    methods: Mapping[str, Any] = summary["methods"]
    shown = [c for c in COLUMNS if any(c[0] in values for values in methods.values())]
    compared = [c for c in COMPARED if any(c[0] == s[0] for s in shown)]
    paper = {m: v for (m, masks), v in experiment.paper.items() if masks == kind}
    costs = any("parameters" in rows.get(name, {}) for name in methods) and experiment.curve
    head = ["method", *(["parameters", "GFLOP"] if costs else [])]
    head += [title for _, title, _ in shown]
    timed = bool(experiment.classical)  # where kinds of methods meet, their time says something
    head += ["ms/image"] if timed else []
    head += ["paper: L1 / L2 / PSNR"] if paper else []
    lines = [f"**{_masks(kind)}**, {summary['data']['images']} images", ""]
    lines += [f"| {' | '.join(head)} |", "|---|" + "---:|" * (len(head) - 1)]
    order = [n for n in (*experiment.classical, *rows) if n in methods]
    for name in [*order, *(n for n in methods if n not in order)]:
        row = rows.get(name, {})
        cells = [f"{row['title']} (`{name}`)" if row else f"`{name}`"]
        if costs:
            known = "parameters" in row
            cells.append(f"{row['parameters'] / 1e6:.2f}M" if known else "")
            cells.append(f"{row['gflop']:.2f}" if known else "")
        cells += [
            _mean(methods[name].get(key), digits, bounded=key in BOUNDED)
            for key, _, digits in shown
        ]
        cells += [f"{1e3 * methods[name]['seconds_per_image']:.0f}"] if timed else []
        if paper:
            cells.append("{:.4f} / {:.4f} / {:.2f}".format(*paper[name]) if name in paper else "")
        lines.append(f"| {' | '.join(cells)} |")
    if not any(key == "lite0" for key, _, _ in shown):
        lines += ["", "Lite0 was not measured here."]
    lines.append("")
    differences: Mapping[str, Any] = summary.get("differences", {})
    if differences:
        first = next(iter(methods))
        titles = [title for _, title, _ in compared]
        lines += [f"Difference of `{first}` to each, image by image, with its 95% interval:", ""]
        lines += [f"| to | {' | '.join(titles)} |", "|---|" + "---:|" * len(titles)]
        for name, values in differences.items():
            cells = [_interval(values.get(key), digits) for key, _, digits in compared]
            lines.append(f"| `{name}` | {' | '.join(cells)} |")
        lines.append("")
    return lines


def _masks(kind: str) -> str:
    base, _, rest = kind.partition(", ")
    names = {"center": "Centre squares", "random": "Random squares"}
    return names.get(base, base) + (f", {rest}" if rest else "")


def _mean(value: Any, digits: int, *, bounded: bool) -> str:
    """A mean, ``bounded`` with its bootstrap 95% interval; a measure of the set has none."""
    if value is None:
        return ""
    if not isinstance(value, dict):
        return f"{value:.{digits}f}"
    text = f"{value['mean']:.{digits}f}"
    if bounded and "low" in value:
        text += f" [{value['low']:.{digits}f}, {value['high']:.{digits}f}]"
    return text


def _interval(value: Any, digits: int) -> str:
    if value is None:
        return ""
    text = f"{value['mean']:+.{digits}f} [{value['low']:+.{digits}f}, {value['high']:+.{digits}f}]"
    return f"**{text}**" if value["low"] > 0 or value["high"] < 0 else text


def _provenance(facts: Mapping[str, Any]) -> list[str]:
    """Where the numbers of a section come from."""
    lines = [f"- command: `{facts['command']}`"]
    rows: Mapping[str, Any] = facts.get("rows", {})
    if rows:
        said = {
            f"{row['samples']} samples, seed {row['seed']}, {row['device']}, training data "
            f"`{row['data'][:12]}`": None
            for row in rows.values()
        }
        lines.append(f"- trained: {'; '.join(said)}")
    for kind, summary in facts.get("masks", {}).items():
        lines.append(
            f"- {kind}: test data `{summary['data']['sha256'][:12]}`, masks "
            f"`{summary['masks']['sha256'][:12]}`, seed {summary['seed']}"
        )
    return lines


def _curves(facts: Mapping[str, Any]) -> bytes:
    """Error against samples: PSNR on the validation photographs while training."""
    figure, axes = _axes()
    for name, points in facts["curves"].items():
        axes.plot(*zip(*points, strict=True), label=facts["rows"][name]["title"], marker=".")
    axes.set_xlabel("samples seen")
    axes.set_ylabel("PSNR on validation photographs (dB)")
    axes.legend()
    return sheets.plot_png(figure)


def _parameters(facts: Mapping[str, Any]) -> bytes:
    """Quality against parameters, on the experiment's last masks."""
    figure, axes = _axes()
    methods = list(facts["masks"].values())[-1]["methods"]
    for name, row in facts["rows"].items():
        psnr = methods[name]["psnr"]
        below, above = psnr["mean"] - psnr["low"], psnr["high"] - psnr["mean"]
        axes.errorbar(
            row["parameters"] / 1e6, psnr["mean"], [[below], [above]], fmt="o", label=row["title"]
        )
    axes.set_xscale("log")
    axes.set_xlabel("parameters (millions)")
    axes.set_ylabel(f"PSNR, {list(facts['masks'])[-1]} squares (dB)")
    axes.legend()
    return sheets.plot_png(figure)


def _axes() -> tuple[Any, Any]:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 4), layout="constrained")
    axes = figure.add_subplot()
    axes.grid(alpha=0.3)
    return figure, axes


def _write(path: Path, content: bytes) -> None:
    with replacing(path) as file:
        file.write(content)
