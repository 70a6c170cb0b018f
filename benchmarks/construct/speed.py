"""How fast construction by rules is on one core, and how much memory large lexicons take.

    python -m benchmarks.construct.speed --data $KGP_DATA_DIR [--terms 800000] [--conso-mib 1024]

Three measurements, each in a separate process:

    reports   OpenI's reports, 30,000 names: reports a second, compared with a loop that looks for every name
              as a substring, and with pyahocorasick over the same names where that is installed (no stances)
    lexicon   synthetic names: seconds to take them in, the memory of the process (aim: below 1 GB for 800,000), and
              reports a second, compared with the loop (aim: 500 times)
    stream    a synthetic MRCONSO.RRF of that size, read to its end: MB a second, and memory (aim: below 500 MB)
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, Final

import psutil

from benchmarks.construct.openi import openi_lexicon_concepts
from benchmarks.harness import record
from kgp_loaders.openi import OpenI
from kgp_loaders.umls import UMLS
from kgplatform.cli.output import note
from kgplatform.construct import attributes
from kgplatform.construct.lexicon import Concept, Lexicon
from kgplatform.construct.open_lexicon import ontology_names, own_words
from kgplatform.construct.report import Report
from kgplatform.construct.semantic_types import Allowed
from kgplatform.construct.spread import Stages, annotated
from kgplatform.construct.stance import Rules, rules
from kgplatform.construct.tagger import DictionaryTagger

RESULTS: Final = Path(__file__).parent / "results"

TERMS = 30_000
TURNS = 5
ROOTS = ("opacity", "effusion", "nodule", "mass", "catheter", "fracture", "edema", "lesion", "stenosis", "fibrosis")
WORDS = tuple(f"{a}{b}{c}" for a in ("pul", "car", "ple", "hep", "ost", "neu") for b in ("mo", "di", "ra", "to")
              for c in ("nic", "lar", "tic", "nal", "sic", "ric", "mal"))  # fmt: skip


def _random_concepts(count: int) -> Iterator[Concept]:
    """So many concepts with a name of three or four words each; no two alike."""
    word_count = len(WORDS)
    for concept_number in range(count):
        first_index, remainder = divmod(concept_number, word_count)
        second_index, third_index = divmod(remainder, word_count)
        name_words = (
            f"{WORDS[first_index % word_count]} {WORDS[second_index % word_count]} {WORDS[third_index % word_count]} "
            f"{ROOTS[concept_number % len(ROOTS)]}"
        )
        yield Concept(
            f"C{concept_number:07d}",
            f"{name_words} {concept_number}" if first_index >= word_count else name_words,
            ("T047",),
        )


def measure_reports(data: Path) -> dict[str, Any]:
    """Reports a second of the whole rules path, and of the rivals' finding alone. No report is read twice by the same
    tagger and rules, which remember what they made of a sentence.
    """
    all_concepts = [*own_words(), *ontology_names(), *openi_lexicon_concepts(data)]
    lexicon = Lexicon(islice(all_concepts, TERMS))
    reports = [record for record in OpenI(data / "openi").reports() if isinstance(record, Report)]
    report_rates = []
    for turn in range(TURNS + 1):
        stages = _fresh_stages(lexicon)
        start_time = time.process_time()
        annotation_count = sum(1 for _ in annotated(reports, stages))
        if turn:  # the first fills the memory of words, as any long run has it
            report_rates.append(annotation_count / (time.process_time() - start_time))
    report_texts = [" ".join(report.sections.values()).lower() for report in reports]
    lowercase_names = sorted({concept.name.lower() for concept in islice(all_concepts, TERMS) if concept.name})
    sample_texts = report_texts[:40]
    loop_rate = _substring_rate(sample_texts, lowercase_names)
    result = {
        "names": lexicon.names,
        "reports": len(reports),
        "reports_per_second": sorted(report_rates)[TURNS // 2],
        "all_turns": report_rates,
        "substring_loop": {
            "names": len(lowercase_names),
            "reports": len(sample_texts),
            "reports_per_second": loop_rate,
        },
        "times_the_substring_loop": sorted(report_rates)[TURNS // 2] / loop_rate,
    }
    try:
        import ahocorasick
    except ImportError:
        note("pyahocorasick is not installed, so there is no figure for it")
        return result
    start_time = time.process_time()
    automaton = ahocorasick.Automaton()
    for concept_name in lowercase_names:
        automaton.add_word(concept_name, concept_name)
    automaton.make_automaton()
    build_seconds = time.process_time() - start_time
    start_time = time.process_time()
    for report_text in report_texts:
        list(automaton.iter(report_text))
    search_seconds = time.process_time() - start_time
    tagger = _fresh_stages(lexicon).tagger
    start_time = time.process_time()
    for report in reports:
        for report_text in report.sections.values():
            tagger.tag(report_text)
    tagging_seconds = time.process_time() - start_time
    result["pyahocorasick"] = {
        "build_seconds": build_seconds,
        "reports_per_second": len(report_texts) / search_seconds,
        "our_tagging_alone_reports_per_second": len(reports) / tagging_seconds,
    }
    return result


def _fresh_stages(lexicon: Lexicon) -> Stages:
    """A tagger and rules that have read nothing yet."""
    attributes.forget_sentences()
    return Stages(DictionaryTagger(lexicon, Allowed()), Rules(rules().table))


def _substring_rate(texts: Sequence[str], names: Sequence[str]) -> float:
    """Reports a second of the plain loop that looks for every name in every text."""
    start_time = time.process_time()
    for text in texts:
        [name for name in names if name in text]
    return len(texts) / (time.process_time() - start_time)


def measure_lexicon(terms: int, data: Path) -> dict[str, Any]:
    """Seconds and memory of a lexicon of so many names, and reports a second with it, compared with the plain loop."""
    memory_before = psutil.Process().memory_info().rss
    start_time = time.perf_counter()
    lexicon = Lexicon(_random_concepts(terms))
    seconds = time.perf_counter() - start_time
    tagger = DictionaryTagger(lexicon, Allowed())
    tagger.tag("There is a small effusion.")
    memory = {
        "process_mib": psutil.Process().memory_info().rss / 2**20,
        "peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        "lexicon_mib": (psutil.Process().memory_info().rss - memory_before) / 2**20,
    }
    reports = [record for record in OpenI(data / "openi").reports() if isinstance(record, Report)]
    start_time = time.process_time()
    annotation_count = sum(1 for _ in annotated(reports, _fresh_stages(lexicon)))
    rate = annotation_count / (time.process_time() - start_time)
    texts = [" ".join(report.sections.values()).lower() for report in reports[:10]]
    loop_rate = _substring_rate(texts, [concept.name for concept in _random_concepts(terms)])
    return {
        "names": lexicon.names,
        "seconds": seconds,
        **memory,
        "reports_per_second": rate,
        "substring_loop": {"names": terms, "reports": len(texts), "reports_per_second": loop_rate},
        "times_the_substring_loop": rate / loop_rate,
    }


def measure_stream(mib: int) -> dict[str, Any]:
    """Memory and speed of reading an MRCONSO.RRF of that size."""
    with tempfile.TemporaryDirectory() as temporary_folder:
        folder = Path(temporary_folder)
        byte_count = _write_release(folder, mib)
        start_time = time.perf_counter()
        name_count = sum(1 for _ in UMLS(folder).concepts())
        seconds = time.perf_counter() - start_time
    return {
        "bytes": byte_count,
        "names": name_count,
        "seconds": seconds,
        "mb_per_second": byte_count / 1e6 / seconds,
        "peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }


def _write_release(folder: Path, size_mib: int) -> int:
    columns_by_file = {
        "MRCONSO.RRF": "CUI,LAT,TS,LUI,STT,SUI,ISPREF,AUI,SAUI,SCUI,SDUI,SAB,TTY,CODE,STR,SRL,SUPPRESS,CVF",
        "MRSTY.RRF": "CUI,TUI,STN,STY,ATUI,CVF",
        "MRREL.RRF": "CUI1,AUI1,STYPE1,REL,CUI2,AUI2,STYPE2,RELA,RUI,SRUI,SAB,SL,RG,DIR,SUPPRESS,CVF",
    }
    file_lines = [
        f"{file_name}|what|{column_names}|{column_names.count(',') + 1}|1|1|\n"
        for file_name, column_names in columns_by_file.items()
    ]
    (folder / "MRFILES.RRF").write_text("".join(file_lines), encoding="utf-8")
    column_lines = [
        f"{column_name}|what||1|1|1|{file_name}|char|\n"
        for file_name, column_names in columns_by_file.items()
        for column_name in column_names.split(",")
    ]
    (folder / "MRCOLS.RRF").write_text("".join(column_lines), encoding="utf-8")
    (folder / "MRREL.RRF").write_text("", encoding="utf-8")
    target_bytes, written_bytes, concept_number = size_mib * 2**20, 0, 0
    with (folder / "MRCONSO.RRF").open("w") as names_file, (folder / "MRSTY.RRF").open("w") as types_file:
        while written_bytes < target_bytes:
            concept_number += 1
            cui = f"C{concept_number:07d}"
            types_file.write(f"{cui}|T047|B2.2.1.2.1|Disease or Syndrome|AT{concept_number:08d}||\n")
            for term_index in range(4):
                concept_name = (
                    f"{ROOTS[concept_number % 10]} of the {WORDS[concept_number % len(WORDS)]} {concept_number} form "
                    f"{term_index}"
                )
                written_bytes += names_file.write(
                    f"{cui}|ENG|{'P' if term_index == 0 else 'S'}|L{concept_number:07d}|PF|S"
                    f"{concept_number:07d}|Y|A{concept_number:08d}{term_index}||"
                    f"M{concept_number:07d}|D{concept_number:06d}|MSH|MH|D{concept_number:06d}|{concept_name}|0|N|256|\n"
                )
    return written_bytes


def _run_benchmark(arguments: argparse.Namespace) -> None:
    """Run each measurement in a separate process, and store what they tell."""
    document: dict[str, Any] = {"context": record.context()}
    for measurement in ("reports", "lexicon", "stream"):
        note(f"measuring {measurement} …")
        options = [
            "--data",
            str(arguments.data),
            "--terms",
            str(arguments.terms),
            "--conso-mib",
            str(arguments.conso_mib),
        ]
        completed_run = subprocess.run(
            [sys.executable, "-m", "benchmarks.construct.speed", "--part", measurement, *options],
            stdout=subprocess.PIPE,
            check=True,
        )
        document[measurement] = json.loads(completed_run.stdout)
        note(json.dumps(document[measurement]))
    note(f"stored in {record.store(RESULTS / 'construct_speed.json', document)}")


def main() -> int:
    """The benchmark, or one part of it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=os.environ.get("KGP_DATA_DIR", "data"))
    parser.add_argument("--terms", type=int, default=800_000)
    parser.add_argument("--conso-mib", type=int, default=1_024)
    parser.add_argument("--part", choices=("reports", "lexicon", "stream"))
    arguments = parser.parse_args()
    if arguments.part is None:
        return record.exit_code(lambda: _run_benchmark(arguments))
    measures = {
        "reports": lambda: measure_reports(arguments.data),
        "lexicon": lambda: measure_lexicon(arguments.terms, arguments.data),
        "stream": lambda: measure_stream(arguments.conso_mib),
    }
    json.dump(measures[arguments.part](), sys.stdout)
    return 0


if __name__ == "__main__":
    sys.exit(main())
