"""What llama.cpp computes on a GGUF file."""

import json
import os
import sys
import urllib.request

sys.path.append(os.environ["MODELKINDS_SITE"])

import xllamacpp  # noqa: E402

from modelkinds.peers import serve  # noqa: E402


def server(path):
    parameters = xllamacpp.CommonParams()
    parameters.model.path = path
    parameters.n_ctx = 256
    parameters.n_parallel = 1
    parameters.warmup = False
    parameters.verbosity = -1
    parameters.cache_type_k = parameters.cache_type_v = xllamacpp.ggml_type.GGML_TYPE_F32
    parameters.flash_attn_type = xllamacpp.llama_flash_attn_type.LLAMA_FLASH_ATTN_TYPE_DISABLED
    parameters.cpuparams.n_threads = 1
    return xllamacpp.Server(parameters)


# Servers stay: their destructor sometimes waits for ever.
servers = []


def compute(path, sequences, token, texts):
    """The log-probabilities of the likeliest next tokens of each sequence, and the ids of texts.

    `token` is taken next, because a token with an incomplete character would not be reported.
    """
    running = server(path)
    servers.append(running)
    found = []
    for ids in sequences:
        answer = running.handle_completions(
            {
                "prompt": ids,
                "n_predict": 1,
                "temperature": 0,
                "n_probs": 40,
                "logit_bias": [[token, 1000.0]],
                "ignore_eos": True,
                "samplers": ["top_k"],
                "top_k": 1,
                "cache_prompt": False,
            }
        )
        if "choices" not in answer:
            raise RuntimeError(json.dumps(answer)[:400])
        content = answer["choices"][0]["logprobs"]["content"]
        found.append([[t["id"], t["logprob"]] for t in content[0]["top_logprobs"]])
    return {"logprobs": found, "ids": [encode(running, text) for text in texts]}


def encode(running, text):
    body = json.dumps({"content": text, "add_special": False, "parse_special": True}).encode()
    request = urllib.request.Request(
        running.listening_address + "/tokenize", body, {"Content-Type": "application/json"}
    )
    return json.load(urllib.request.urlopen(request))["tokens"]


if __name__ == "__main__":
    serve({f.__name__: f for f in (compute,)})
