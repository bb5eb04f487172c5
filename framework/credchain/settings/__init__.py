"""Settings: what rules a chain, each value with where it came from.

Layers (`credchain.settings.layers`) come from files, from the environment and from code; the later wins, and `gather`
collects them. `plan` turns the merged settings and the default order into the chain's places, with a reason for every
source that has none; `structure` turns a source's settings into an instance of its provider's class.
"""

from credchain.settings.environment import environment_layer
from credchain.settings.faults import Fault, refusal
from credchain.settings.gather import Given, gather
from credchain.settings.keywords import chain_keywords, keyword_layer
from credchain.settings.layers import Layer, Settings, Value, merge
from credchain.settings.plan import Identity, Place, Plan, plan
from credchain.settings.policy import Allowed, Policy
from credchain.settings.priority import Listed, default_order
from credchain.settings.structuring import structure

__all__ = [
    "Allowed",
    "Fault",
    "Given",
    "Identity",
    "Layer",
    "Listed",
    "Place",
    "Plan",
    "Policy",
    "Settings",
    "Value",
    "chain_keywords",
    "default_order",
    "environment_layer",
    "gather",
    "keyword_layer",
    "merge",
    "plan",
    "refusal",
    "structure",
]
