"""Builds a cross-encoder of about 1 MB that needs no training and no download; its logit is lexical overlap.

    python tiny_model.py FOLDER                 (needs torch, transformers and tokenizers)

A BERT of two layers with weights set by hand. Layer 0: each token looks for the same token in the other segment, and
finds [CLS] where there is none. Layer 1: [CLS] takes the mean of what the query's tokens found, rare words first.
The logit goes from about -4 (nothing of the query is in the document) to about +5 (all of it is).
"""

import json
import math
import re
import sys
from pathlib import Path

import torch
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors
from transformers import BertConfig, BertForSequenceClassification, PreTrainedTokenizerFast

HIDDEN, POSITIONS = 128, 512
WORD = 116  # dimensions that tell words apart; the rest have a meaning each
SEGMENT, IS_CLS, IS_SEP, RARITY, MATCH = range(WORD, WORD + 5)

COMMON = frozenset(
    re.findall(r"\w+", "a an and are as at be by do does for from how i in is it my of on or that the this to was what")
)
RARE = frozenset(
    re.findall(
        r"\w+",
        """paris berlin tokyo capital france germany japan weather sunny today city country population panda bear china
        organic skincare products sensitive skin reset password login page refund business days shipping weeks
        clickhouse database analytics column rerank document query relevance search vector""",
    )
)
PUNCTUATION = ".,?!:;'\"()-"


def tokenizer() -> PreTrainedTokenizerFast:
    """WordPiece over a few words and all printable ASCII; what it does not know it spells."""
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    characters = [chr(code) for code in range(33, 127) if not chr(code).isupper()]
    words = sorted(word for word in COMMON | RARE if len(word) > 1)
    known = special + characters + [f"##{character}" for character in characters] + words
    raw = Tokenizer(models.WordPiece({token: number for number, token in enumerate(known)}, unk_token="[UNK]"))
    raw.normalizer = normalizers.BertNormalizer(lowercase=True)
    raw.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    raw.decoder = decoders.WordPiece()
    ids = [(token, raw.token_to_id(token)) for token in ("[CLS]", "[SEP]")]
    raw.post_processor = processors.TemplateProcessing(
        single="[CLS]:0 $A:0 [SEP]:0", pair="[CLS]:0 $A:0 [SEP]:0 $B:1 [SEP]:1", special_tokens=ids
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=raw,
        unk_token="[UNK]",
        pad_token="[PAD]",
        cls_token="[CLS]",
        sep_token="[SEP]",
        mask_token="[MASK]",
        model_max_length=POSITIONS,
        model_input_names=["input_ids", "token_type_ids", "attention_mask"],
    )


def model(vocabulary: dict[str, int]) -> BertForSequenceClassification:
    """The network, all zeros but for what the module's docstring describes."""
    config = BertConfig(
        vocab_size=len(vocabulary),
        hidden_size=HIDDEN,
        num_hidden_layers=2,
        num_attention_heads=1,
        intermediate_size=64,
        max_position_embeddings=POSITIONS,
        num_labels=1,
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
        pad_token_id=0,
    )
    network = BertForSequenceClassification(config)
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            parameter.fill_(1.0 if "LayerNorm.weight" in name else 0.0)
        _embed(network.bert.embeddings, vocabulary)
        _find_same_token(network.bert.encoder.layer[0].attention)
        _average_over_query(network.bert.encoder.layer[1].attention)
        network.bert.pooler.dense.weight[0, MATCH] = 0.3
        network.classifier.weight[0, 0] = 14.5
        network.classifier.bias[0] = -5.0
    return network.eval()


def _embed(embeddings: torch.nn.Module, vocabulary: dict[str, int]) -> None:
    signs = torch.tensor([1.0, -1.0] * (WORD // 2))
    words = embeddings.word_embeddings.weight
    dull = COMMON | set(PUNCTUATION)
    for token, number in vocabulary.items():
        words[number, :WORD] = signs[torch.randperm(WORD)]
        words[number, RARITY] = -2.0 if token in dull else 2.0 if token in RARE else 0.0
    words[vocabulary["[CLS]"], IS_CLS] = words[vocabulary["[CLS]"], IS_SEP] = words[vocabulary["[SEP]"], IS_SEP] = 3.0
    embeddings.token_type_embeddings.weight[0, SEGMENT] = 2.0
    embeddings.token_type_embeddings.weight[1, SEGMENT] = -2.0


def _find_same_token(attention: torch.nn.Module) -> None:
    scale, head = math.sqrt(HIDDEN), attention.self
    for dimension in range(WORD):
        head.query.weight[dimension, dimension] = 2.0
        head.key.weight[dimension, dimension] = 1.0
    head.query.weight[SEGMENT, SEGMENT] = 2.0 * scale
    head.key.weight[SEGMENT, SEGMENT] = -1.0
    head.query.bias[IS_CLS] = 9.0 * scale
    head.key.weight[IS_CLS, IS_CLS] = 1.0
    head.value.bias[MATCH] = 1.0
    head.value.weight[MATCH, IS_CLS] = -1.0 / 3.0
    attention.output.dense.weight[MATCH, MATCH] = 3.0


def _average_over_query(attention: torch.nn.Module) -> None:
    head = attention.self
    head.query.bias[0] = math.sqrt(HIDDEN)
    head.key.weight[0, SEGMENT] = 1.6
    head.key.weight[0, RARITY] = 0.9
    head.key.weight[0, IS_SEP] = -8.0
    head.value.weight[MATCH, MATCH] = 1.0
    attention.output.dense.weight[MATCH, MATCH] = 1.0


def build(folder: Path) -> None:
    """Write the model and its tokenizer in Hugging Face's layout."""
    torch.manual_seed(7)
    words = tokenizer()
    network = model(words.get_vocab())
    network.save_pretrained(folder)
    words.save_pretrained(folder)
    # transformers 5 writes a class that transformers 4, which the servers use, does not know.
    settings = folder / "tokenizer_config.json"
    settings.write_text(json.dumps({**json.loads(settings.read_text()), "tokenizer_class": "PreTrainedTokenizerFast"}))
    query = "capital of france"
    documents = ["Berlin is the capital of Germany.", "Paris is the capital of France.", "The weather is sunny today."]
    pairs = words([query] * 3, documents, padding=True, return_tensors="pt")
    with torch.no_grad():
        berlin, paris, weather = network(**pairs).logits[:, 0].tolist()
    print(f"{query}: Paris {paris:.2f}, Berlin {berlin:.2f}, weather {weather:.2f}")
    assert paris > berlin + 1 > weather + 2, "the model does not rank"


if __name__ == "__main__":
    build(Path(sys.argv[1]))
