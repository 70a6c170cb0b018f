"""The forms in which other systems export reports: headers' marks, line ends, tables, and damaged characters."""

from __future__ import annotations

import time

import pytest

from kgplatform.construct.plain_text import clean_text
from kgplatform.construct.sections import sections

BOTH = {"findings": "The lungs are clear.", "impression": "No effusion."}
MARKS = ["=>", "->", "-->", "==>", ">>", ">", "|", "–", "—", "-", "--", "=", "→", "⇒", "»", "➔", "►", ":-", ":=", "..."]
LINE_ENDS = {
    "HL7's repetition": "~",
    "HL7's break": "\\.br\\",
    "HL7's space": "\\.sp\\",
    "HL7's escaped escape": "\\E\\.br\\E\\",
    "HL7's line feed": "\\X0A\\",
    "HL7's carriage return": "\\X0D\\",
    "HL7's both": "\\X0D0A\\",
    "HTML": "<br>",
    "HTML in capitals": "<BR>",
    "XHTML": "<br />",
    "escaped HTML": "&lt;br&gt;",
    "an entity": "&#10;",
    "an entity in hexadecimal": "&#xA;",
    "escaped": "\\n",
    "escaped as of Windows": "\\r\\n",
    "escaped twice": "\\\\n",
    "escaped as of an old Mac": "\\r",
    "Excel": "_x000D_\n",
    "Excel alone": "_x000D_",
    "Excel's line feed": "_x000A_",
    "RTF": "\\par ",
    "vertical tab": "\x0b",
    "record separator": "\x1e",
    "pilcrow": "¶",
    "caret": "^M",
    "slashes": " // ",
    "bars": "||",
}


def _joined(text: str) -> dict[str, str]:
    return {name: " ".join(section_text.split()) for name, section_text in sections(text).items()}


@pytest.mark.parametrize("mark", MARKS)
@pytest.mark.parametrize(
    "form",
    [
        "INDICATION {0} edema\nFINDINGS {0} The lungs are clear.\nIMPRESSION {0} No effusion.",
        "Indication {0} edema\nFindings {0} The lungs are clear.\nImpression {0} No effusion.",
        "INDICATION {0}\nedema\nFINDINGS {0}\nThe lungs are clear.\nIMPRESSION {0}\nNo effusion.",
        "INDICATION {0} edema. FINDINGS {0} The lungs are clear. IMPRESSION {0} No effusion.",
        "INDICATION{0}Edema\nFINDINGS{0}The lungs are clear.\nIMPRESSION{0}No effusion.",
    ],
    ids=["lines", "title case", "alone", "one line", "without spaces"],
)
def test_any_usual_mark_after_a_known_name_makes_a_header(form: str, mark: str) -> None:
    assert _joined(form.format(mark)) == BOTH


@pytest.mark.parametrize("line_end", LINE_ENDS)
@pytest.mark.parametrize(
    "form",
    [
        "INDICATION: edema{0}FINDINGS: The lungs are clear.{0}IMPRESSION: No effusion.",
        "INDICATION{0}edema{0}{0}FINDINGS{0}The lungs are clear.{0}{0}IMPRESSION{0}No effusion.",
        "Indication{0}edema{0}{0}Findings{0}The lungs are clear.{0}{0}Impression{0}No effusion.",
    ],
    ids=["after texts", "after headers", "title case"],
)
def test_what_stands_for_a_line_end_is_one(form: str, line_end: str) -> None:
    assert _joined(form.format(LINE_ENDS[line_end])) == BOTH


@pytest.mark.parametrize(
    "table",
    [
        "| Section | Text |\n|---|---|\n| Indication | edema |\n| Findings | The lungs are clear. |\n"
        "| Impression | No effusion. |",
        "| Findings | The lungs are clear. |\n|:--|--:|\n| Impression | No effusion. |",
        "| **Findings** | The lungs are clear. |\n| **Impression:** | No effusion. |",
        "|INDICATION|edema|\n|FINDINGS|The lungs are clear.|\n|IMPRESSION|No effusion.|",
        "| 1 | findings | The lungs are clear. |\n\n| 2 | impression | No effusion. |",
        "Indication | edema\nFindings | The lungs are clear.\nImpression | No effusion.",
        "| Indication | Findings | Impression |\n|---|---|---|\n| edema | The lungs are clear. | No effusion. |",
        "| Indication | edema | Findings | The lungs are clear. | Impression | No effusion. |",
        "+----+----+\n| Findings | The lungs are clear. |\n+----+----+\n| Impression | No effusion. |\n+----+----+",
        "<table><tr><td>Indication</td><td>edema</td></tr><tr><td>Findings</td><td>The lungs are clear.</td></tr>"
        "<tr><td>Impression</td><td>No effusion.</td></tr></table>",
        "<TABLE><TR><TH>Findings</TH><TH>Impression</TH></TR>\n"
        "<TR><TD>The lungs are clear.</TD><TD>No effusion.</TD></TR></TABLE>",
    ],
)
def test_tables_have_names_in_a_column_or_in_the_first_row(table: str) -> None:
    assert _joined(table) == BOTH


@pytest.mark.parametrize(
    "text",
    [
        "FINDINGS,\nThe lungs are clear.\n\nIMPRESSION,\nNo effusion.",
        "<p>FINDINGS</p><p>The lungs are clear.</p><P class='x'>IMPRESSION</P><P>No effusion.</P>",
        "<findings>The lungs are clear.</findings><impression>No effusion.</impression>",
        "FINDINGS:\xa0The lungs are clear.\nIMPRESSION\xa0:\xa0No effusion.",
        "FINDINGS:&nbsp;The lungs are clear.\nIMPRESSION&#58; No effusion.",
        "\ufeffFIND\u200bINGS:\u200bThe lungs are clear.\n\u200bIMPRESSION:\u200d No effusion.",
        "“FINDINGS”: The lungs are clear.\n‘IMPRESSION’: No effusion.",
        "FINDINGS:Â The lungs are clear.\nIMPRESSION â€“ No effusion.",
        "FINDINGS:Â\xa0The lungs are clear.\nIMPRESSION â€\x93 No effusion.",
        "FINDINGS \x96 The lungs are clear.\nIMPRESSION \x97 No effusion.",
    ],
)
def test_damaged_characters_do_not_hide_a_header(text: str) -> None:
    assert _joined(text) == BOTH


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("There is a ~3 cm mass; measures ~ 4 mm, ~one third.", None),
        ("Nodule > 3 cm. Shift from RLL -> RML. Effusion = small.", None),
        ("<2 cm nodule and >3 cm mass.", None),
        ("[<The heart is normal. No effusion.>] Scarring.", None),
        ("Pneumonia - history of cough - stable, no change since prior exam - unchanged.", None),
        ("The exam | the lungs", None),
        ("don\x92t", "don't"),
        ("previously<BR>described", "previously\ndescribed"),
        ("Lungs &amp; heart", "Lungs & heart"),
        ("it isnâ€™t", "it isn't"),
        ("an \\H\\acute\\N\\ effusion", "an acute effusion"),
    ],
)
def test_the_text_of_a_section_stays_as_it_is(text: str, expected: str | None) -> None:
    assert sections(f"FINDINGS: {text}") == {"findings": expected or text}
    assert clean_text(text) == expected or text


def test_a_dash_after_a_word_of_a_title_is_no_header() -> None:
    assert sections("XR CHEST - PA AND LATERAL\n\nThe lungs are clear.") == {"findings": "The lungs are clear."}


def test_other_sections_end_findings_whatever_their_mark() -> None:
    assert sections("FINDINGS: a\n\nHISTORY - pneumonia") == {"findings": "a"}
    assert sections("FINDINGS => a\nCOMPARISON => pneumonia") == {"findings": "a"}
    assert sections("| Findings | a |\n| Recommendation | CT for pneumonia |") == {"findings": "a"}


@pytest.mark.parametrize(
    "piece",
    ["|", "| ", "FINDINGS |", "FINDINGS => ", "->", "-", " -", "~", "&", "\\", "<a ", "<td ", "=", "_x000D_", ".",
     "FINDINGS-Aa ", "A >", "<td></td>", "| Findings | a |\n", "A ", "\xc2", "\xe2\u20ac", "&#1;", "\\E"],
)  # fmt: skip
def test_hostile_texts_take_time_in_proportion_to_their_length(piece: str) -> None:
    def seconds(length: int, turn: int) -> float:
        text = piece * (length // len(piece)) + f" {turn}"  # another text each time: what was read is remembered
        start_time = time.process_time()
        sections(text)
        return time.process_time() - start_time

    short, long = (min(seconds(length, turn) for turn in range(3)) for length in (10_000, 40_000))
    assert long < 8 * short + 0.05
