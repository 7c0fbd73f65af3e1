"""The chain from panoramas to views between pairs of views."""

from tensorhop.rpc.service import Service

SERVICE = Service(
    name="views",
    port=50059,
    summary="Crop, score, interpolate and upscale views of panoramas: the chain of the services that it calls.",
    contract="tensorhop.v1.views_pb2:ViewsService",
    servicer="tensorhop.orchestrator.views.servicer:ViewsServicer",
    page="tensorhop.rpc.oip.pages.views:PAGE",
    calls=("preprocess", "quality", "describe", "interpolate", "upscale"),
)
