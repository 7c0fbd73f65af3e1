"""The interpolate service."""

from tensorhop.rpc.service import Service

SERVICE = Service(
    name="interpolate",
    port=50056,
    summary="Crop the views between two cameras out of panoramas.",
    contract="tensorhop.v1.interpolate_pb2:InterpolateService",
    servicer="tensorhop.services.interpolate.servicer:InterpolateServicer",
    page="tensorhop.rpc.oip.pages.interpolate:PAGE",
)
