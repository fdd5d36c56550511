"""The sets of the paper's training mixture.

Facts (fields, splits, wording) from the reference's public code; hub ids as the sets' pages have
them today. Test splits without labels are left out, as there.
"""

from . import readers as read
from .spec import SetSpec

__all__ = ["NEXT", "PAPER"]

LABELLED = {"train": "train", "validation": "validation"}
VALIDATION = {"validation": "validation"}

ANSWERS = "The following are questions (with answers).\n"
CHOICES = "The following are questions (with multiple-choice answers).\n"
NEXT = "Now, answer the next question.\n\n"
AMBIGUOUS = "Now, resolve the next ambiguity.\n\n"
ENTAILMENT = (
    "The following are questions (with premise, hypothesis, and answers) about entailment.\n"
)
UNSURE = "It's impossible to say"


_ASKED = "Question:\n{question}"

PAPER: tuple[SetSpec, ...] = (
    *(
        SetSpec(
            f"anli_r{number}",
            "facebook/anli",
            read.labelled("Yes", UNSURE, "No"),
            open="Read the following premise and answer if the hypothesis is true. Respond with"
            ' only "Yes", "No", or "It\'s impossible to say" answer and no additional text.\n'
            "{premise}\nHypothesis: {hypothesis}",
            choice="Premise:\n{premise}\n\nHypothesis:\n{hypothesis}",
            splits={"train": f"train_r{number}", "test": f"test_r{number}"},
            shots_from=f"dev_r{number}",
            open_intro=ENTAILMENT,
            choice_intro="The following are questions (with multiple-choice answers) about"
            " entailment.\n",
        )
        for number in (1, 2, 3)
    ),
    *(
        SetSpec(
            name,
            "allenai/ai2_arc",
            read.listed(),
            open="The question is: {question}",
            choice=_ASKED,
            config=config,
            open_intro=ANSWERS,
            choice_intro=CHOICES,
        )
        for name, config in (("arc", "ARC-Easy"), ("arc_challenge", "ARC-Challenge"))
    ),
    SetSpec(
        "boolq",
        "google/boolq",
        read.boolq,
        open='Read the following passage and answer the question. Respond with only "True" or'
        ' "False" and no additional text.\nPassage: {passage}\nQuestion: {question}?',
        choice="Passage:\n{passage}\n\nQuestion:\n{question}",
        splits=LABELLED,
        open_intro="The following are comprehension passages (with answers).\n",
        choice_intro="The following are comprehension passages (with multiple-choice answers).\n",
    ),
    SetSpec(
        "cb",
        "aps/super_glue",
        read.labelled("Yes", "No", UNSURE),
        open="Read the following premise and answer if the hypothesis is true. Respond only with"
        ' "Yes", "No", or "It\'s impossible to say" and no additional text.\n'
        "{premise}\nHypothesis: {hypothesis}.",
        choice="Premise:\n{premise}\n\nHypothesis:\n{hypothesis}",
        splits=LABELLED,
        config="cb",
        converted=True,
        open_intro=ENTAILMENT,
        choice_intro=ENTAILMENT,
    ),
    SetSpec(
        "commonsense_qa",
        "tau/commonsense_qa",
        read.commonsense_qa,
        open="Question: {question}",
        choice=_ASKED,
        splits=LABELLED,
        open_intro=ANSWERS,
        choice_intro=CHOICES,
    ),
    SetSpec(
        "copa",
        "aps/super_glue",
        read.copa,
        open="Read the following premise and pick the correct choice. Respond only with"
        ' "1" or "2" and no additional text.\nPremise: {premise}\n'
        "  Choice 1: {choice1}\n  Choice 2: {choice2}",
        choice="Premise:\n{premise}",
        splits=LABELLED,
        config="copa",
        converted=True,
        open_intro=ANSWERS,
        choice_intro=CHOICES,
    ),
    SetSpec(
        "cosmos_qa",
        "allenai/cosmos_qa",
        read.cosmos_qa,
        open="Read the following paragraph and answer the question.\nParagraph: {context}\n"
        "Question: {question}",
        choice="Context:\n{context}\n\nQuestion:\n{question}",
        splits=LABELLED,
        converted=True,
        open_intro="The following are some contexts and questions (with answers).\n",
        choice_intro="The following are some contexts and questions (with multiple-choice"
        " answers).\n",
    ),
    SetSpec(
        "hellaswag",
        "Rowan/hellaswag",
        read.hellaswag,
        open="Complete the ending for the following paragraph.\n{context}",
        choice="Context:\n{context}",
        splits=LABELLED,
        converted=True,
        open_cue="\nEnding:",
        open_intro="The following are some context completions (with answers).\n",
        choice_intro="The following are some context completions (with multiple-choice answers).\n",
    ),
    SetSpec(
        "math_qa",
        "allenai/math_qa",
        read.math_qa,
        open="Provide your best answer for the following math problem.\nProblem: {problem}",
        choice="Problem:\n{problem}",
        converted=True,
        open_intro="The following are math questions (with answers).\n",
        choice_intro="The following are math questions (with multiple-choice answers).\n",
        outro=NEXT,
    ),
    SetSpec(
        "multirc",
        "aps/super_glue",
        read.labelled("No", "Yes"),
        open="Read the following paragraph along with the question and answer. Then, respond with"
        ' whether the answer is correct. Respond with only "Yes" or "No" and no additional text.\n'
        "Passage: {paragraph}\nQuestion: {question}\nAnswer: {answer}. Is the answer correct?",
        choice="Paragraph:\n{paragraph}\n\nQ: {question}\n\nA: {answer}",
        splits=LABELLED,
        config="multirc",
        converted=True,
        open_cue="\nResponse:",
        open_intro="The following are reading comprehensions (with answers).\n",
        choice_intro="The following are reading comprehensions (with multiple-choice answers).\n",
    ),
    SetSpec(
        "obqa",
        "allenai/openbookqa",
        read.listed("question_stem"),
        open="Provide your best answer for the following question.\nQuestion: {question}",
        choice=_ASKED,
        config="main",
        open_intro="The following are questions with answers.\n",
        choice_intro="The following are questions with multiple-choice answers.\n",
        outro=NEXT,
    ),
    SetSpec(
        "piqa",
        "ybisk/piqa",
        read.piqa,
        open="Provide advice on how to accomplish the following goal.\nGoal: {goal}",
        choice="Goal:\n{goal}",
        splits=LABELLED,
        converted=True,
        open_intro="The following are questions with answers.\n",
        choice_intro="The following are questions with multiple-choice answers.\n",
        outro=NEXT,
        open_instruction="Give ONLY the advice, no other words or explanation.\nFor example:\n"
        "Answer: <advice, as short as possible; a single sentence!>.",
    ),
    SetSpec(
        "sciq",
        "allenai/sciq",
        read.sciq,
        open="Read the following and answer the question.\n{passage}Question: {question}",
        choice="{support}\nQuestion:\n{question}",
        open_intro="The following are science exam questions with answers.\n",
        choice_intro="The following are science exam questions with multiple-choice answers.\n",
        outro=NEXT,
        open_instruction="Give ONLY the answer, no other words or explanation.\n\nFor example:\n"
        "Answer: <most likely answer, as short as possible>.",
    ),
    SetSpec(
        "siqa",
        "allenai/social_i_qa",
        read.siqa,
        open="Read the following paragraph and answer the question.\nParagraph: {context}\n"
        "Question: {question}",
        choice="Context:\n{context}\n\nQuestion:\n{question}",
        splits=LABELLED,
        converted=True,
        open_intro="The following are social interaction questions with answers.\n",
        choice_intro="The following are social interaction questions with multiple-choice"
        " answers.\n",
        outro=NEXT,
        open_instruction="Give ONLY the answer, no other words or explanation.\nFor example:\n"
        "Answer: <most likely answer, as short as possible>.",
    ),
    SetSpec(
        "snli",
        "stanfordnlp/snli",
        read.labelled("Yes", UNSURE, "No"),
        open="Read the following premise and answer if the hypothesis is true. Respond with"
        ' only "Yes", "No", or "It\'s impossible to say" answer and no additional text.\n'
        "{premise}\nHypothesis: {hypothesis}",
        choice="Premise:\n{premise}\n\nHypothesis:\n{hypothesis}",
        open_intro=ENTAILMENT,
        choice_intro="The following are questions (with multiple-choice answers) about"
        " entailment.\n",
    ),
    SetSpec(
        "story_cloze",
        None,
        read.story_cloze,
        open="Complete the ending of the following story.\n{story}",
        choice="Story:\n{story}",
        splits=VALIDATION,
        open_cue="\nEnding:",
        shots_from="validation",
        open_intro="The following are stories (with endings).\n",
        choice_intro="The following are stories with endings (multiple-choice).\n",
        outro="Now, complete the next story.\n\n",
    ),
    SetSpec(
        "trec",
        "CogComp/trec",
        read.trec,
        open="Read the following question and then pick a category that describes the question.\n"
        "Question: {question}\nWhat category is the question in? Choose one from Abbreviation,"
        " Entity, Description and abstract concept, Human being, Location, Numeric value. Respond"
        " with only the category and no additional text.",
        choice=_ASKED,
        splits={"train": "train", "test": "test"},
        converted=True,
        open_intro="The following are questions with answers.\n",
        choice_intro="The following are questions with multiple-choice answers.\n",
        outro=NEXT,
        open_outro="Now, answer the next question.",
    ),
    SetSpec(
        "truthful_qa",
        "truthfulqa/truthful_qa",
        read.truthful_qa,
        open="Question: {question}",
        choice=_ASKED,
        splits=VALIDATION,
        config="multiple_choice",
        shots_from="validation",
        open_intro="The following are questions with answers.\n",
        choice_intro="The following are questions with multiple-choice answers.\n",
        outro=NEXT,
    ),
    SetSpec(
        "winogrande",
        "allenai/winogrande",
        read.winogrande,
        open='Fill in the blank "_" in the following sentence from the following choices. Respond'
        ' with only "1" or "2" and no additional text.\nSentence: {sentence}\n'
        "  Choice 1: {first}\n  Choice 2: {second}",
        choice="Sentence:\n{sentence}",
        splits=LABELLED,
        config="winogrande_xl",
        converted=True,
        open_intro="The following are ambiguous sentences (with answers).\n",
        choice_intro="The following are ambiguous sentences (with answer choices).\n",
        outro=AMBIGUOUS,
    ),
    SetSpec(
        "wsc",
        "ErnestSDavis/winograd_wsc",
        read.wsc,
        open="Read the following sentence, and resolve the ambiguity.\n{text}",
        choice="Sentence:\n{text}",
        splits={"test": "test"},
        config="wsc285",
        converted=True,
        shots_from="test",
        open_intro="The following are ambiguous sentences (with answers).\n",
        choice_intro="The following are ambiguous sentences (with answer choices).\n",
        outro=AMBIGUOUS,
    ),
)
"""The 23 registered names; ANLI and ARC are split."""
