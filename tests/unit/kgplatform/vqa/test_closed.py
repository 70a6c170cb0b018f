"""Which questions `kgp ask` answers: a grammar of yes/no questions, tried on examples of each form and on real ones."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from kgplatform.cli import main
from kgplatform.datasets.questions import MAX_QUESTION_LENGTH, Question
from kgplatform.errors import InputError
from kgplatform.vqa.closed import Form, classify_form, validate_question

EXAMPLES = {
    Form.YES_NO: """\
Is there a pleural effusion?
is there a pleural effusion
IS THERE A PLEURAL EFFUSION?
Are there any masses or nodules
Does the image show a finding that zorevane can treat?
Does the image show a finding with which zorevane is contraindicated?
Can zorevane treat a pneumothorax?
Does munuramab act on the trachea?
Do you see an effusion?
Can you see a mass in the left lung?
Can you tell me whether there is an effusion?
Can you tell me if there is an effusion?
Could you please tell whether the heart is enlarged?
Please tell me if the heart is enlarged.
I want to know whether the heart is enlarged.
I wonder if there is a fracture
Evidence of pneumonia?
Any evidence of pneumonia
any effusion
Pneumonia?
Left pleural effusion?
Cardiomegaly present?
The heart is enlarged?
The heart is enlarged, isn't it?
The heart is enlarged, right?
There is an effusion, correct?
The heart is enlarged. Right?
The heart is enlarged. True or false?
True or false: the heart is enlarged
Yes or no: is there an effusion?
Is there an effusion (yes/no)?
Isn't there an effusion?
Aren’t the lungs clear?
In this image, is there a pneumothorax?
In the left lung is there a pneumothorax?
On the left side, are there any nodules?
Besides the mass, are there other lesions?
Is there an effusion or not?
Is there a fracture or dislocation?
Is there any effusion or pneumothorax?
Does the patient have pneumonia or effusion?
Is the heart or mediastinum enlarged?
The patient has fever. Is there pneumonia?
Hello doctor, is there pneumonia?
So, is the trachea midline?
Has the tube been removed?
Was a contrast agent used?
Will this heal?
Should I be worried?
Must the tube be moved?
Am I healthy?
Did the patient have surgery?
Is the lesion 5.5 cm wide?
Is there an area where the lung is collapsed?
Is there a lesion which looks malignant?
Do you think it is a mass?
Is it visible?
Is this a radiograph of a person who smokes?
Is Dr. Smith's tube in place?
Signs of heart failure?
Is/Are there midline shift?
Is there a tube in place, and is it correctly placed?
Is the trachea midline
Would you describe the mass as cystic?
Any abnormality?
Any pathology?
Any findings?
Abnormality?
Lung disease?
""",
    Form.OPEN: """\
Where is the effusion?
where is the effusion
WHERE IS THE EFFUSION
What is this?
What's this?
Whats wrong with the lung?
Which lung is affected?
In which lobe is the nodule?
On what side is it?
From what do you see stranding?
To what extent is the lung collapsed?
How many nodules are there?
How large is the heart?
How is the heart?
Why is the trachea deviated?
Who took this image?
Whose heart is it?
When was this taken?
Describe the image.
Please describe the findings
List the abnormalities
Name one abnormality in the radiograph.
Tell me where the effusion is
Tell me about the heart
Can you describe the findings?
Can you tell me where the effusion is?
Could you tell me what you see?
Do you know where the mass is?
Can you see where the mass is?
Can you name the organ?
The mass is located where?
The mass is located in what region?
The image shows what abnormality?
Location of the effusion?
Imaging modality used?
Number of nodules?
Is there an effusion, and where?
Is there an effusion and where is it?
Is there an effusion, and if so, on which side?
Is there an effusion? Where is it?
Is there a mass and how large is it?
Is the mass located where?
Is it located in which lobe?
Is it what?
Diagnosis?
Besides the mass, what else do you see?
If there is a mass, where is it?
I want to know where the effusion is
Explain the findings
Give me a report
What about the lungs?
The modality is?
Is there an effusion and describe it
Now, what is the diagnosis?
What is the diagnosis, is it pneumonia?
Write a report.
""",
    Form.CHOICE: """\
Is it left or right?
Is the effusion on the left or the right side?
Is this a CT or an MRI?
Is the heart normal or enlarged?
Is the image PA or AP?
Left or right?
Normal or abnormal?
Does the lung look normal or abnormal?
Was this taken with or without contrast?
Are the lungs clear or is there consolidation?
Is this pneumonia vs. effusion?
Is the patient male or female?
Does the effusion lie on the left or right?
""",
    Form.SEVERAL: """\
Is there an effusion? Is there a pneumothorax?
""",
    Form.STATEMENT: """\
The heart is enlarged.
There is an effusion
The image shows a mass.
""",
    Form.NO_WORDS: """\
?
12 ?
...
""",
    Form.UNCLEAR: """\
pleural effusion
heart
studies/files/p90/x.png
lorem ipsum dolor
""",
    Form.NOT_ENGLISH: """\
Wo ist der Erguss?
Ist da ein Erguss?
¿Hay derrame pleural?
Où est l'épanchement?
Est-ce qu'il y a un épanchement?
是否有胸腔积液?
Есть ли выпот?
C'è un versamento?
""",
}


@pytest.mark.parametrize("form", EXAMPLES)
def test_each_form_is_recognised(form: Form) -> None:
    wrong_forms = {
        question: classify_form(question)
        for question in EXAMPLES[form].splitlines()
        if classify_form(question) is not form
    }
    assert not wrong_forms


def test_only_yes_no_questions_pass_and_errors_say_why() -> None:
    image_path = Path("image.png")
    assert validate_question(image_path, "  Is there \n an effusion? ") == "Is there an effusion?"
    for form in EXAMPLES.keys() - {Form.YES_NO}:
        for question in EXAMPLES[form].splitlines():
            with pytest.raises(InputError, match="only yes/no questions are answered") as raised:
                validate_question(None, question)
            assert raised.value.message.startswith(form.value)
            assert raised.value.exit_code == 1
            assert raised.value.hint


@pytest.mark.parametrize("text", ["", " \n", "?!", "12", "\x00\x01", "\udcff\ud800"])
def test_a_text_without_words(text: str) -> None:
    with pytest.raises(InputError, match="no words"):
        validate_question(Path("image.png"), text)


def test_a_question_that_is_too_long_is_refused_and_not_cut() -> None:
    with pytest.raises(InputError, match="more than 2,000 characters"):
        validate_question(None, "Is there an effusion " + "or " * MAX_QUESTION_LENGTH)


def test_image_and_question_in_the_wrong_order(tmp_path: Path) -> None:
    image_path = tmp_path / "image"
    image_path.write_bytes(b"")
    for image_argument in (str(image_path), "missing.png", "scan.DCM"):
        with pytest.raises(InputError, match="image and question are in the wrong order"):
            validate_question(Path("Is there an effusion?"), image_argument)
    with pytest.raises(InputError, match="only yes/no questions"):
        validate_question(image_path, str(image_path))


@pytest.mark.parametrize(
    "question",
    ["Isn't there an effusion?", "Aren\u2019t there masses?", "Is there no pleural effusion?",
     "Is pleural effusion absent?",
     "Is there an absence of edema?", "Is the image without a fracture?", "Are the lungs free of nodules?",
     "Is the study negative for pneumothorax?", "Can pneumonia be ruled out?", "Does the image not show a mass?",
     "Can you tell me whether there is no effusion?", "No effusion?"],
)  # fmt: skip
def test_a_negated_question_is_refused_as_its_answer_would_mean_either(question: str) -> None:
    with pytest.raises(InputError, match="this question is negated") as raised:
        validate_question(Path("image.png"), question)
    assert "Ask for the finding itself" in raised.value.hint


@pytest.mark.parametrize(
    "question",
    ["The heart is enlarged, isn't it?", "Is there an effusion or not?", "Yes or no: is there an effusion?",
     "Is there an effusion (yes/no)?", "Is there a nodule?", "Is the finding notable?", "Any effusion?",
     "Is there an effusion, yes or no?"],
)  # fmt: skip
def test_a_tag_and_an_alternative_negate_nothing(question: str) -> None:
    assert validate_question(Path("image.png"), question) == question


@pytest.mark.parametrize(
    "question", ["Is there cardiomegaly and is there pneumothorax?", "Are there nodules and does the image show edema?"]
)
def test_two_questions_in_one_sentence_are_several(question: str) -> None:
    assert classify_form(question) is Form.SEVERAL
    assert classify_form("Is there an effusion and a mass?") is Form.YES_NO


def test_a_choice_in_words_of_one_side() -> None:
    assert classify_form("Is the effusion small or large?") is Form.CHOICE
    assert classify_form("Is there a small or large effusion?") is Form.YES_NO


def closed_and_open(path: Path) -> dict[str, bool]:
    """The distinct English questions of a file, and whether their answer is yes or no."""
    question_rows = json.loads(path.read_text(encoding="utf-8"))
    return {
        question_row["question"]: Question("", "", str(question_row["answer"]), "", Path(), "", "").yes is not None
        for question_row in question_rows
        if question_row.get("q_lang", "en") == "en"
    }


@pytest.mark.data
@pytest.mark.parametrize(("name", "least"), [("vqa_rad/trainset.json", 0.99), ("slake/train.json", 0.999)])
def test_on_the_questions_of_data_sets(data_dir: Path, name: str, least: float) -> None:
    """Where an answer is no yes or no though the question asks for it ("Is there contrast?", "In the bowel"), the form
    is that of the question.
    """
    questions = closed_and_open(data_dir / name)
    correct_count = sum(
        (classify_form(question) is Form.YES_NO) is is_closed for question, is_closed in questions.items()
    )
    assert correct_count >= least * len(questions)


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["scan.png", "Where is the effusion?"], 1, "this is an open question; only yes/no questions are answered"),
        (["Is there an effusion?", "scan.png"], 1, "image and question are in the wrong order"),
        (["scan.png", " "], 1, "the question has no words"),
        (["--without-image", "Describe the image."], 1, "only yes/no questions are answered"),
        (["scan.png"], 2, "an image and a question are needed"),
    ],
)
def test_the_command_reports_them_before_anything_is_opened(
    arguments: list[str], code: int, message: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["kgp", "ask", *arguments])
    with pytest.raises(SystemExit) as exit_info:
        main()
    output, error_output = capsys.readouterr()
    assert (exit_info.value.code, output) == (code, "")
    assert message in error_output
