"""Writes the tokenizer fixtures: small tokenizers trained here, and the ids and texts of the `tokenizers` library.

    python make_tokenizer_fixtures.py [--train]

Needs `tokenizers`, whose version `tokenizers.json` names, and `sentencepiece` to train new ones. All texts are in this
file.
"""

import io
import json
import pathlib
import random
import sys

from tokenizers import AddedToken, Regex, Tokenizer, __version__
from tokenizers import decoders, models, normalizers, pre_tokenizers, processors, trainers

HERE = pathlib.Path(__file__).parent
QWEN2 = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*"
         r"|\s*[\r\n]+|\s+(?!\S)|\s+")
LLAMA3 = QWEN2.replace(r"\p{N}| ?", r"\p{N}{1,3}| ?")

SCRIPTS = {
    "Latin": "The quick brown fox thinks briefly; naïve façades cost Łukasz 3,50 € – «déjà vu», über Größe.",
    "Greek": "Η αλεπού σκέφτεται πριν απαντήσει: 42 + 17 = 59. Ένα, δύο, τρία!",
    "Cyrillic": "Лиса думает, прежде чем ответить: 42 + 17 = 59. Ёжик, щука и объём.",
    "Armenian": "Աղվեսը մտածում է պատասխանելուց առաջ։ Մեկ, երկու, երեք։",
    "Georgian": "მელა ფიქრობს პასუხამდე: ერთი, ორი, სამი.",
    "Hebrew": "השועל חושב לפני שהוא עונה: 42 ועוד 17 הם 59. שָׁלוֹם!",
    "Arabic": "الثعلب يفكر قبل أن يجيب: ٤٢ + ١٧ = ٥٩، أليس كذلك؟ مَرْحَبًا",
    "Devanagari": "लोमड़ी उत्तर देने से पहले सोचती है: ४२ + १७ = ५९। नमस्ते",
    "Bengali": "শিয়াল উত্তর দেওয়ার আগে ভাবে: ৪২ + ১৭ = ৫৯।",
    "Tamil": "நரி பதில் சொல்லும் முன் யோசிக்கிறது: ஒன்று, இரண்டு, மூன்று.",
    "Telugu": "నక్క సమాధానం చెప్పే ముందు ఆలోచిస్తుంది.",
    "Thai": "สุนัขจิ้งจอกคิดก่อนตอบ: ๔๒ + ๑๗ = ๕๙",
    "Lao": "ໝາຈອກຄິດກ່ອນຕອບ",
    "Tibetan": "ཝ་མོས་ལན་མ་བརྒྱབ་གོང་བསམ་བློ་གཏོང་།",
    "Myanmar": "မြေခွေးသည် မဖြေမီ စဉ်းစားသည်။",
    "Khmer": "កញ្ជ្រោងគិតមុនពេលឆ្លើយ។",
    "Ethiopic": "ቀበሮ ከመመለሷ በፊት ታስባለች፤ አንድ፣ ሁለት፣ ሦስት።",
    "Hangul": "여우는 대답하기 전에 생각합니다: 마흔둘 더하기 열일곱은 쉰아홉. 하나",
    "Kana": "きつねは答える前に考えます。キツネ、カンガエル、ｷﾂﾈ！",
    "Han": "狐狸先想一想，再回答：四十二加十七等于五十九。狐貍𠮷野家",
    "Cherokee": "ᏣᎳᎩ ᎦᏬᏂᎯᏍᏗ",
    "Mongolian": "ᠮᠣᠩᠭᠣᠯ ᠪᠢᠴᠢᠭ᠎ᠡ",
}
CODE = [
    "def think(x: int) -> int:\n    \"\"\"Return x.\"\"\"\n\tif x != 0:\n        return x**2  # 0x1F\n\n\n    return -1e-5\n",
    "for (int i = 0; i < n; ++i) { a[i] += b[i] * c[i]; } /* done */ // end\r\n#include <stdio.h>\r\n",
    "SELECT id, name FROM users WHERE age >= 18 AND name LIKE '%O''Brien%';--comment",
    "let f = |x| x + 1; println!(\"{:?}\", f(2)); <T as Trait>::call::<'a>(&mut self)?;",
    "{\"key\": [1, 2.5, null, true], \"nested\": {\"a\\n\": \"\\u00e9\"}}",
]
LATEX = [
    r"\frac{-b \pm \sqrt{b^2-4ac}}{2a} = \boxed{59}",
    r"$$\int_0^\infty e^{-x^2}\,dx = \frac{\sqrt{\pi}}{2}$$ \begin{align*} x &= 1 \\ y &\le 2 \end{align*}",
]
EMOJI = ["👩‍👩‍👧‍👦 👍🏽 🇫🇷🇩🇪 ❤️ 1️⃣ 🏴󠁧󠁢󠁳󠁣󠁴󠁿 ☺︎☺️ 🤦🏼‍♂️", "😀😃😄😁 test😀test 😀"]
SPACES = [
    "", " ", "  ", "   leading and trailing   ", "a  b   c    d", "\n", "\n\n\n", " \n \n ", "a\r\nb\rc\n", "\t\ttabs\t",
    "no-break\u00a0space\u2003em\u3000ideographic", "\u2028line\u2029paragraph\u0085next\u180evowel\u200bzero",
    "x \n", "x\n ", "...   \n\n   y", "a\u000bb\u000cc\u001cd\u001fe",
]
ODD = [
    "I'll we've don't it's I'M SHE'D 'S 'ſ they'RE \u2019s", "12345678901234567890 3.14159 1,000,000 ½ ² Ⅷ ٣٤٥ ①②",
    "\u0000\u0001\u007f\u0080\u00ad\u200e\ufeff\ufffd\uffff", "e\u0301 é \u1e69 s\u0323\u0307 s\u0307\u0323 \u2126 \u212b \uac00 \u1100\u1161",
    "Ġthe ĊĠ Ā ł", "<think>Wait.</think>\n<short>42", "<|im_start|>user\nHi<|im_end|>\n", "a<think>b <think> c<|im_end",
    "<|im_start|><|im_start|>", "wordmask mask mask, mask_", "  <mask>  x<mask>y  <lr>  z", "<lstrip>a  <lstrip>\n\n<rstrip>  b",
    "é́<norm> e\u0301<norm\u0301>", "\u0301", "a" * 300, "ab" * 200, " " * 257 + "x", "\n" * 130, "==" * 90, "the" * 70,
    "_____-----*****", "\U0001d518\U0001d52b\U0001d526 \U00010348 \U0010ffff \U000e0001",
]
ODD += [  # characters of Unicode 16, 15 and 13, newer than some tables; marks that are reordered, and marks that are not
    "a\U00031350b \U0002ebf01 \u1c89\u1c8a", "x\U00011f50\U00011f51 \U00010d41\u00b2\u00bd", "e\U00016ff0\u0301 e\u0301\U00016ff0",
    "\U00011935\U00011930 a\u0f72\u0f73\u0f81", "\u0897a \U0001e4d0-\U0001e4ff \U0001fae9\u2e43\u2e5d", "a\u200cb \U00010940\u02bc",
]
INVALID = [  # invalid UTF-8, which the reference receives decoded with errors="replace"
    [0xFF], [0xC3], [0xE2, 0x82], [0xF0, 0x9F, 0x98], [0x61, 0x80, 0x62], [0xED, 0xA0, 0x80], [0xC0, 0xAF],
    [0xF4, 0x90, 0x80, 0x80], [0xE2, 0x28, 0xA1, 0x20, 0xE2, 0x82, 0xAC], [0xF0, 0x9F, 0x98, 0x41, 0xF0, 0x9F],
]


def training_texts():
    rng = random.Random(5)
    nouns = "fox model token answer number problem thought reward step policy weight prompt value reason sum result".split()
    verbs = "thinks answers adds takes gives learns computes returns samples multiplies keeps moves".split()
    small = "the a of to in is that for it with as on be at by this not are from or an".split()
    for _ in range(1500):
        words = [rng.choice(rng.choice([nouns, verbs, small, small])) for _ in range(rng.randint(4, 14))]
        if rng.random() < 0.4:
            words.insert(rng.randrange(len(words)), str(rng.randint(0, 99999)))
        if rng.random() < 0.2:
            words.insert(1, rng.choice(["don't", "it's", "we'll", "you're", "I've"]))
        yield " ".join(words).capitalize() + rng.choice([".", "?", "!", ":\n", ".\n\n", "..."])
    for _ in range(12):
        yield from SCRIPTS.values()
        yield from CODE
        yield from LATEX
        yield from EMOJI


def trained(tokenizer, size, special, alphabet=True, characters=None):
    limits = {"limit_alphabet": characters} if characters else {}
    trainer = trainers.BpeTrainer(
        vocab_size=size, special_tokens=special, show_progress=False, **limits,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet() if alphabet else [])
    tokenizer.train_from_iterator(training_texts(), trainer)
    return tokenizer


def smollm():
    t = Tokenizer(models.BPE())
    t.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)])
    t.decoder = decoders.ByteLevel()
    return trained(t, 900, ["<|endoftext|>", "<|im_start|>", "<|im_end|>"])


def qwen2():
    t = Tokenizer(models.BPE())
    t.normalizer = normalizers.NFC()
    t.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.Split(Regex(QWEN2), behavior="isolated"),
        pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
    t.post_processor = processors.ByteLevel(trim_offsets=False)
    t.decoder = decoders.ByteLevel()
    t = trained(t, 900, [])
    t.add_special_tokens([AddedToken(s, normalized=False) for s in ("<|endoftext|>", "<|im_start|>", "<|im_end|>")])
    t.add_tokens([AddedToken(s, normalized=False, special=False) for s in ("<think>", "</think>", "<short>")])
    t.add_tokens([
        AddedToken("mask", single_word=True, normalized=False), AddedToken("<lr>", lstrip=True, rstrip=True),
        AddedToken("<mask>", lstrip=True, normalized=False), AddedToken("<lstrip>", lstrip=True),
        AddedToken("<rstrip>", rstrip=True, special=True, normalized=False), AddedToken("<norm>", normalized=True),
        AddedToken("e\u0301<norm", normalized=True), AddedToken("<|im_start|><", normalized=False)])
    return t


def llama3():
    t = Tokenizer(models.BPE(ignore_merges=True))
    t.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.Split(Regex(LLAMA3), behavior="isolated"),
        pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
    t.decoder = decoders.ByteLevel()
    t = trained(t, 900, [])
    t.add_special_tokens([AddedToken(s, normalized=False) for s in ("<|begin_of_text|>", "<|eot_id|>")])
    begin = t.token_to_id("<|begin_of_text|>")
    t.post_processor = processors.Sequence([
        processors.ByteLevel(trim_offsets=False),
        processors.TemplateProcessing(
            single="<|begin_of_text|> $A", pair="<|begin_of_text|> $A $B:1",
            special_tokens=[("<|begin_of_text|>", begin)])])
    # A token that merges do not produce but `ignore_merges` finds.
    state = json.loads(t.to_str())
    state["model"]["merges"] = [m for m in state["model"]["merges"] if "".join(m) != "Ġanswer"]
    return Tokenizer.from_str(json.dumps(state, ensure_ascii=False))


def gpt2_prefixed():
    t = Tokenizer(models.BPE())
    t.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    t.decoder = decoders.ByteLevel()
    t.post_processor = processors.ByteLevel()
    return trained(t, 600, ["<s>", "</s>"])


def sentencepiece_like():
    t = Tokenizer(models.BPE(unk_token="<unk>", fuse_unk=True, byte_fallback=True))
    t.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    t.decoder = decoders.Sequence([
        decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(content=" ", left=1)])
    special = ["<unk>", "<s>", "</s>"] + [f"<0x{b:02X}>" for b in range(256)]
    t = trained(t, 1000, special, alphabet=False)
    state = json.loads(t.to_str())
    state["added_tokens"] = state["added_tokens"][:3]
    return Tokenizer.from_str(json.dumps(state, ensure_ascii=False))


def pieces(name, *steps, unk="[UNK]", fuse=False):
    """Tokenizers without ByteLevel, whose symbols are characters, for each splitting step."""
    t = Tokenizer(models.BPE(unk_token=unk, fuse_unk=fuse))
    t.pre_tokenizer = pre_tokenizers.Sequence(list(steps))
    return trained(t, 400, [unk] if unk else [], alphabet=False, characters=120)


# Rules of a normalizer as in SentencePiece's nmt_nfkc.tsv: code points in hexadecimal, from and to.
RULES = [("\ufb01", "fi"), ("\u2122", "TM"), ("\u2460", "1"), ("\u3000", " "), ("\t", " "), ("\u00a0", " "), ("\u200b", ""),
         ("e\u0301", "\u00e9"), ("\uff76\uff9e", "\u30ac"), ("\uff76", "\u30ab"), ("\u1100\u1161", "\uac00"), ("\r", " "),
         ("\u2126", "\u03a9"), ("\U0001d518", "U"), ("\u00bd", "1\u20442")]
RULES += [(chr(0xFEE0 + c), chr(c)) for c in range(0x21, 0x7F)]


def sentencepiece_model(model_type, size, byte_fallback=True, rules=(), symbols=(), **options):
    """Trains a `tokenizer.model`; returns its bytes."""
    import sentencepiece

    if rules:
        path = HERE / "rules.tsv"
        hexadecimal = lambda t: " ".join(f"{ord(c):x}" for c in t)  # noqa: E731
        path.write_text("".join(f"{hexadecimal(a)}\t{hexadecimal(b)}\n" for a, b in rules), encoding="utf-8")
        options["normalization_rule_tsv"] = str(path)
    else:
        options["normalization_rule_name"] = "identity"
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(training_texts()), model_writer=model, model_type=model_type, vocab_size=size,
        byte_fallback=byte_fallback, user_defined_symbols=list(symbols), minloglevel=2, hard_vocab_limit=False,
        num_threads=1, max_sentence_length=20000, **options)
    if rules:
        path.unlink()
    return model.getvalue()


def proto(model):
    from sentencepiece import sentencepiece_model_pb2

    m = sentencepiece_model_pb2.ModelProto()
    m.ParseFromString(model)
    return m


MARKS = [decoders.Replace("\u2581", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(content=" ", left=1)]


def metaspace(scheme, split, decoder=None):
    t = Tokenizer(models.BPE(unk_token="<unk>", fuse_unk=True, byte_fallback=True))
    t.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme=scheme, split=split)
    t.decoder = decoder or decoders.Sequence(MARKS)
    special = ["<unk>", "<s>", "</s>"] + [f"<0x{b:02X}>" for b in range(256)]
    t = trained(t, 700, special, alphabet=False, characters=180)
    state = json.loads(t.to_str())
    state["added_tokens"] = state["added_tokens"][:3]
    t = Tokenizer.from_str(json.dumps(state, ensure_ascii=False))
    t.add_tokens([AddedToken(s, normalized=False, special=False) for s in ("<think>", "</think>", "<short>")])
    t.add_tokens([AddedToken("<norm>", normalized=True), AddedToken("<lstrip>", lstrip=True, rstrip=True)])
    return t


def gemma_like():
    t = metaspace("never", False)
    t.normalizer = normalizers.Replace(" ", "\u2581")
    t.pre_tokenizer = pre_tokenizers.Split(" ", "merged_with_previous")
    t.decoder = decoders.Sequence(MARKS[:3])
    return t


def unigram(model, byte_fallback, normalizer, pre_tokenizer, decoder):
    m = proto(model)
    t = Tokenizer(models.Unigram([(p.piece, p.score) for p in m.pieces], m.trainer_spec.unk_id, byte_fallback))
    steps = [normalizers.Precompiled(m.normalizer_spec.precompiled_charsmap)] if m.normalizer_spec.precompiled_charsmap else []
    t.normalizer = normalizers.Sequence(steps + normalizer)
    if pre_tokenizer:
        t.pre_tokenizer = pre_tokenizer
    t.decoder = decoder
    t.add_special_tokens(["<unk>", "<s>", "</s>"])
    t.add_tokens([AddedToken(s, normalized=False, special=False) for s in ("<think>", "</think>", "<short>")])
    return t


def sentencepiece_tokenizers():
    yield "metaspace-first", lambda: metaspace("first", False)
    yield "metaspace-always", lambda: metaspace("always", True, decoders.Metaspace())
    yield "metaspace-never", lambda: metaspace("never", True, decoders.Metaspace(prepend_scheme="never"))
    yield "gemma-like", gemma_like
    yield "unigram-bytes", lambda: unigram(
        sentencepiece_model("unigram", 700, character_coverage=0.98), True,
        [normalizers.Prepend("\u2581"), normalizers.Replace(" ", "\u2581")], None, decoders.Sequence(MARKS))
    t5_normalizer = [normalizers.Strip(left=False, right=True), normalizers.Replace(Regex(" {2,}"), "\u2581")]
    yield "unigram-precompiled", lambda: unigram(
        sentencepiece_model("unigram", 460, False, rules=RULES, character_coverage=0.98), False, t5_normalizer,
        pre_tokenizers.Metaspace(prepend_scheme="always"), decoders.Metaspace())
    yield "unigram-words", lambda: unigram(
        sentencepiece_model("unigram", 460, False, rules=RULES, character_coverage=0.98), False, [],
        pre_tokenizers.Sequence([pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Metaspace(prepend_scheme="first")]),
        decoders.Metaspace(prepend_scheme="first"))
    yield "unigram-nfkc", lambda: unigram(
        sentencepiece_model("unigram", 460, False, character_coverage=0.98), False,
        [normalizers.NFKC(), normalizers.Lowercase(), normalizers.Strip(), normalizers.NFD()],
        pre_tokenizers.Metaspace(prepend_scheme="first", split=False), decoders.Metaspace(prepend_scheme="first"))


def tokenizers():
    yield "smollm", smollm()
    yield "qwen2", qwen2()
    yield "llama3", llama3()
    yield "gpt2-prefixed", gpt2_prefixed()
    yield "sentencepiece-like", sentencepiece_like()
    whitespace, punctuation = pre_tokenizers.Whitespace, pre_tokenizers.Punctuation
    yield "whitespace", pieces("whitespace", whitespace(), pre_tokenizers.Digits())
    yield "punctuation-contiguous", pieces("p", punctuation("contiguous"), unk=None)
    yield "punctuation-removed", pieces("p", punctuation("removed"), pre_tokenizers.Digits(True), fuse=True)
    for behavior in ("removed", "isolated", "merged_with_previous", "merged_with_next", "contiguous"):
        for invert in (False, True):
            split = pre_tokenizers.Split(Regex(r"\s+$|[aeiou]|\d{2}"), behavior, invert)
            yield f"split-{behavior}-{'inverted' if invert else 'plain'}", pieces("s", split)
    yield "split-literal", pieces("s", pre_tokenizers.Split("e", "merged_with_previous"))


def fnv(ids):
    h = 0xCBF29CE484222325
    for i in ids:
        h = ((h ^ i) * 0x100000001B3) & 0xFFFFFFFFFFFFFFFF
    return f"{h:016x}"


def main():
    texts = list(SCRIPTS.values()) + CODE + LATEX + EMOJI + SPACES + ODD
    result = {
        "made_with": f"tokenizers {__version__}", "scripts": list(SCRIPTS), "texts": texts, "invalid": INVALID,
        # One pattern repeated to at least a megabyte.
        "long": ["a", " ", "the fox ", "=", "1", "é", "狐", "\n", "don't", "a ", "\U0001f600", "aB1 -", " x"], "tokenizers": [],
    }
    makers = [(name, lambda t=t: t) for name, t in tokenizers()] + list(sentencepiece_tokenizers())
    for name, make in makers:
        path = HERE / f"{name}.tokenizer.json"
        # Training breaks ties randomly, so existing tokenizers are kept unless --train is given.
        fresh = "--train" in sys.argv or not path.exists()
        reference = Tokenizer.from_str(make().to_str()) if fresh else Tokenizer.from_file(str(path))
        byte_level = name in ("smollm", "qwen2", "llama3")
        path.write_text(
            json.dumps(json.loads(reference.to_str()), ensure_ascii=False, separators=(",", ":")) + "\n", encoding="utf-8")
        entry = {"name": name, "ids": [], "special": reference.encode("fox").ids, "decoded": [], "skipped": []}
        for text in texts:
            ids = reference.encode(text, add_special_tokens=False).ids
            entry["ids"].append(ids)
            decoded = reference.decode(ids, skip_special_tokens=False)
            skipped = reference.decode(ids, skip_special_tokens=True)
            entry["decoded"].append(None if decoded == text else decoded)
            entry["skipped"].append(None if skipped == decoded else skipped)
        entry["invalid"] = [
            reference.encode(bytes(b).decode("utf-8", errors="replace"), add_special_tokens=False).ids for b in INVALID]
        rng = random.Random(9)
        size = reference.get_vocab_size()
        entry["random_ids"] = [[rng.randrange(size) for _ in range(rng.randint(1, 12))] for _ in range(30)]
        entry["random_decoded"] = [reference.decode(ids, skip_special_tokens=False) for ids in entry["random_ids"]]
        if byte_level:
            entry["long"] = []
            for unit in result["long"]:
                ids = reference.encode(unit * -(-1_000_000 // len(unit.encode())), add_special_tokens=False).ids
                entry["long"].append([len(ids), fnv(ids)])
        result["tokenizers"].append(entry)
        print(name, size)
    lines = json.dumps(result, ensure_ascii=False, separators=(",", ":"))
    (HERE / "tokenizers.json").write_text(lines + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
