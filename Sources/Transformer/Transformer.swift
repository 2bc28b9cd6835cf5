// The skeleton's first file; see docs/architecture.md.
