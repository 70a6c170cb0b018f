"""K-PathVQA (Naseem et al., IEEE JBHI 2024): knowledge makes the question's representation better, then all fuse.

Knowledge is the text of the paths around the question's concepts, by the text tower: paths of two edges between two of
them, and single edges between concepts. The question attends to them; image, question and the knowledge found are then
one sequence of a transformer's layer. Edges of images have no words, so no path has a stance: stances tell by visual
evidence alone (`kgp_models.vqa.evidence.ImageEvidence`).

Ours in addition to the original: a path's vector stands with its product with the question's and its difference from
it; how much of the path the question names is reported, and the visual evidence of the rest.

MedMKG's code draws one triplet by chance for a concept whose name is a part of the question's letters.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from kgp_models.vqa.base import Method, Sizes, mlp
from kgp_models.vqa.batch import PATH_FLAGS, QuestionBatch

HEADS = 4


class KPathVQA(Method):
    """A path is its text's vector, that vector times the question's and less it, how much of it the question names, and
    how likely the image shows the rest.
    """

    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        hidden_size = sizes.hidden
        self.image_norm, self.text_norm = nn.LayerNorm(sizes.image), nn.LayerNorm(sizes.text)
        self.image, self.question = nn.Linear(sizes.image, hidden_size), nn.Linear(sizes.text, hidden_size)
        self.path, self.flags = nn.Linear(3 * sizes.text, hidden_size), nn.Linear(PATH_FLAGS, hidden_size)
        self.none = nn.Parameter(torch.zeros(1, 1, hidden_size))  # what is attended to where no path says anything
        self.attention = nn.MultiheadAttention(hidden_size, HEADS, sizes.graph_dropout, batch_first=True)
        self.norm = nn.LayerNorm(hidden_size)
        self.together = nn.TransformerEncoderLayer(
            hidden_size, HEADS, 2 * hidden_size, sizes.graph_dropout, batch_first=True, norm_first=True
        )
        self.out = mlp(3 * hidden_size, hidden_size, 1, sizes.dropout)

    def forward(self, batch: QuestionBatch) -> Tensor:
        """(B,)."""
        question_vector, path_vectors = self.text_norm(batch.question), self.text_norm(batch.paths)
        question_copies = question_vector.unsqueeze(1).expand_as(path_vectors)
        path_states = self.path(
            torch.cat([path_vectors, path_vectors * question_copies, (path_vectors - question_copies).abs()], 2)
        ) + self.flags(batch.path_flags)
        knowledge_states = torch.cat(
            [self.none.expand(len(batch), -1, -1), torch.relu(path_states)], 1
        )  # (B, 1 + P, H)
        padding_mask = ~torch.cat([torch.ones_like(batch.path_mask[:, :1]), batch.path_mask], 1)
        question_state = torch.relu(self.question(question_vector)).unsqueeze(1)  # (B, 1, H)
        attended_knowledge, _ = self.attention(
            question_state, knowledge_states, knowledge_states, key_padding_mask=padding_mask, need_weights=False
        )
        updated_question = self.norm(question_state + attended_knowledge)
        image_state = torch.relu(self.image(self.image_norm(batch.image))).unsqueeze(1)
        fused = self.together(torch.cat([image_state, updated_question, attended_knowledge], 1))  # (B, 3, H)
        logits: Tensor = self.out(fused.flatten(1)).squeeze(1)
        return logits
