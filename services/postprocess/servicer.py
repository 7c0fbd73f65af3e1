"""PostprocessService: an object's pixels and mask in, a finished cut-out out."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import grpc

from tensorhop.cpu_count import cpu_count
from tensorhop.models.model import Model
from tensorhop.models.sources import digest_of_all
from tensorhop.rpc.batching import Batcher
from tensorhop.services.postprocess.finishing import finish
from tensorhop.services.postprocess.refiners.embedded import EmbeddedRefiner
from tensorhop.services.postprocess.refiners.refiner import Refiner
from tensorhop.settings import current_settings
from tensorhop.v1 import model_pb2
from tensorhop.v1 import postprocess_pb2 as pb
from tensorhop.values.images import check_size
from tensorhop.wire.codec import Packet
from tensorhop.wire.image_source import read_image
from tensorhop.wire.messages import read_finish, read_mask, read_size, write_layer, write_model, write_placement
from tensorhop.wire.payloads import Payloads

if TYPE_CHECKING:
    from tensorhop.services.postprocess.learned.network import OnnxShadow


class PostprocessServicer:
    """
    Raises:
        InvalidInput: the shadow model that the settings name cannot be used.
    """

    def __init__(self, refiner: Refiner) -> None:
        self._refiner, self._draw = refiner, None
        model = shadow_model()
        self._refining: list[Model] = [] if isinstance(refiner, EmbeddedRefiner) else [refiner]  # no network
        self._drawing: list[Model] = [model] if model else []
        self.model = together([*self._refining, *self._drawing])
        if model is not None:
            self._draw = Batcher("shadow model", lambda pictures, _: model.predict(pictures), model.largest_batch).one
        # Objects side by side on as many cores as there are; more would only wait for each other.
        self.batcher = Batcher("postprocess", lambda items, _: [finish(*items[0])], 1, workers=cpu_count())

    def Postprocess(
        self, packet: Packet[pb.PostprocessRequest], context: grpc.ServicerContext
    ) -> Packet[pb.PostprocessResponse]:
        request, payloads = packet
        options = read_finish(request.finish)
        photo = read_size(request.photo)
        check_size(photo.width, photo.height, "photo")
        mask = read_mask(request.mask, payloads, photo)
        item = (read_image(request.crop, payloads, "crop"), mask, photo, options, self._draw, self._refiner)
        cutout = self.batcher.one(item, None, context.add_callback)
        networks = [
            *(self._refining if options.refine else []),
            *(self._drawing if options.shadow == "learned" else []),
        ]
        answer = Payloads.lent(request.lent)
        response = pb.PostprocessResponse(
            cutout=write_layer(cutout.cutout, answer),
            shadow=write_layer(cutout.shadow, answer) if cutout.shadow else None,
            placement=write_placement(cutout.placement),
            warnings=cutout.warnings,
            model=together(networks),
        )
        return Packet(response, answer)


def together(networks: Sequence[Model]) -> model_pb2.Model | None:
    """Several networks, named as one; None if there is none."""
    if len(networks) < 2:
        return write_model(networks[0]) if networks else None
    name, revision = (
        " and ".join(filter(None, words))
        for words in zip(*((network.name, network.revision) for network in networks), strict=True)
    )
    return model_pb2.Model(name=name, revision=revision, digest=digest_of_all([network.digest for network in networks]))


def shadow_model() -> "OnnxShadow | None":
    """The network that the operator named, run once; None if none is named. Raises InvalidInput: it cannot be used."""
    settings = current_settings()
    if not settings.shadow_model:
        return None
    # Here, because nothing else needs ONNX Runtime.
    from tensorhop.services.postprocess.learned.network import OnnxShadow

    model = OnnxShadow(Path(settings.shadow_model), settings.shadow_model_range)
    model.warm_up()
    return model
