"""Detection by GroundingDINO, run by groundingdino-py from a .pth file and its configuration."""

import warnings
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
import transformers
from huggingface_hub import try_to_load_from_cache
from transformers import BatchEncoding
from transformers.models.grounding_dino.image_processing_pil_grounding_dino import GroundingDinoImageProcessorPil

from tensorhop.errors import InvalidInput
from tensorhop.models.sources import ModelSource
from tensorhop.services.detect import assignments
from tensorhop.services.detect.families.grounding_dino import GroundingDino
from tensorhop.services.runtime.checkpoint import Checkpoint, to_memory
from tensorhop.services.runtime.device import choose_device

# groundingdino-py uses deprecated names of timm and PyTorch.
warnings.filterwarnings("ignore", module=r"groundingdino\.|timm\.models\.layers|torch\.functional")

from groundingdino.models import build_model  # noqa: E402

from tensorhop.services.detect.bert_shim import text_encoder  # noqa: E402

SIDES = {"shortest_edge": 800, "longest_edge": 1333}  # what groundingdino-py resizes photos to
DELIMITERS = ("[CLS]", "[SEP]", ".", "?")
_WIDTH = 256  # of the network; groundingdino-py's code assumes it too
_REPLACED = {"use_checkpoint": False, "use_transformer_ckpt": False}  # options that save memory in training
_OLD = "bert.embeddings.position_ids"  # older versions of transformers kept it among the weights


class GroundingDinoPy(GroundingDino):
    """GroundingDINO (Liu et al. 2023, arXiv:2303.05499), run by the code of its authors.

    Phrases, photos and answers are handled as in GroundingDino. Only the network differs.
    """

    def _load(self, source: ModelSource) -> Checkpoint:
        device = choose_device(source.choice.device)
        config, weights = _only(source.path, ".py", "configuration"), _only(source.path, ".pth", "checkpoint")
        values = assignments.read(config)
        tokenizer, bert = _text_encoder(source.path, config, values)
        state = _weights(weights)
        network = _built(config, values, tokenizer, bert)
        _fill(network, state, weights, config)
        processor = SimpleNamespace(tokenizer=tokenizer, image_processor=GroundingDinoImageProcessorPil(size=SIDES))
        to_memory(network, device, source)
        return Checkpoint(_Network(network), processor, device, torch.float32)


class _Network:
    """groundingdino-py's network with the interface of transformers' one."""

    def __init__(self, network: Any) -> None:
        self._network = network
        self.config = SimpleNamespace(max_text_len=network.max_text_len)
        self.model = SimpleNamespace(special_tokens=torch.tensor(network.specical_tokens))
        network.tokenizer = lambda tokens, **_: BatchEncoding(tokens)  # the text is tokenized already

    def __call__(self, pixel_values: torch.Tensor, **tokens: torch.Tensor) -> SimpleNamespace:
        answer = self._network(pixel_values, captions=tokens)
        return SimpleNamespace(logits=answer["pred_logits"], pred_boxes=answer["pred_boxes"])


def _only(path: Path, suffix: str, what: str) -> Path:
    files = sorted(file for file in path.iterdir() if file.suffix == suffix)
    if len(files) != 1:
        names = f": {', '.join(file.name for file in files)}" if files else ""
        raise InvalidInput("--model", f"{path} holds {len(files)} files {suffix}{names}; put one {what} there")
    return files[0]


def _text_encoder(path: Path, config: Path, values: Mapping[str, Any]) -> tuple[Any, Any]:
    """The tokenizer and BERT's configuration: from a folder beside the checkpoint, or from the hub's cache."""
    name = values.get("text_encoder_type")
    if not isinstance(name, str) or not name:
        raise InvalidInput("--model", f"{config} names no text_encoder_type, such as 'bert-base-uncased'")
    try:
        cached = try_to_load_from_cache(name, "config.json") if not (path / name).is_dir() else None
        place = Path(cached).parent if isinstance(cached, str) else path / name
        options = {"local_files_only": True, "trust_remote_code": False}
        bert = transformers.AutoConfig.from_pretrained(place, **options)
        tokenizer = transformers.AutoTokenizer.from_pretrained(place, **options)
    except Exception as error:  # the files can be anything, so loading them can raise anything
        raise InvalidInput(
            "--model",
            f"{config} names the text encoder {name}, which cannot be loaded from {path / name} or the hub's cache: "
            "put its config.json and tokenizer there (its weights are in the checkpoint)",
        ) from error
    marks = tokenizer.convert_tokens_to_ids(list(DELIMITERS))
    if bert.model_type != "bert" or tokenizer.unk_token_id in marks or len(tokenizer) > bert.vocab_size:
        raise InvalidInput("--model", f"{place} is not a BERT with its own tokenizer; put those of {name} there")
    return tokenizer, bert


def _built(config: Path, values: Mapping[str, Any], tokenizer: Any, bert: Any) -> Any:
    for name, needed in (("modelname", "groundingdino"), ("hidden_dim", _WIDTH), ("_base_", None)):
        if values.get(name) != needed:
            raise InvalidInput("--model", f"{config}: {name} is {values.get(name)!r}; it must be {needed!r}")
    try:
        with text_encoder(tokenizer, bert):
            return build_model(SimpleNamespace(**{**values, **_REPLACED}))
    except Exception as error:  # groundingdino-py checks by assertions, or fails where a value does not fit
        reason = f"{type(error).__name__}: {error}".splitlines()[0].replace("'types.SimpleNamespace' object", "it")
        raise InvalidInput(
            "--model", f"{config} describes no network that groundingdino-py can build ({reason[:200]})"
        ) from error


def _weights(weights: Path) -> dict[str, torch.Tensor]:
    try:
        content = torch.load(weights, map_location="cpu", weights_only=True)
        return {name.removeprefix("module."): value for name, value in content["model"].items()}
    except Exception as error:
        reason = str(error).strip().partition("\n")[0].rstrip(".")[:200]
        raise InvalidInput(
            "--model",
            f"{weights} cannot be loaded ({type(error).__name__}: {reason}); get it again; if you made it yourself, "
            "it must be a dictionary of tensors under 'model', saved with torch.save",
        ) from error


def _fill(network: Any, state: Mapping[str, torch.Tensor], weights: Path, config: Path) -> None:
    """Load the weights; all must fit. groundingdino-py's own loader would silently leave out those that do not."""
    try:
        missing, more = network.load_state_dict(state, strict=False)
    except RuntimeError as error:  # a tensor has another shape
        raise _misfit(weights, config, str(error).splitlines()[-1].strip()[:200]) from error
    parts = {name for name, _ in network.named_children()}  # other parts, such as label_enc, are for training
    more = [name for name in more if name.partition(".")[0] in parts and name != _OLD]
    if missing or more:
        which = f"it lacks {missing[0]}" if missing else f"{more[0]} is unknown"
        raise _misfit(weights, config, f"{which}; {len(missing)} missing and {len(more)} unknown in all")


def _misfit(weights: Path, config: Path, which: str) -> InvalidInput:
    return InvalidInput("--model", f"{weights} does not fit {config.name} ({which}); get the two that belong together")
