"""The lexicon that comes with the package: its terms, what it finds in reports of real wording, its relations."""

from __future__ import annotations

from collections import Counter
from importlib.resources import files

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kgplatform.construct.annotate import annotate, properties
from kgplatform.construct.lexicon import Lexicon, key
from kgplatform.construct.open_lexicon import OpenRelations, ontology_names, own_words
from kgplatform.construct.open_lexicon.terms import ANY, CHEST, expand_name, own_terms, parse_terms
from kgplatform.construct.report import Report
from kgplatform.construct.semantic_types import Allowed, kind_of
from kgplatform.construct.stance import rules
from kgplatform.construct.tagger import DictionaryTagger
from kgplatform.errors import InputError
from kgplatform.schema import CONCEPT_ID

TAGGER = DictionaryTagger(Lexicon([*own_words(), *ontology_names()]), Allowed())
OTHER_TAGGER = DictionaryTagger(Lexicon([*own_words(ANY), *ontology_names()]), Allowed())
NAMES = {term.cui: term.name for term in own_terms()}


def stated(text: str, tagger: DictionaryTagger = TAGGER) -> set[tuple[str, str]]:
    """The findings that a text states, by name and stance; anatomy is left out."""
    edges = annotate(Report("1", "I1", {"findings": text}), tagger, rules()).edges
    return {(concept.name, relation.value) for concept, relation in edges if not concept.is_anatomy}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("The cardiac silhouette is mildly enlarged.", {("Cardiomegaly", "POSITIVE")}),
        ("Heart size remains slightly large.", {("Cardiomegaly", "POSITIVE")}),
        ("The heart is not enlarged.", {("Cardiomegaly", "NEGATIVE")}),
        ("Lungs are hyperexpanded with flattening of the hemidiaphragms.",
         {("Hyperinflation", "POSITIVE"), ("Flattened diaphragm", "POSITIVE")}),
        ("Low lung volumes with bronchovascular crowding.",
         {("Low lung volumes", "POSITIVE"), ("Bronchovascular crowding", "POSITIVE")}),
        ("Mild right hemidiaphragm elevation.", {("Elevated diaphragm", "POSITIVE")}),
        ("Blunting of the left costophrenic angle.", {("Blunted costophrenic angle", "POSITIVE")}),
        ("Calcified left lower lobe 5 mm granuloma.", {("Calcified granuloma", "POSITIVE")}),
        ("The thoracic aorta is tortuous and calcified.",
         {("Tortuous aorta", "POSITIVE"), ("Aortic calcification", "POSITIVE")}),
        ("Enlarged, tortuous calcified aorta.", {("Tortuous aorta", "POSITIVE"), ("Aortic calcification", "POSITIVE")}),
        ("Calcified lingular pulmonary granuloma.", {("Calcified granuloma", "POSITIVE")}),
        ("Small pleural and pericardial effusions.",
         {("Pleural effusion", "POSITIVE"), ("Pericardial effusion", "POSITIVE")}),
        ("Degenerative changes of the mid thoracic spine.", {("Degenerative change of spine", "POSITIVE")}),
        ("No acute displaced rib fracture.", {("Rib fracture", "NEGATIVE")}),
        ("Right IJ central venous catheter and endotracheal tube.",
         {("Central venous catheter", "POSITIVE"), ("Endotracheal tube", "POSITIVE")}),
        ("Surgical clips in the right axilla.", {("Surgical clips", "POSITIVE")}),
        ("No focal airspace disease or consolidation.",
         {("Airspace disease", "NEGATIVE"), ("Consolidation", "NEGATIVE")}),
        ("Patchy bibasilar opacities.", {("Lung opacity", "POSITIVE")}),
        ("Bilateral pleural effusions.", {("Pleural effusion", "POSITIVE")}),
        ("Pulmonary vascular engorgement appears within normal limits.",
         {("Pulmonary vascular congestion", "NEGATIVE")}),
        ("No acute bony abnormality.", {("Bone abnormality", "NEGATIVE")}),
    ],
)  # fmt: skip
def test_findings_of_real_wording_are_recognised(text: str, expected: set[tuple[str, str]]) -> None:
    assert stated(text) == expected


@pytest.mark.parametrize(
    ("text", "expected", "unexpected"),
    [
        ("There is a mass in the liver.", "Mass", "Lung mass"),
        ("Thyroid mass.", "Thyroid mass", "Lung mass"),
        ("Renal mass, unchanged.", "Mass", "Lung mass"),
        ("Nodule in the left adrenal gland.", "Nodule", "Lung nodule"),
        ("Effusion of the left knee.", "Effusion", "Pleural effusion"),
        ("Mass in the left lung.", "Lung mass", "Mass"),
        ("Nodule at the right base.", "Lung nodule", "Nodule"),
        ("Prior aortic valve replacement.", "Prosthetic heart valve", "Valve"),
    ],
)
def test_a_word_means_what_fits_the_organ(text: str, expected: str, unexpected: str) -> None:
    names = {name for name, _ in stated(text)}
    assert expected in names
    assert unexpected not in names


def test_studies_of_other_regions_are_not_read_with_the_chests_words() -> None:
    assert stated("No mass effect. There is a mass.", OTHER_TAGGER) == {
        ("Mass effect", "NEGATIVE"),
        ("Mass", "POSITIVE"),
    }
    assert ("Lung mass", "POSITIVE") in stated("There is a mass.")
    assert ("Hydrocephalus", "NEGATIVE") in stated("No hydrocephalus.", OTHER_TAGGER)


def test_every_term_has_an_id_of_its_own_a_known_type_and_a_broader_term_that_exists() -> None:
    terms = own_terms()
    assert [cui for cui, count in Counter(term.cui for term in terms).items() if count > 1] == []
    assert [name for name, count in Counter(term.name for term in terms).items() if count > 1] == []
    names = {term.name for term in terms}
    for term in terms:
        assert CONCEPT_ID.fullmatch(term.cui), term.name
        assert kind_of((term.semantic_type,)), term.name
        assert term.region in (CHEST, ANY), term.name
        assert not term.broader or term.broader in names, term.name
        assert all(key(name) for name in term.names), term.name


def test_a_preferred_name_is_found_as_the_concept_itself() -> None:
    for term in own_terms():
        mentions = TAGGER.tag(term.name)
        if term.region == CHEST and mentions and mentions[0].end == len(term.name) and mentions[0].start == 0:
            assert mentions[0].candidates[0].cui == term.cui, term.name


def test_project_ids_mark_what_no_open_source_has() -> None:
    ontology_cuis = {concept.cui for concept in ontology_names()}
    own_ids = {term.cui for term in own_terms() if term.cui.startswith("KGP")}
    assert own_ids
    assert own_ids.isdisjoint(ontology_cuis)
    assert all(cui.startswith("C") for cui in ontology_cuis)


def test_relations_join_a_concept_to_the_next_broader_one_that_is_there() -> None:
    cuis = {name: cui for cui, name in NAMES.items()}
    relations = OpenRelations()
    among = [cuis["Calcified lung nodule"], cuis["Lung nodule"], cuis["PICC"], cuis["Catheter"]]
    named = {(NAMES[relation.head], relation.name, NAMES[relation.tail]) for relation in relations.relations(among)}
    assert named == {("Calcified lung nodule", "isa", "Lung nodule"), ("PICC", "isa", "Catheter")}
    assert list(relations.relations(among[:1])) == []


def test_licences_and_credits_come_with_the_names() -> None:
    credits = files("kgplatform.construct.open_lexicon").joinpath("SOURCES.md").read_text(encoding="utf-8")
    for source in ("Human Phenotype Ontology", "MONDO", "Disease Ontology", "Uberon", "MedMKG"):
        assert source in credits


def test_alternatives_of_a_name() -> None:
    assert list(expand_name("(a|b) c (d|)")) == ["a c d", "a c", "b c d", "b c"]
    assert list(expand_name("plain name")) == ["plain name"]


@given(st.text(alphabet="ab |()", max_size=20))
def test_any_pattern_expands_to_names_without_marks(pattern: str) -> None:
    names = list(expand_name(pattern)) if pattern.count("|") < 6 else []
    assert all(name and name == " ".join(name.split()) for name in names)


def test_a_damaged_row_of_the_terms_is_an_error_with_its_line() -> None:
    with pytest.raises(InputError, match="line 2"):
        list(parse_terms("# terms\nC0000001\tName\tFinding\n"))


def test_a_real_report_has_edges_with_attributes() -> None:
    text = "Moderate right pleural effusion, increased from prior. 8 mm nodule in the left upper lobe."
    annotation = annotate(Report("1", "I1", {"findings": text}), TAGGER, rules())
    edges = {
        concept.name: properties(annotation, relation, evidence, TAGGER)
        for (concept, relation), evidence in annotation.edges.items()
    }
    effusion, nodule = edges["Pleural effusion"], edges["Lung nodule"]
    assert (effusion["side"], effusion["severity"], effusion["change"]) == ("right", "moderate", "worse")
    assert (nodule["side"], nodule["location"], nodule["size_mm"]) == ("left", ["upper lobe"], 8.0)
