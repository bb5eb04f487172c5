"""Settings: what rules a chain, each value with where it came from.

Layers (`credchain.settings.layers`) come from the environment and from keyword arguments; the later wins. `plan` turns the
merged settings and the default order into the chain's places, with a reason for every source that has none.
"""

from credchain.settings.environment import environment_layer
from credchain.settings.keywords import keyword_layer
from credchain.settings.layers import Layer, Settings, Value, merge, structure
from credchain.settings.plan import Place, Plan, plan
from credchain.settings.priority import Listed, default_order

__all__ = [
    "Layer",
    "Listed",
    "Place",
    "Plan",
    "Settings",
    "Value",
    "default_order",
    "environment_layer",
    "keyword_layer",
    "merge",
    "plan",
    "structure",
]
