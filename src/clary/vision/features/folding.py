"""BatchNorm folded into the convolution before it, for inference."""

from __future__ import annotations

import copy
from collections import Counter
from typing import Any

from torch import fx, nn
from torch.nn.utils import fuse_conv_bn_eval


class _Tracer(fx.Tracer):
    """Sees timm's BatchNorm-with-activation as one module, as torch's own are."""

    def is_leaf_module(self, module: nn.Module, qualified_name: str) -> bool:
        return isinstance(module, nn.BatchNorm2d) or super().is_leaf_module(module, qualified_name)


def fold_batchnorm(network: nn.Module) -> nn.Module:
    """A copy in eval mode whose BatchNorms are part of the convolutions that feed them.

    A pair is folded only where the traced graph shows that nothing else reads the convolution's
    output and that both are called once. A network that cannot be traced is copied as it is.

    Source: Jacob et al. 2018, "Quantization and training of neural networks", section 3.2.
    """
    folded = copy.deepcopy(network).eval().requires_grad_(False)
    try:
        graph = _Tracer().trace(folded)
    except (fx.proxy.TraceError, TypeError, ValueError, RuntimeError, AttributeError):
        # Control flow that depends on the data: the network runs, but cannot be looked into.
        return folded
    modules = dict(folded.named_modules())
    calls = Counter(node.target for node in graph.nodes if node.op == "call_module")
    for node in graph.nodes:
        pair = _foldable(node, modules, calls)
        if pair is None:
            continue
        convolution, norm = pair
        fused = fuse_conv_bn_eval(modules[convolution], modules[norm])
        folded.set_submodule(convolution, fused)
        folded.set_submodule(norm, _after(modules[norm]))
    return folded


def _foldable(
    node: fx.Node, modules: dict[str, nn.Module], calls: Counter[Any]
) -> tuple[str, str] | None:
    if node.op != "call_module" or not isinstance(modules[str(node.target)], nn.BatchNorm2d):
        return None
    before = node.args[0]
    if not isinstance(before, fx.Node) or before.op != "call_module":
        return None
    convolution, norm = str(before.target), str(node.target)
    alone = len(before.users) == 1 and calls[before.target] == 1 and calls[node.target] == 1
    has_statistics = modules[norm].running_mean is not None
    if alone and has_statistics and isinstance(modules[convolution], nn.Conv2d):
        return convolution, norm
    return None


def _after(norm: nn.Module) -> nn.Module:
    """What timm's BatchNormAct2d does beside normalising; nothing for torch's BatchNorm2d."""
    parts = [getattr(norm, name, None) for name in ("drop", "act")]
    kept = [p for p in parts if isinstance(p, nn.Module) and not isinstance(p, nn.Identity)]
    return nn.Sequential(*kept) if kept else nn.Identity()
