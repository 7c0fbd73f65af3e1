"""The preprocess service."""

from tensorhop.rpc.service import Service

SERVICE = Service(
    name="preprocess",
    port=50055,
    summary="Crop pairs of views out of panoramas.",
    contract="tensorhop.v1.preprocess_pb2:PreprocessService",
    servicer="tensorhop.services.preprocess.servicer:PreprocessServicer",
    page="tensorhop.rpc.oip.pages.preprocess:PAGE",
)
