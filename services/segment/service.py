"""The segment service."""

from tensorhop.rpc.service import Service

SERVICE = Service(
    name="segment",
    port=50053,
    summary="Make a mask of the object in each box.",
    contract="tensorhop.v1.segment_pb2:SegmentService",
    servicer="tensorhop.services.segment.servicer:SegmentServicer",
    page="tensorhop.rpc.oip.pages.segment:PAGE",
    models={
        "embedded": "tensorhop.services.segment.embedded:EmbeddedSegmenter",
        "onnx": "tensorhop.services.segment.onnx:OnnxSegmenter",
        "oip": "tensorhop.services.segment.onnx:OnnxSegmenter",
        "transformers": "tensorhop.services.segment.families:load",
    },
)
