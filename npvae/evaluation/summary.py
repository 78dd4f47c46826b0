"""The model in a table: layers, shapes, parameters."""

from __future__ import annotations


def model_summary(model) -> str:
    """A table of the dense layers with their shapes and parameter counts, and the total."""
    rows = [("layer", "inputs", "outputs", "activation", "parameters")]
    for layer in model.architecture.all_layers():
        rows.append((layer.name, str(layer.inputs), str(layer.outputs), layer.activation, f"{layer.size():,}"))
        if layer.name == "encoder/logvar":
            latent = str(model.architecture.latent_dim)
            rows.append(("z = mu + exp(logvar/2) eps", latent, latent, "", "0"))
    for name, shape in model.layout.shapes.items():
        if name.startswith("likelihood/"):
            rows.append((name, "", str(shape[0]), "", f"{shape[0]:,}"))
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    lines = []
    for first, *others in rows:
        cells = [cell.rjust(width) for cell, width in zip(others, widths[1:], strict=True)]
        lines.append("  ".join([first.ljust(widths[0]), *cells]))
    rule = "-" * len(lines[0])
    total = f"{model.layout.size:,} parameters; p(x|z): {model.likelihood}"
    return "\n".join([lines[0], rule, *lines[1:], rule, total])
