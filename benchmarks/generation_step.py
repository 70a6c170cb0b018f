"""What a training step of the full-size generator costs: stage 2 on random weights."""

from __future__ import annotations

import statistics
import time
from typing import Any, Final

import torch

from kgp_models.generator.generate import device
from kgp_models.generator.model import VLMKG
from kgp_models.generator.projector import Projector
from kgp_models.generator.settings import ProjectorSettings

POSITIONS: Final = 512  # of the full-size step, the image's among them
IMAGE_WIDTH: Final = 512  # of MedCLIP's vectors
QWEN: Final = {  # Qwen1.5-0.5B's config.json
    "vocab_size": 151_936, "hidden_size": 1_024, "intermediate_size": 2_816, "num_hidden_layers": 24,
    "num_attention_heads": 16, "num_key_value_heads": 16, "max_position_embeddings": 32_768,
    "tie_word_embeddings": True,
}  # fmt: skip
PEAKS: Final = {"H100": 989e12, "H200": 989e12, "A100": 312e12, "A6000": 155e12}  # dense bfloat16 FLOP/s, by the makers


def step(shape: dict[str, Any], projector: ProjectorSettings, positions: int, batch: int = 2) -> dict[str, Any]:
    """Seconds and memory of a step of stage 2: forward, backward, AdamW."""
    from transformers import Qwen2Config, Qwen2ForCausalLM

    where = device()
    torch.manual_seed(0)
    language = Qwen2ForCausalLM(Qwen2Config(**shape))
    model = VLMKG(language, Projector(IMAGE_WIDTH, shape["hidden_size"], projector)).to(where).train()
    parameters = sum(one.numel() for one in model.parameters())
    optimizer = torch.optim.AdamW(model.parameters(), lr=2e-5)
    tokens = positions - projector.clip_length
    ids = torch.randint(0, shape["vocab_size"], (batch, tokens), device=where)
    mask, image = torch.ones_like(ids), torch.randn(batch, IMAGE_WIDTH, device=where)

    def once() -> float:
        began = time.perf_counter()
        with torch.autocast(where, torch.bfloat16, enabled=where == "cuda"):
            loss = model(ids, mask, ids, image)["loss"]
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        if where == "cuda":
            torch.cuda.synchronize()
        return time.perf_counter() - began

    warm, steps = (3, 20) if where == "cuda" else (0, 1)
    for _ in range(warm):
        once()
    if where == "cuda":
        torch.cuda.reset_peak_memory_stats()
    times = [once() for _ in range(steps)]
    seconds = statistics.median(times)
    flops = _flops(model, shape, batch, positions)
    found = {
        "parameters": parameters,
        "batch": batch,
        "positions": positions,
        "dtype": "bfloat16 (weights and optimizer in float32)" if where == "cuda" else "float32",
        "steps": steps,
        "seconds": seconds,
        "model_flops": flops,
        "flops_per_second": flops / seconds,
    }
    if where == "cuda":
        name = torch.cuda.get_device_name()
        peak = next((value for part, value in PEAKS.items() if part in name), None)
        found["gpu_peak_mib"] = round(torch.cuda.max_memory_allocated() / 2**20)
        found["model_flops_utilisation"] = None if peak is None else flops / seconds / peak
    return found


def _flops(model: VLMKG, shape: dict[str, Any], batch: int, positions: int) -> float:
    """6 a weight and position (forward 2, backward 4), and attention's products (PaLM, appendix B).

    Weights that only look something up do not count, but the tied embedding does, as the output layer; the projector's
    first layer works once an image, the rest of it on k + n positions.
    """
    projector = model.projector
    if projector is None:
        raise ValueError("stage 2 has a projector")
    language = sum(one.numel() for one in model.language.parameters())
    spread = projector.spread.weight.numel()
    rest = sum(one.numel() for one in projector.transformer.parameters())
    lengths = projector.settings.clip_length + projector.settings.prefix_length
    attention = 12.0 * shape["num_hidden_layers"] * shape["hidden_size"] * positions
    of_projector = spread + rest * lengths + 2.0 * projector.settings.layers * projector.width * lengths**2
    return batch * (positions * (6.0 * language + attention) + 6.0 * of_projector)
