"""Triplets from images and reports by a trained generator: batched, by beam search, from drawn replies, or of images
alone by its classifier; each with a score.
"""

from __future__ import annotations

import logging
import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import groupby
from typing import Any, Final, TypeVar

import torch
import transformers
from torch import Tensor

from kgp_models.generator.checkpoint import GeneratorCheckpoint
from kgp_models.generator.classifier import TripletClassifier
from kgp_models.generator.decoding import Decoding, Search
from kgp_models.generator.grammar import TripletsOnly
from kgp_models.generator.language import prompt_length, prompt_tokens
from kgp_models.generator.sampling import sampled_replies
from kgp_models.generator.transformers_search import ScoredReply, generate_replies
from kgplatform.errors import InputError
from kgplatform.generate.backend import GenerationRequest, GeneratorReply, Scored
from kgplatform.triplets.text import Triplet, parse_triplets, serialise

logger = logging.getLogger(__name__)
T = TypeVar("T")

BUCKET: Final = 16  # batches that are sorted by length together
IMAGE_READERS: Final = 4  # threads
NO_NUMBERS: Final = "the model gave no numbers"


def generator_device() -> str:
    """Where models run: on the first GPU, where there is one."""
    return "cuda" if torch.cuda.is_available() else "cpu"


class Generator:
    """A checkpoint that writes triplets; a `kgplatform.generate.backend.Backend`."""

    def __init__(self, trained: GeneratorCheckpoint, decoding: Decoding | None = None) -> None:
        decoding = decoding or Decoding()
        self.trained = trained
        self.decoding = decoding
        self._is_search_broken = False
        self._tokenizer = trained.tokenizer
        vocabulary_size = int(trained.model.language.get_input_embeddings().weight.shape[0])
        self._grammar = TripletsOnly(self._tokenizer, vocabulary_size) if decoding.constrained else None
        self._searches = {has_report: self._chosen_search(has_report) for has_report in (True, False)}
        self.name = trained.name
        self.sha256 = trained.sha256
        self.trained_on = trained.trained_on
        self.parameters: Mapping[str, Any] = {
            "beams": decoding.beams,
            "max_new_tokens": decoding.max_new_tokens,
            "constrained": decoding.constrained,
            "best": "the most probable reply",  # not by probability a token
            # Where they are not 0, and where images alone have others, so that ids of runs stay.
            **self._searches[True].document(),
            **({} if len(set(self._searches.values())) == 1 else {"image alone": self._searches[False].document()}),
        }

    def _chosen_search(self, has_report: bool) -> Search:
        """The search for studies with a report, or for images alone: a classifier reads images alone."""
        search = self.decoding.search(self.trained.search(has_report))
        is_possible = self.trained.classifier is not None and not has_report
        return search if is_possible or not search.classifier else Search()

    def _search_for(self, request: GenerationRequest) -> Search:
        """How the reply to a request is searched for."""
        return self._searches[bool(request.report)]

    def replies(self, requests: Iterator[GenerationRequest]) -> Iterator[list[GeneratorReply]]:
        """Batches of replies, in an order of their own: those of like length and one search together. Images are read
        ahead.
        """
        with ThreadPoolExecutor(IMAGE_READERS) as readers:
            for bucket in buckets(self._ahead(requests, readers), self.decoding.batch * BUCKET):
                bucket.sort(key=lambda request_pair: len(request_pair[0].report), reverse=True)
                for _, group in groupby(bucket, lambda request_pair: self._search_for(request_pair[0])):
                    same_search = list(group)
                    for batch_start in range(0, len(same_search), self.decoding.batch):
                        yield self._batch(same_search[batch_start : batch_start + self.decoding.batch])

    def _ahead(
        self, requests: Iterator[GenerationRequest], readers: ThreadPoolExecutor
    ) -> Iterator[tuple[GenerationRequest, Any]]:
        """Each with its image, which is being read while earlier ones are used."""
        pending: list[tuple[GenerationRequest, Any]] = []
        for request in requests:
            if self.trained.vision is None:
                request = request._replace(image=None)  # it is reported as an image that was not processed
            pending.append((request, readers.submit(self._pixels, request)))
            if len(pending) > 2 * self.decoding.batch:
                yield pending.pop(0)
        yield from pending

    def _pixels(self, request: GenerationRequest) -> Tensor | str | None:
        """The image as the encoder reads it, None where the generator reads reports alone; or why not."""
        if self.trained.vision is None:
            return None if request.report else "there is no report, and this generator reads nothing else"
        if request.image is None:
            return "there is no image, and this generator needs one"
        try:
            return self.trained.vision.pixels(request.image, blank=False)
        except InputError as error:
            return error.message

    def _batch(self, pending: Sequence[tuple[GenerationRequest, Any]]) -> list[GeneratorReply]:
        loaded = [(request, pending_image.result()) for request, pending_image in pending]
        failures = [
            GeneratorReply(request, "", (), problem=pixels) for request, pixels in loaded if isinstance(pixels, str)
        ]
        usable = [(request, pixels) for request, pixels in loaded if not isinstance(pixels, str)]
        if not usable:
            return failures
        if self.trained.vision is None:
            return [*self.write([request for request, _ in usable], None), *failures]
        image_vectors = self.trained.vision.encode([pixels for _, pixels in usable])
        replies = self.write([request for request, _ in usable], image_vectors.to(self.trained.model.device))
        return [*self._with_unlike(replies, image_vectors), *failures]

    def _with_unlike(self, replies: Sequence[GeneratorReply], image_vectors: Tensor) -> list[GeneratorReply]:
        """The replies, those marked whose image is unlike all of the training's."""
        reference = self.trained.reference
        if reference is None:
            return list(replies)
        is_unlike = (reference.distances(image_vectors.cpu()) > reference.threshold).tolist()
        return [reply._replace(unlike=unlike) for reply, unlike in zip(replies, is_unlike, strict=True)]

    @torch.inference_mode()
    def write(self, requests: Sequence[GenerationRequest], image: Tensor | None) -> list[GeneratorReply]:
        """The replies to a batch of one search; `image` are the encoder's vectors, (B, width)."""
        search = self._search_for(requests[0])
        if search.classifier and self.trained.classifier is not None and image is not None:
            return self._classified(self.trained.classifier, requests, image)
        prompts = self._prompts(requests)
        embeddings, mask = self.trained.model.embedded(prompts["input_ids"], prompts["attention_mask"], image)
        if search.samples:
            sampled = sampled_replies(
                self.trained.model.language,
                embeddings,
                mask,
                samples=search.samples,
                max_new_tokens=self.decoding.max_new_tokens,
                end=self._tokenizer.eos_token_id,
                logits_filter=self._grammar,
            )
            return [self._sampled(*pair, search.share) for pair in zip(requests, sampled, strict=True)]
        generated = self._most_probable(embeddings, mask, search)
        return [
            self._reply(request, *generation)
            if generation.tokens
            else GeneratorReply(request, "", (), problem=NO_NUMBERS)
            for request, generation in zip(requests, generated, strict=True)
        ]

    @staticmethod
    def _classified(
        classifier: TripletClassifier, requests: Sequence[GenerationRequest], image: Tensor
    ) -> list[GeneratorReply]:
        """The triplets that the classifier tells of the images, without the language model."""
        return [
            GeneratorReply(request, "", (), problem=NO_NUMBERS)
            if triplets is None
            else GeneratorReply(request, serialise(scored.triplet for scored in triplets), triplets, classified=True)
            for request, triplets in zip(requests, classifier.scored(image.cpu()), strict=True)
        ]

    def _sampled(self, request: GenerationRequest, replies: Sequence[Sequence[int]], share: float) -> GeneratorReply:
        """The triplets that this share of the drawn replies have, with their shares, the highest first."""
        if not replies:
            return GeneratorReply(request, "", (), problem=NO_NUMBERS)
        end = self._tokenizer.eos_token_id
        parsed = [parse_triplets(self._tokenizer.decode(reply, skip_special_tokens=True)) for reply in replies]
        counts = Counter(triplet for reply in parsed for triplet in dict.fromkeys(reply.triplets))
        triplets = tuple(
            Scored(triplet, count / len(replies))
            for triplet, count in sorted(counts.items(), key=lambda item: -item[1])
            if count >= share * len(replies)
        )
        return GeneratorReply(
            request,
            serialise(scored.triplet for scored in triplets),
            triplets,
            tokens=round(sum(map(len, replies)) / len(replies)),
            unread=self._unread(request),
            finished=2 * sum(end in reply for reply in replies) >= len(replies),
        )

    def _most_probable(self, embeddings: Tensor, mask: Tensor, search: Search) -> list[ScoredReply]:
        """The most probable replies; by transformers' own search, with a notice, where the platform's does not run."""
        options = {
            "beams": self.decoding.beams,
            "max_new_tokens": self.decoding.max_new_tokens,
            "end": self._tokenizer.eos_token_id,
            "logits_filter": self._grammar,
            "length_penalty": search.length_penalty,
            "token_reward": search.token_reward,
        }
        if not self._is_search_broken:
            try:
                from kgp_models.generator.search import most_probable

                return most_probable(self.trained.model.language, embeddings, mask, **options)
            except (ImportError, AttributeError, TypeError) as error:  # a part of transformers that has changed
                self._is_search_broken = True
                message = "the platform's beam search does not run with transformers %s (%s: %s); its own one is used"
                logger.warning(message, transformers.__version__, type(error).__name__, error)
                logger.debug("where it broke", exc_info=error)
        return generate_replies(self.trained.model.language, embeddings, mask, **options)

    def _prompts(self, requests: Sequence[GenerationRequest]) -> Any:
        """The prompts as tokens, padded on the left; the end of a report that is too long is cut."""
        max_tokens = self.trained.settings.max_length
        instruction = self.trained.settings.instruction
        prompts = [prompt_tokens(self._tokenizer, instruction, request.report, max_tokens) for request in requests]
        padded_length = max(map(len, prompts))
        token_ids = torch.tensor(
            [[self._tokenizer.pad_token_id] * (padded_length - len(prompt)) + prompt for prompt in prompts]
        )
        mask = torch.tensor([[0] * (padded_length - len(prompt)) + [1] * len(prompt) for prompt in prompts])
        device = self.trained.model.device
        return {"input_ids": token_ids.to(device), "attention_mask": mask.to(device)}

    def _unread(self, request: GenerationRequest) -> int:
        """Tokens of the report that are cut."""
        settings = self.trained.settings
        return max(0, prompt_length(self._tokenizer, settings.instruction, request.report) - settings.max_length)

    def _reply(
        self, request: GenerationRequest, token_ids: Sequence[int], log_probabilities: Sequence[float]
    ) -> GeneratorReply:
        """The reply of a row of tokens: its triplets, each with the mean over the tokens of its part."""
        is_finished = self._tokenizer.eos_token_id in token_ids
        reply_length = token_ids.index(self._tokenizer.eos_token_id) if is_finished else len(token_ids)
        token_ids, log_probabilities = token_ids[:reply_length], log_probabilities[:reply_length]
        reply_text = self._tokenizer.decode(token_ids, skip_special_tokens=True)
        parsed = parse_triplets(reply_text)
        scores: dict[Triplet, float] = {}
        for part_start, part_end in _parts([self._tokenizer.decode([token]) for token in token_ids]):
            for triplet in parse_triplets(
                self._tokenizer.decode(token_ids[part_start:part_end], skip_special_tokens=True)
            ).triplets:
                scores.setdefault(
                    triplet, math.exp(sum(log_probabilities[part_start:part_end]) / (part_end - part_start))
                )
        mean_probability = math.exp(sum(log_probabilities) / len(log_probabilities)) if log_probabilities else 0.0
        triplets = tuple(
            Scored(scored_triplet, scores.get(scored_triplet, mean_probability)) for scored_triplet in parsed.triplets
        )
        unread_count = self._unread(request)
        return GeneratorReply(
            request, reply_text, triplets, parsed.left_out, len(token_ids), unread=unread_count, finished=is_finished
        )


def buckets(coming: Iterable[tuple[GenerationRequest, T]], size: int) -> Iterator[list[tuple[GenerationRequest, T]]]:
    """Groups of at most `size` neighbours, by position: a group is the same whether or not others were done before."""

    def group(numbered: tuple[int, tuple[GenerationRequest, T]]) -> int:
        index, (request, _) = numbered
        return (index if request.position is None else request.position) // size

    for _, numbered in groupby(enumerate(coming), group):
        yield [request_pair for _, request_pair in numbered]


def _parts(tokens: Sequence[str]) -> Iterator[tuple[int, int]]:
    """Where the parts between semicolons begin and end, by token."""
    part_start = 0
    for index, token in enumerate(tokens):
        if ";" in token:
            if index > part_start:
                yield part_start, index
            part_start = index + 1
    if part_start < len(tokens):
        yield part_start, len(tokens)
