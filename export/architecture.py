"""The model's architecture for people: which parameters each task uses, as a picture and in numbers."""

from collections.abc import Mapping

from training.model import MultitaskModel

UNNAMED = {"weight", "bias", "linear"}
BAR = 10
"""Blocks of a weight of one."""


def architecture(model: MultitaskModel) -> list[str]:
    """Lines of Markdown: a Mermaid flowchart from the encoder to every head, and a table of sizes."""
    heads = list(model.heads)
    return [
        "```mermaid",
        "flowchart LR",
        f'  encoder["encoder<br>{_count(sum(p.numel() for p in model.encoder.parameters()))}, all tasks"]',
        *_sharing_nodes(model),
        *(f'  head_{task}(["head of {task}<br>{_count(_size(model, task))}"])' for task in heads),
        *(f"  encoder --> head_{task}" for task in heads if model.describe_shared(task) is None),
        "```",
        "",
        "| task | reads | parameters above the encoder | of them its own |",
        "|---|---|---|---|",
        *(_row(model, task) for task in heads),
        "",
    ]


def gate_table(gates: Mapping[str, Mapping[str, object]]) -> list[str]:
    """How gates weigh their experts on dev; nothing for a model without gates.

    Args:
        gates: The section ``gates`` of ``metrics.json``.
    """
    if not gates:
        return []
    return [
        "Mean weight of each expert on dev, and how even a gate is for a text: 1 for even weights, 0 for a "
        "single expert. A gate near 0 that always takes the same expert has collapsed.",
        "",
        "| gate | evenness | experts |",
        "|---|---|---|",
        *(
            f"| {name} | {use['entropy']:.2f} | {_bars(use['weights'])} |"  # type: ignore[arg-type]
            for name, use in gates.items()
        ),
        "",
    ]


def _sharing_nodes(model: MultitaskModel) -> list[str]:
    """A box for every part of the sharing layer with the same users, an arrow to each of their heads."""
    if model.sharing is None:
        return []
    users = model.users
    sizes: dict[tuple[str, frozenset[str]], int] = {}
    for name, parameter in model.sharing.named_parameters():
        key = (_part(name), users[parameter])
        sizes[key] = sizes.get(key, 0) + parameter.numel()
    lines = []
    for number, ((part, tasks), size) in enumerate(sizes.items()):
        owners = "own" if len(tasks) == 1 else "shared"
        lines.append(f'  part_{number}["{part}<br>{_count(size)}, {owners}"]')
        lines.append(f"  encoder --> part_{number}")
        lines += [f"  part_{number} --> head_{task}" for task in model.heads if task in tasks]
    return lines


def _part(name: str) -> str:
    """``levels.0.experts.mood.0.1.weight`` → ``level 1: experts of mood``."""
    words = name.split(".")
    level = f"level {int(words[1]) + 1}: " if words[0] == "levels" else ""
    kept = [word.lstrip("_") for word in words if not word.isdigit() and word not in {*UNNAMED, "levels"}]
    return level + " of ".join(each.replace("_", " ") for each in kept)


def _row(model: MultitaskModel, task: str) -> str:
    used = [p for p, tasks in model.users.items() if task in tasks]
    own = sum(p.numel() for p in model.own_parameters[task])
    reads = model.describe_shared(task) or "the encoder"
    return f"| {task} | {reads} | {sum(p.numel() for p in used):,} | {own:,} |"


def _size(model: MultitaskModel, task: str) -> int:
    return sum(parameter.numel() for parameter in model.heads[task].parameters())


def _count(number: int) -> str:
    """``148 k parameters``."""
    for unit, size in (("M", 10**6), ("k", 10**3)):
        if number >= size:
            return f"{number / size:.3g} {unit} parameters"
    return f"{number} parameters"


def _bars(weights: Mapping[str, float]) -> str:
    return ", ".join(f"{name} {'█' * round(BAR * weight)} {weight:.2f}" for name, weight in weights.items())
