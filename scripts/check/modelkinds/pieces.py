"""Ids by SentencePiece, and why those of ckpt, which follows `tokenizers`, may differ."""

import sentencepiece
from tokenizers import Regex, normalizers

from make_tokenizer_fixtures import proto


def reference(path):
    """SentencePiece with a model, and a function that says why ckpt's ids of a text are not SentencePiece's.

    The function returns None if there is no reason. "ties" are divisions with the same score, between which
    SentencePiece's 32-bit sums decide by rounding; "rules" are texts that `tokenizers` normalizes differently, because
    it applies a rule of the character table to a whole grapheme cluster of up to 5 bytes, and to single characters in
    longer ones.
    """
    processor = sentencepiece.SentencePieceProcessor(model_file=str(path))
    m = proto(path.read_bytes())
    steps = (
        [normalizers.Precompiled(m.normalizer_spec.precompiled_charsmap)]
        if m.normalizer_spec.precompiled_charsmap
        else []
    )
    if m.normalizer_spec.remove_extra_whitespaces:
        steps += [normalizers.Replace(Regex(r"\A +| +\z"), ""), normalizers.Replace(Regex(" {2,}"), " ")]
    normalizer = normalizers.Sequence(steps + [normalizers.Prepend("\u2581"), normalizers.Replace(" ", "\u2581")])

    def reason(text, ours, theirs):
        if normalizer.normalize_str(text) != processor.normalize(text):
            return "rules"
        if m.trainer_spec.model_type == 1 and max(ours + theirs, default=0) < len(m.pieces):
            first, second = (sum(m.pieces[i].score for i in ids) for ids in (ours, theirs))
            return "ties" if abs(first - second) < 1e-3 else None
        return None

    return processor, reason
