"""The pipeline: the chain from a photo to finished cut-outs."""

from tensorhop.rpc.service import Service

SERVICE = Service(
    name="pipeline",
    port=50050,
    summary="Cut the objects out of photos: the chain of the services that it calls.",
    contract="tensorhop.v1.pipeline_pb2:PipelineService",
    servicer="tensorhop.orchestrator.cutouts.servicer:PipelineServicer",
    page="tensorhop.rpc.oip.pages.pipeline:PAGE",
    calls=("describe", "detect", "segment", "postprocess"),
)
