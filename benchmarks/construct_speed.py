"""How fast construction by rules is on one core, and how much memory large lexicons take.

    python benchmarks/construct_speed.py --data ../shared/data [--terms 800000] [--conso-mib 1024]

Three measurements, each in a process of its own:

    reports   OpenI's reports, 30,000 names: reports a second, beside a loop that looks for every name as a substring,
              and beside pyahocorasick over the same names where that is installed (no stances: only finding)
    lexicon   invented names: seconds to take them in, and the memory of the process (aim: below 1 GB for 800,000)
    stream    an invented MRCONSO.RRF of that size, read to its end: MB a second, and memory (aim: below 500 MB)
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import psutil
import record
from construct_openi import concepts

from kgp_loaders.openi import OpenI
from kgp_loaders.umls import UMLS
from kgplatform.cli.output import note
from kgplatform.construct.annotate import annotate
from kgplatform.construct.lexicon import Concept, Lexicon
from kgplatform.construct.report import Report
from kgplatform.construct.semantic_types import Allowed
from kgplatform.construct.stance import rules
from kgplatform.construct.tagger import DictionaryTagger

TERMS = 30_000
TURNS = 5
ROOTS = ("opacity", "effusion", "nodule", "mass", "catheter", "fracture", "edema", "lesion", "stenosis", "fibrosis")
WORDS = tuple(f"{a}{b}{c}" for a in ("pul", "car", "ple", "hep", "ost", "neu") for b in ("mo", "di", "ra", "to")
              for c in ("nic", "lar", "tic", "nal", "sic", "ric", "mal"))  # fmt: skip


def invented(count: int) -> Iterator[Concept]:
    """So many concepts with a name of three or four words each; no two alike."""
    size = len(WORDS)
    for number in range(count):
        first, rest = divmod(number, size)
        second, third = divmod(rest, size)
        words = f"{WORDS[first % size]} {WORDS[second % size]} {WORDS[third % size]} {ROOTS[number % len(ROOTS)]}"
        yield Concept(f"C{number:07d}", f"{words} {number}" if first >= size else words, ("T047",))


def measure_reports(data: Path) -> dict[str, Any]:
    """Reports a second of the whole rules path, and of the rivals' finding alone."""
    given = list(concepts(data))
    taken = Lexicon(islice(given, TERMS - 200))
    names = Lexicon([*islice(given, TERMS - 200), *given[-200:]])
    reports = [row for row in OpenI(data / "openi").reports() if isinstance(row, Report)]
    tagger, judge = DictionaryTagger(names, Allowed()), rules()
    for report in reports[:200]:  # fill the caches of words, as any long run has them
        annotate(report, tagger, judge)
    rates = []
    for _ in range(TURNS):
        began = time.process_time()
        for report in reports:
            annotate(report, tagger, judge)
        rates.append(len(reports) / (time.process_time() - began))
    texts = [" ".join(report.sections.values()).lower() for report in reports]
    plain = sorted({concept.name.lower() for concept in islice(given, TERMS) if concept.name})
    few = texts[:40]
    began = time.process_time()
    for text in few:
        [name for name in plain if name in text]
    loop = len(few) / (time.process_time() - began)
    result = {
        "names": names.names,
        "names_without_own_words": taken.names,
        "reports": len(reports),
        "reports_per_second": sorted(rates)[TURNS // 2],
        "all_turns": rates,
        "substring_loop": {"names": len(plain), "reports": len(few), "reports_per_second": loop},
        "times_the_substring_loop": sorted(rates)[TURNS // 2] / loop,
    }
    try:
        import ahocorasick
    except ImportError:
        note("pyahocorasick is not installed, so there is no figure for it")
        return result
    began = time.process_time()
    automaton = ahocorasick.Automaton()
    for name in plain:
        automaton.add_word(name, name)
    automaton.make_automaton()
    built = time.process_time() - began
    began = time.process_time()
    for text in texts:
        list(automaton.iter(text))
    found = time.process_time() - began
    began = time.process_time()
    for report in reports:
        for text in report.sections.values():
            tagger.tag(text)
    ours = time.process_time() - began
    result["pyahocorasick"] = {
        "build_seconds": built,
        "reports_per_second": len(texts) / found,
        "our_tagging_alone_reports_per_second": len(reports) / ours,
    }
    return result


def measure_lexicon(terms: int) -> dict[str, Any]:
    """Seconds and memory of a lexicon of so many names."""
    before = psutil.Process().memory_info().rss
    began = time.perf_counter()
    names = Lexicon(invented(terms))
    taken = time.perf_counter() - began
    tagger = DictionaryTagger(names, Allowed())
    tagger.tag("There is a small effusion.")
    return {
        "names": names.names,
        "seconds": taken,
        "process_mib": psutil.Process().memory_info().rss / 2**20,
        "peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        "lexicon_mib": (psutil.Process().memory_info().rss - before) / 2**20,
    }


def measure_stream(mib: int) -> dict[str, Any]:
    """Memory and speed of reading an MRCONSO.RRF of that size."""
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        size = _write_release(folder, mib)
        began = time.perf_counter()
        count = sum(1 for _ in UMLS(folder).concepts())
        taken = time.perf_counter() - began
    return {
        "bytes": size,
        "names": count,
        "seconds": taken,
        "mb_per_second": size / 1e6 / taken,
        "peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }


def _write_release(folder: Path, mib: int) -> int:
    columns = {
        "MRCONSO.RRF": "CUI,LAT,TS,LUI,STT,SUI,ISPREF,AUI,SAUI,SCUI,SDUI,SAB,TTY,CODE,STR,SRL,SUPPRESS,CVF",
        "MRSTY.RRF": "CUI,TUI,STN,STY,ATUI,CVF",
        "MRREL.RRF": "CUI1,AUI1,STYPE1,REL,CUI2,AUI2,STYPE2,RELA,RUI,SRUI,SAB,SL,RG,DIR,SUPPRESS,CVF",
    }
    files = [f"{name}|what|{listed}|{listed.count(',') + 1}|1|1|\n" for name, listed in columns.items()]
    (folder / "MRFILES.RRF").write_text("".join(files), encoding="utf-8")
    described = [f"{one}|what||1|1|1|{name}|char|\n" for name, listed in columns.items() for one in listed.split(",")]
    (folder / "MRCOLS.RRF").write_text("".join(described), encoding="utf-8")
    (folder / "MRREL.RRF").write_text("", encoding="utf-8")
    wanted, size, number = mib * 2**20, 0, 0
    with (folder / "MRCONSO.RRF").open("w") as names, (folder / "MRSTY.RRF").open("w") as types:
        while size < wanted:
            number += 1
            cui = f"C{number:07d}"
            types.write(f"{cui}|T047|B2.2.1.2.1|Disease or Syndrome|AT{number:08d}||\n")
            for place in range(4):
                name = f"{ROOTS[number % 10]} of the {WORDS[number % len(WORDS)]} {number} form {place}"
                size += names.write(
                    f"{cui}|ENG|{'P' if place == 0 else 'S'}|L{number:07d}|PF|S{number:07d}|Y|A{number:08d}{place}||"
                    f"M{number:07d}|D{number:06d}|MSH|MH|D{number:06d}|{name}|0|N|256|\n"
                )
    return size


def work(arguments: argparse.Namespace) -> None:
    """Run each measurement in a process of its own, and store what they tell."""
    document: dict[str, Any] = {"context": record.context()}
    for part in ("reports", "lexicon", "stream"):
        note(f"measuring {part} …")
        options = [
            "--data",
            str(arguments.data),
            "--terms",
            str(arguments.terms),
            "--conso-mib",
            str(arguments.conso_mib),
        ]
        done = subprocess.run([sys.executable, __file__, "--part", part, *options], stdout=subprocess.PIPE, check=True)
        document[part] = json.loads(done.stdout)
        note(json.dumps(document[part]))
    note(f"stored in {record.store('construct_speed', document)}")


def main() -> int:
    """The benchmark, or one part of it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--terms", type=int, default=800_000)
    parser.add_argument("--conso-mib", type=int, default=1_024)
    parser.add_argument("--part", choices=("reports", "lexicon", "stream"))
    arguments = parser.parse_args()
    if arguments.part is None:
        return record.exit_code(lambda: work(arguments))
    measures = {
        "reports": lambda: measure_reports(arguments.data),
        "lexicon": lambda: measure_lexicon(arguments.terms),
        "stream": lambda: measure_stream(arguments.conso_mib),
    }
    json.dump(measures[arguments.part](), sys.stdout)
    return 0


if __name__ == "__main__":
    sys.exit(main())
