#!/usr/bin/env python3
"""Serves a GGUF model with llama.cpp's server (PyPI: xllamacpp) on a port of 127.0.0.1.

Usage: scripts/check/rollout-server.py MODEL.gguf PORT

Ends when killed, after at most 20 minutes.
"""

import sys
import time

import xllamacpp

parameters = xllamacpp.CommonParams()
parameters.model.path = sys.argv[1]
parameters.hostnames = ["127.0.0.1"]
parameters.port = int(sys.argv[2])
parameters.n_parallel = 8
parameters.n_ctx = 8 * 512
# Threads that wait by spinning would be very slow on a machine that also does something else.
parameters.cpuparams.n_threads = 1
parameters.cpuparams.poll = 0
parameters.cpuparams_batch.n_threads = 1
parameters.cpuparams_batch.poll = 0
server = xllamacpp.Server(parameters)
time.sleep(1200)
