"""Model folders as attacks use them, and importing them."""

import functools
import os


@functools.lru_cache(maxsize=64)
def content(path):
    with open(path, "rb") as file:
        return file.read()


def copy_model(case, source, without=()):
    for name in os.listdir(source):
        if os.path.isfile(os.path.join(source, name)) and name not in without and not name.endswith("expected.json"):
            case.write(f"m/{name}", content(os.path.join(source, name)))


def model(case):
    return case.random.choice([case.seeds["companions"], case.seeds["hf"]])


def imports(case, path="m"):
    """Imports, and uses what was imported."""
    options = ["--dtype", case.random.choice(["float32", "bfloat16"])] if case.random.random() < 0.15 else []
    result = case.run("import", path, "-o", "a.h5", *options, outputs=["a.h5"], statuses=(0, 2))
    if result.status != 0:
        return False
    case.verify_written("a.h5")
    use = case.random.choice(["generate", "tokenize", "chat", "export", "inspect", "gguf", "none", "add"])
    if use == "generate":
        case.run("generate", "a.h5", "--prompt", "1+2?", "--max-new-tokens", "3", judged=False, statuses=(0, 2))
    elif use in ("tokenize", "chat"):
        case.run(
            "tokenize",
            "a.h5",
            "Hello  1+2 <think> é\u0301",
            *(["--chat"] if use == "chat" else []),
            judged=False,
            statuses=(0, 2),
        )
    elif use == "export":
        if case.run("export", "a.h5", "-o", "out", outputs=["out"], judged=False, statuses=(0, 2)).status == 0:
            case.run("import", "out", "-o", "again.h5", outputs=["again.h5"], judged=False, statuses=(0,))
    elif use == "gguf":
        case.run("export", "a.h5", "-o", "out.gguf", outputs=["out.gguf"], judged=False, statuses=(0, 2))
    elif use == "add":
        case.run(
            "add-tokens", "a.h5", "-o", "b.h5", "--report", "fast", outputs=["b.h5"], judged=False, statuses=(0, 2)
        )
        case.verify_written("b.h5")
    elif use == "inspect":
        case.run("inspect", "a.h5", judged=False, statuses=(0, 2))
    return not options
