#!/usr/bin/env python3
"""Writes ggml's code books of IQ1, IQ2 and IQ3 as Swift, from the tables of the PyPI package gguf.

Usage: scripts/research/code-books.py > Sources/CheckpointIO/ModelFormats/GGUF/GGUFCodeBook+Vectors.swift
"""
import base64

import numpy as np
from gguf import quants

BOOKS = [
    ("iq2XXS", quants.IQ2_XXS), ("iq2XS", quants.IQ2_XS), ("iq2S", quants.IQ2_S), ("iq3XXS", quants.IQ3_XXS),
    ("iq3S", quants.IQ3_S), ("iq1", quants.IQ1_S)]

print("""\
// Written by scripts/research/code-books.py from the tables of the PyPI package gguf, which are those of ggml
// (ggml-common.h, MIT licence): the vectors of each book, four elements a byte, or two where there are eight values.

extension GGUFCodeBook {""")
for index, (name, kind) in enumerate(BOOKS):
    kind.init_grid()
    values = [int(value) for value in kind.grid_map]
    numbers = np.searchsorted(values, kind.grid.astype(int).ravel())
    assert (np.array(values)[numbers] == kind.grid.ravel()).all()
    bits = 2 if len(values) <= 4 else 4
    packed = sum(numbers[part :: 8 // bits].astype(np.uint8) << (bits * part) for part in range(8 // bits))
    text = base64.b64encode(packed.astype(np.uint8).tobytes()).decode()
    if index:
        print()
    print(f"    /// {kind.grid_shape[0]} vectors of {kind.grid_shape[1]} elements.")
    print(f"    static let {name} = GGUFCodeBook(")
    print(f"        values: {values}, bitsPerElement: {bits},")
    print('        packed: """')
    for start in range(0, len(text), 105):
        line = text[start : start + 105]
        print(f"            {line}" + ("\\" if start + 105 < len(text) else ""))
    print('            """)')
print("}")
