"""The text encoder of groundingdino-py on a newer transformers: it computes what transformers' own BERT computes."""

import pytest
import torch
from conftest import BERT
from groundingdino.models.GroundingDINO.bertwarper import BertModelWarper
from groundingdino.util import get_tokenlizer
from transformers import BertConfig

from tensorhop.services.detect.bert_shim import Bert, text_encoder

CONFIG = BertConfig(vocab_size=50, **BERT)


@pytest.fixture
def bert() -> Bert:
    torch.manual_seed(3)
    return Bert(CONFIG).eval()


def masks() -> list[torch.Tensor]:
    """All tokens; the last two left out; and blocks that do not see each other, as phrases."""
    blocks = torch.block_diag(torch.ones(3, 3), torch.ones(2, 2), torch.ones(2, 2)).bool()
    padded = torch.tensor([[1, 1, 1, 1, 1, 0, 0]])
    return [torch.ones(1, 7, dtype=torch.long), padded, blocks[None]]


@pytest.mark.parametrize("mask", masks())
@torch.inference_mode()
def test_taken_apart_it_answers_as_a_whole(bert: Bert, mask: torch.Tensor) -> None:
    tokens = torch.tensor([[7, 3, 9, 12, 40, 2, 8]])
    theirs = BertModelWarper(bert)(input_ids=tokens, attention_mask=mask)["last_hidden_state"]
    # transformers' own takes a mask by token pairs with a place for the heads.
    own = bert(tokens, attention_mask=mask[:, None] if mask.ndim == 3 else mask).last_hidden_state
    torch.testing.assert_close(theirs, own, atol=1e-5, rtol=0)


@torch.inference_mode()
def test_blocks_do_not_see_each_other(bert: Bert) -> None:
    *_, blocks = masks()
    first, second = torch.tensor([[7, 3, 9, 12, 40, 2, 8]]), torch.tensor([[7, 3, 9, 12, 40, 5, 5]])
    one, other = (
        BertModelWarper(bert)(input_ids=ids, attention_mask=blocks).last_hidden_state for ids in (first, second)
    )
    torch.testing.assert_close(one[:, :5], other[:, :5])
    assert not torch.allclose(one[:, 5:], other[:, 5:])


def test_the_mask_to_add() -> None:
    least = torch.finfo(torch.float32).min
    bert = Bert(CONFIG)
    mask = bert.get_extended_attention_mask(torch.tensor([[1, 0]]), (1, 2), torch.device("cpu"))
    assert mask.tolist() == [[[[0.0, least]]]]
    assert bert.invert_attention_mask(torch.tensor([[[True, False], [True, True]]])).tolist() == [
        [[[0.0, least], [0.0, 0.0]]]
    ]
    assert bert.get_head_mask(None, 2) == [None, None]


def test_theirs_is_back_afterwards() -> None:
    before = get_tokenlizer.get_tokenlizer, get_tokenlizer.get_pretrained_language_model
    with text_encoder("ours", CONFIG):
        assert get_tokenlizer.get_tokenlizer("bert-base-uncased") == "ours"
        assert get_tokenlizer.get_pretrained_language_model("bert-base-uncased").config is CONFIG
    assert (get_tokenlizer.get_tokenlizer, get_tokenlizer.get_pretrained_language_model) == before
