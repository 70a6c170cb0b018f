"""`kgp assess`: a workbook for human raters, and what their ratings say."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from kgplatform.cli.output import Json, echo, emit_json, note, table
from kgplatform.wording import counted

app = typer.Typer(no_args_is_help=True, help="Let people rate the graph (MedMKG appendix G).")


@app.callback()
def assess() -> None:
    """Let people rate the graph (MedMKG appendix G)."""


@app.command()
def sample(
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
    from kgplatform.construct.pipeline import reports_of
    from kgplatform.construct.report import Report
    from kgplatform.errors import InputError
    from kgplatform.graph import Graph

    if out.exists() and not force:
        raise InputError("the file is there already", "It may hold ratings: overwrite it with --force.", path=out)
    source = None if reports is None else reports_of(*reports)
    with Graph.open() as graph:
        small = None if image_root is None else Thumbnails(image_root)
        drawn = sampling.draw(graph, images, concepts, seed, max_images, small or (lambda path: True))
    left_out = dict(small.left_out) if small is not None else {}
    for reason, count in left_out.items():
        note(f"left out of those that were drawn: {counted(count, 'images')} {reason}")
    for what, got, asked in (("images", len(drawn.images), images), ("concepts", len(drawn.concepts), concepts)):
        if got < asked:
            note(f"{got:,} {what} instead of {asked:,}: there are no more that raters can see")
    texts: dict[str, str] = {}
    if source is not None:
        wanted = {item.id for item in drawn.images}
        for row in source.reports():
            if isinstance(row, Report) and row.image_id in wanted:
                texts[row.image_id] = "\n\n".join(f"{name.upper()}: {text}" for name, text in row.sections.items())
        note(f"{out} holds the text of {counted(len(texts), 'reports')}: keep it where the reports may be kept")
    embedded = workbook.write(drawn, out, small, texts)
    told = {
        "workbook": str(out),
        "images": len(drawn.images),
        "concepts": len(drawn.concepts),
        "embedded": embedded,
        "left_out": left_out,
        "reports": len(texts),
        "seed": seed,
        "identity": drawn.identity,
    }
    if as_json:
        emit_json(told)
        return
    echo(
        f"{out}: {counted(len(drawn.images), 'images')} and {counted(len(drawn.concepts), 'concepts')}, "
        f"{counted(embedded, 'pictures')}, "
        f"{counted(len(texts), 'reports')}; one copy a rater, then `kgp assess score` with all of them"
    )


@app.command()
def score(
    files: Annotated[list[Path], typer.Argument(metavar="FILE.xlsx…", help="The raters' workbooks.")],
    out: Annotated[Path | None, typer.Option(help="Folder for scores.json and the bar chart.")] = None,
    as_json: Json = False,
) -> None:
    """Read the raters' workbooks: means, spread and agreement of each metric."""
    from kgplatform.assess import score as scoring
    from kgplatform.assess import workbook

    raters = [workbook.read(path) for path in files]
    scores = scoring.score(raters)
    written = [] if out is None else scoring.write(scores, out)
    if as_json:
        emit_json({"raters": len(raters), "metrics": [asdict(one) for one in scores], "files": list(map(str, written))})
        return
    columns: list[dict[str, Any]] = [
        {
            "metric": one.metric,
            "ratings": one.ratings,
            "missing": one.missing,
            "mean": one.mean,
            "SD": one.sd,
            "percent": one.percent,
            "kappa": one.mean_kappa,
            "ICC(2,1)": one.icc_single,
            "ICC(2,k)": one.icc_mean,
        }
        for one in scores
    ]
    echo(table(columns))
    echo(f"{counted(len(raters), 'raters')}; kappa: quadratic weights, mean over the pairs; empty: undefined")
    for path in written:
        echo(f"wrote {path}")
