#!/usr/bin/env python3
"""Derives which fields of config.json transformers reads for a model family, and checks ckpt's table of them.

Usage: scripts/research/config-fields.py [--check] [FAMILY…]

For each family it lists the fields that modeling_FAMILY.py and configuration_FAMILY.py read, and those that the code
shared by all families reads (masks, rotary embedding, cache), found in the syntax trees of the installed transformers;
then the members of rope_parameters that each type of scaling reads. --check compares the lists with the sets in
Sources/CheckpointIO/Configuration/ModelFamily.swift: every field that a class reads must be in one of them, and a
family's own set must hold only what its class reads. Exit status 1 if they differ. Needs transformers, not torch.
"""
import ast
import importlib.util
import pathlib
import re
import sys

ROOT = pathlib.Path(importlib.util.find_spec("transformers").origin).parent
TABLE = pathlib.Path(__file__).resolve().parents[2] / "Sources/CheckpointIO/Configuration/ModelFamily.swift"
SHARED = ["masking_utils.py", "modeling_rope_utils.py", "cache_utils.py"]
# Attributes of configuration objects that are no fields of the file, or belong to other classes of models.
NOT_FIELDS = {
    "base_model_tp_plan", "convert_rope_params_to_dict", "default_rope_type", "default_theta", "get_text_config",
    "ignore_keys_at_rope_validation", "is_heterogeneous", "nested_rope_parameter_keys", "number_of_conv_states",
    "standardize_rope_params", "validate_rope", "json", "sub_configs", "_rope_type_labels", "__class__", "name_or_path",
}


class Reads(ast.NodeVisitor):
    """Attributes read from names called `config`, `self.config` or, in a configuration class, `self`."""

    def __init__(self, owners):
        self.owners, self.found = owners, set()

    def visit_Attribute(self, node):
        if isinstance(node.ctx, ast.Load) and ast.unparse(node.value) in self.owners:
            self.found.add(node.attr)
        self.generic_visit(node)

    def visit_Call(self, node):
        if ast.unparse(node.func) in ("getattr", "hasattr") and ast.unparse(node.args[0]) in self.owners:
            if isinstance(node.args[1], ast.Constant):
                self.found.add(node.args[1].value)
        self.generic_visit(node)


def reads(path, owners, only=lambda node: True):
    visitor = Reads(owners)
    for node in ast.parse(path.read_text()).body:
        if only(node):
            visitor.visit(node)
    return {name for name in visitor.found if name not in NOT_FIELDS}


def shared():
    owners = {"config", "self.config", "text_config", "decoder_config", "layer_config"}
    found = set().union(*(reads(ROOT / name, owners) for name in SHARED))
    return found - {"layer_type"}


def family(name):
    folder = ROOT / "models" / name
    is_decoder = lambda node: not re.search("Classification|QuestionAnswering", getattr(node, "name", ""))
    found = reads(folder / f"modeling_{name}.py", {"config", "self.config"}, is_decoder)
    # Of the configuration, what its methods read of itself.
    for node in ast.walk(ast.parse((folder / f"configuration_{name}.py").read_text())):
        if isinstance(node, ast.FunctionDef) and node.name in ("__init__", "__post_init__"):
            visitor = Reads({"self"})
            visitor.visit(node)
            found |= visitor.found - NOT_FIELDS
    return found


def rope():
    found = {}
    for node in ast.parse((ROOT / "modeling_rope_utils.py").read_text()).body:
        if isinstance(node, ast.FunctionDef) and node.name.startswith("_compute_"):
            text = ast.unparse(node)
            kind = re.sub("^_compute_|(_scaling)?(_rope|_ntk)?_parameters$", "", node.name)
            found[kind] = sorted(set(re.findall(r"rope_(?:parameters|parameters_dict|scaling)(?:\[|\.get\()'(\w+)'", text)))
    return found


def swift_sets(text):
    """The sets of strings in the table: those with a name, and `fields` of each family."""
    strings = lambda body: set(re.findall(r'"([^"]+)"', body))
    named = {name: strings(re.search(rf"static let {name}\b[^=]*= \[(.*?)\n    \]", text, re.S)[1])
             for name in ("common", "bookkeeping", "switchedOff")}
    families = {}
    for name, body in re.findall(r"case \.(\w+):\n(.*?)(?=\n        case |\n        \})", text, re.S):
        families[name] = strings(re.search(r"fields: \[(.*?)\]", body, re.S)[1])
    return named, families


def main(arguments):
    check = "--check" in arguments
    named, own = swift_sets(TABLE.read_text())
    families = [name for name in arguments if not name.startswith("-")] or list(own)
    common = shared()
    wrong = 0
    print("shared:", ", ".join(sorted(common)))
    for name in families:
        found = family(name)
        print(f"{name}:", ", ".join(sorted(found)))
        if not check:
            continue
        known = named["common"] | named["bookkeeping"] | named["switchedOff"] | own.get(name, set())
        for field in sorted((found | common) - known):
            wrong += 1
            print(f"  not in the table: {field}")
        for field in sorted(own.get(name, set()) - found):
            wrong += 1
            print(f"  in the table, but not read: {field}")
    for kind, members in rope().items():
        print(f"rope_parameters, {kind}:", ", ".join(members))
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
