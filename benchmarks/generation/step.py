"""What a training step of the full-size generator costs: stage 2 on random weights."""

from __future__ import annotations

import statistics
import time
from typing import Any, Final

import torch

from kgp_models.generator.generate import generator_device
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


def measure_step(shape: dict[str, Any], projector: ProjectorSettings, positions: int, batch: int = 2) -> dict[str, Any]:
    """Seconds and memory of a step of stage 2: forward, backward, AdamW."""
    from transformers import Qwen2Config, Qwen2ForCausalLM

    device_type = generator_device()
    torch.manual_seed(0)
    language = Qwen2ForCausalLM(Qwen2Config(**shape))
    model = VLMKG(language, Projector(IMAGE_WIDTH, shape["hidden_size"], projector)).to(device_type).train()
    parameters = sum(parameter.numel() for parameter in model.parameters())
    optimizer = torch.optim.AdamW(model.parameters(), lr=2e-5)
    token_count = positions - projector.clip_length
    token_ids = torch.randint(0, shape["vocab_size"], (batch, token_count), device=device_type)
    mask, image_vectors = torch.ones_like(token_ids), torch.randn(batch, IMAGE_WIDTH, device=device_type)

    def once() -> float:
        start_time = time.perf_counter()
        with torch.autocast(device_type, torch.bfloat16, enabled=device_type == "cuda"):
            loss = model(token_ids, mask, token_ids, image_vectors)["loss"]
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        if device_type == "cuda":
            torch.cuda.synchronize()
        return time.perf_counter() - start_time

    warmup_steps, timed_steps = (3, 20) if device_type == "cuda" else (0, 1)
    for _ in range(warmup_steps):
        once()
    if device_type == "cuda":
        torch.cuda.reset_peak_memory_stats()
    step_seconds = [once() for _ in range(timed_steps)]
    median_seconds = statistics.median(step_seconds)
    flops = _flops(model, shape, batch, positions)
    results: dict[str, Any] = {
        "parameters": parameters,
        "batch": batch,
        "positions": positions,
        "dtype": "bfloat16 (weights and optimizer in float32)" if device_type == "cuda" else "float32",
        "steps": timed_steps,
        "seconds": median_seconds,
        "model_flops": flops,
        "flops_per_second": flops / median_seconds,
    }
    if device_type == "cuda":
        gpu_name = torch.cuda.get_device_name()
        gpu_peak_flops = next((peak_flops for gpu_model, peak_flops in PEAKS.items() if gpu_model in gpu_name), None)
        results["gpu_peak_mib"] = round(torch.cuda.max_memory_allocated() / 2**20)
        results["model_flops_utilisation"] = None if gpu_peak_flops is None else flops / median_seconds / gpu_peak_flops
    return results


def _flops(model: VLMKG, shape: dict[str, Any], batch: int, positions: int) -> float:
    """6 a weight and position (forward 2, backward 4), and attention's products (PaLM, appendix B).

    Weights that only look something up do not count, but the tied embedding does, as the output layer; the projector's
    first layer works once an image, the rest of it on k + n positions.
    """
    projector = model.projector
    if projector is None:
        raise ValueError("stage 2 has a projector")
    language_weights = sum(parameter.numel() for parameter in model.language.parameters())
    spread_weights = projector.spread.weight.numel()
    transformer_weights = sum(parameter.numel() for parameter in projector.transformer.parameters())
    projector_positions = projector.settings.clip_length + projector.settings.prefix_length
    attention_flops = 12.0 * shape["num_hidden_layers"] * shape["hidden_size"] * positions
    projector_flops = (
        spread_weights
        + transformer_weights * projector_positions
        + 2.0 * projector.settings.layers * projector.width * projector_positions**2
    )
    return float(batch * (positions * (6.0 * language_weights + attention_flops) + 6.0 * projector_flops))
