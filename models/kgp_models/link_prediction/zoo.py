"""The models by name: how each is built from PyKEEN's parts, and how it is scored."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

import pykeen.models
import torch
from pykeen.models import ERModel
from pykeen.triples import KGInfo

from kgp_models.link_prediction import bilinear, neural, translational
from kgp_models.link_prediction.atth import AttH, AttHScorer
from kgp_models.link_prediction.complex_n3 import ComplExN3
from kgp_models.link_prediction.convr import ConvR, ConvRScorer
from kgp_models.link_prediction.hyper import HypER, HypERScorer
from kgp_models.link_prediction.murp import MurP, MurPScorer
from kgp_models.link_prediction.scorers import ModelScorer, Reciprocal
from kgp_models.link_prediction.scoring import Factored
from kgp_models.link_prediction.settings import TrainingSettings
from kgp_models.link_prediction.simple import SimplE, SimplEScorer
from kgp_models.link_prediction.transh import TransH, TransHScorer
from kgplatform import plugins
from kgplatform.errors import InputError
from kgplatform.suggest import did_you_mean

Model: TypeAlias = ERModel[Any, Any, Any]


@dataclass(frozen=True)
class Entry:
    """How to build a model, and the class that scores it."""

    build: Callable[..., Model]
    scorer: Callable[[Model], ModelScorer]


class Models:
    """The models of this package, registered in the group ``kgplatform.models`` as those of other packages are."""

    transe = Entry(pykeen.models.TransE, translational.TransE)
    transh = Entry(TransH, TransHScorer)
    transr = Entry(pykeen.models.TransR, translational.TransR)
    transd = Entry(pykeen.models.TransD, translational.TransD)
    rotate = Entry(pykeen.models.RotatE, translational.RotatE)
    rescal = Entry(pykeen.models.RESCAL, bilinear.RESCAL)
    distmult = Entry(pykeen.models.DistMult, bilinear.DistMult)
    complex = Entry(pykeen.models.ComplEx, bilinear.ComplEx)
    complex_n3 = Entry(ComplExN3, bilinear.ComplEx)
    simple = Entry(SimplE, SimplEScorer)
    tucker = Entry(pykeen.models.TuckER, neural.TuckER)
    conve = Entry(pykeen.models.ConvE, neural.ConvE)
    mure = Entry(pykeen.models.MuRE, translational.MuRE)
    hyper = Entry(HypER, HypERScorer)
    convr = Entry(ConvR, ConvRScorer)
    atth = Entry(AttH, AttHScorer)
    murp = Entry(MurP, MurPScorer)
    ntn = Entry(pykeen.models.NTN, neural.NTN)


def build_link_model(
    settings: TrainingSettings, num_entities: int, num_relations: int, seed: int
) -> tuple[Model, Factored]:
    """A new model and its scorer; raises `InputError` for an unknown model or argument."""
    model_names = plugins.registered_names("models")
    if settings.model not in model_names:
        hint = did_you_mean(settings.model, model_names, f"Models: {', '.join(model_names)}.")
        raise InputError(f"there is no model {settings.model}", hint)
    entry: Entry = plugins.load_plugin("models", settings.model, "model")
    graph_size = KGInfo(num_entities, num_relations, create_inverse_triples=settings.reciprocal)
    torch.manual_seed(seed)
    try:
        model = entry.build(triples_factory=graph_size, random_seed=seed, **settings.arguments)
    except (TypeError, ValueError) as error:
        raise InputError(f"{settings.model} does not take these arguments: {error}", "Check them.") from None
    scorer = entry.scorer(model)
    return model, Reciprocal(scorer) if settings.reciprocal else scorer
