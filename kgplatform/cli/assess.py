"""`kgp assess`: a workbook for human raters, and what their ratings say."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from kgplatform.cli.output import Json, echo, emit_json, format_table
from kgplatform.wording import counted

if TYPE_CHECKING:
    from kgplatform.assess.rating import RatingWorkbook

app = typer.Typer(no_args_is_help=True, help="Let people rate the graph (MedMKG appendix G).")


@app.callback()
def assess() -> None:
    """Let people rate the graph (MedMKG appendix G)."""


Reports = Annotated[
    tuple[str, Path] | None,
    typer.Option(metavar="KIND PATH", help="The reports, to show them next to the images; see kgp construct run."),
]
ImageRoot = Annotated[
    Path | None, typer.Option(help="The folder that the image paths are relative to, to embed the images.")
]


@app.command("sample")
def sample_command(
    out: Annotated[Path, typer.Argument(metavar="OUT.xlsx", help="The workbook to write.")],
    images: Annotated[int, typer.Option(min=1, help="Images to rate.")] = 30,
    concepts: Annotated[int, typer.Option(min=1, help="Concepts to rate.")] = 30,
    max_images: Annotated[int, typer.Option(min=1, help="The maximum number of images to show for a concept.")] = 10,
    seed: Annotated[int, typer.Option(help="The same graph and seed give the same sample.")] = 42,
    image_root: ImageRoot = None,
    reports: Reports = None,
    force: Annotated[bool, typer.Option("--force", help="Overwrite the file.")] = False,
    as_json: Json = False,
) -> None:
    """Write a workbook that asks raters about random images and concepts."""
    from kgplatform.assess.rating import check_workbook_path, write_rating_sample
    from kgplatform.connect import open_graph
    from kgplatform.construct.pipeline import open_reports

    check_workbook_path(out, force=force)
    source = None if reports is None else open_reports(*reports)
    with open_graph() as graph:
        written = write_rating_sample(
            graph, out, images, concepts, max_images, seed, image_root=image_root, reports=source
        )
    if as_json:
        emit_json(_document(written, out))
        return
    echo(
        f"{out}: {counted(len(written.sample.images), 'images')} and "
        f"{counted(len(written.sample.concepts), 'concepts')}, {counted(written.embedded, 'embedded images')}, "
        f"{counted(written.reports, 'reports')}; one copy for each rater, then `kgp assess score` with all of them"
    )


def _document(written: RatingWorkbook, out: Path) -> dict[str, Any]:
    return {
        "workbook": str(out),
        "images": len(written.sample.images),
        "concepts": len(written.sample.concepts),
        "embedded": written.embedded,
        "left_out": dict(written.left_out),
        "reports": written.reports,
        "seed": written.sample.seed,
        "identity": written.sample.identity,
    }


@app.command("score")
def score_workbooks(
    files: Annotated[list[Path], typer.Argument(metavar="FILE.xlsx…", help="The raters' workbooks.")],
    out: Annotated[Path | None, typer.Option(help="Folder for scores.json and the bar chart.")] = None,
    as_json: Json = False,
) -> None:
    """Read the raters' workbooks: means, spread and agreement of each metric."""
    from kgplatform.assess import score as scoring
    from kgplatform.assess import workbook

    raters = [workbook.read_ratings(file_path) for file_path in files]
    scores = scoring.score_ratings(raters)
    written_paths = [] if out is None else scoring.write_scores(scores, out)
    if as_json:
        emit_json(
            {
                "raters": len(raters),
                "metrics": [asdict(metric_score) for metric_score in scores],
                "files": list(map(str, written_paths)),
            }
        )
        return
    score_rows: list[dict[str, Any]] = [
        {
            "metric": metric_score.metric,
            "ratings": metric_score.ratings,
            "missing": metric_score.missing,
            "mean": metric_score.mean,
            "SD": metric_score.sd,
            "percent": metric_score.percent,
            "kappa": metric_score.mean_kappa,
            "ICC(2,1)": metric_score.icc_single,
            "ICC(2,k)": metric_score.icc_mean,
        }
        for metric_score in scores
    ]
    echo(format_table(score_rows))
    echo(f"{counted(len(raters), 'raters')}; kappa: quadratic weights, mean over the pairs; empty: undefined")
    for file_path in written_paths:
        echo(f"wrote {file_path}")
