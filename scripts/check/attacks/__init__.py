"""Attacks on the built ckpt; scripts/check/attack runs them."""
