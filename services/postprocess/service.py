"""The postprocess service."""

from tensorhop.rpc.service import Service

SERVICE = Service(
    name="postprocess",
    port=50054,
    summary="Center, decontaminate and shadow one object.",
    contract="tensorhop.v1.postprocess_pb2:PostprocessService",
    servicer="tensorhop.services.postprocess.servicer:PostprocessServicer",
    page="tensorhop.rpc.oip.pages.postprocess:PAGE",
    models={
        "embedded": "tensorhop.services.postprocess.refiners.embedded:EmbeddedRefiner",
        "onnx": "tensorhop.services.postprocess.refiners.onnx:OnnxRefiner",
        "oip": "tensorhop.services.postprocess.refiners.onnx:OnnxRefiner",
        "transformers": "tensorhop.services.postprocess.refiners.families:load",
    },
    settings=("shadow_model", "shadow_model_range"),
)
