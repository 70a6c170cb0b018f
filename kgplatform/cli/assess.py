"""`kgp assess`: a workbook for human raters, and what their ratings say."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from kgplatform.cli.output import Json, echo, emit_json, format_table, note
from kgplatform.wording import counted

app = typer.Typer(no_args_is_help=True, help="Let people rate the graph (MedMKG appendix G).")


@app.callback()
def assess() -> None:
    """Let people rate the graph (MedMKG appendix G)."""


@app.command("sample")
def sample_command(
    out: Annotated[Path, typer.Argument(metavar="OUT.xlsx", help="The workbook to write.")],
    images: Annotated[int, typer.Option(min=1, help="Images to rate.")] = 30,
    concepts: Annotated[int, typer.Option(min=1, help="Concepts to rate.")] = 30,
    max_images: Annotated[int, typer.Option(min=1, help="Images shown of a concept, at most.")] = 10,
    seed: Annotated[int, typer.Option(help="The same graph and seed give the same sample.")] = 42,
    image_root: Annotated[
        Path | None, typer.Option(help="The folder that the images' paths begin in, to embed the images.")
    ] = None,
    reports: Annotated[
        tuple[str, Path] | None,
        typer.Option(metavar="KIND PATH", help="The reports, to show them beside the images; see kgp construct run."),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Overwrite the file.")] = False,
    as_json: Json = False,
) -> None:
    """Write a workbook that asks raters about random images and concepts."""
    from kgplatform.assess import sample as sampling
    from kgplatform.assess import workbook
    from kgplatform.assess.picture import Thumbnails
    from kgplatform.connect import open_graph
    from kgplatform.construct.pipeline import reports_of
    from kgplatform.construct.report import Report
    from kgplatform.errors import InputError
    from kgplatform.files import require_suffix

    if out.exists() and not force:
        raise InputError("the file is there already", "It may hold ratings: overwrite it with --force.", path=out)
    require_suffix(out, ".xlsx")
    source = None if reports is None else reports_of(*reports)
    with open_graph() as graph:
        thumbnails = None if image_root is None else Thumbnails(image_root)
        drawn_sample = sampling.draw_sample(
            graph, images, concepts, seed, max_images, thumbnails or (lambda path: True)
        )
    left_out = dict(thumbnails.left_out) if thumbnails is not None else {}
    for reason, image_count in left_out.items():
        note(f"left out of those that were drawn: {counted(image_count, 'images')} {reason}")
    for kind_name, drawn_count, requested_count in (
        ("images", len(drawn_sample.images), images),
        ("concepts", len(drawn_sample.concepts), concepts),
    ):
        if drawn_count < requested_count:
            note(f"{drawn_count:,} {kind_name} instead of {requested_count:,}: there are no more that raters can see")
    report_texts: dict[str, str] = {}
    if source is not None:
        sampled_ids = {image_item.id for image_item in drawn_sample.images}
        for report_row in source.reports():
            if isinstance(report_row, Report) and report_row.image_id in sampled_ids:
                report_texts[report_row.image_id] = "\n\n".join(
                    f"{section_name.upper()}: {section_text}"
                    for section_name, section_text in report_row.sections.items()
                )
        if sampled_ids and not report_texts:
            hint = "Give the reports that the graph was built from."
            raise InputError("none of these reports is of one of the images", hint, path=source.files[0])
        note(f"{out} holds the text of {counted(len(report_texts), 'reports')}: keep it where the reports may be kept")
    embedded_count = workbook.write_rating_workbook(drawn_sample, out, thumbnails, report_texts)
    document = {
        "workbook": str(out),
        "images": len(drawn_sample.images),
        "concepts": len(drawn_sample.concepts),
        "embedded": embedded_count,
        "left_out": left_out,
        "reports": len(report_texts),
        "seed": seed,
        "identity": drawn_sample.identity,
    }
    if as_json:
        emit_json(document)
        return
    echo(
        f"{out}: {counted(len(drawn_sample.images), 'images')} and {counted(len(drawn_sample.concepts), 'concepts')}, "
        f"{counted(embedded_count, 'pictures')}, "
        f"{counted(len(report_texts), 'reports')}; one copy a rater, then `kgp assess score` with all of them"
    )


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
