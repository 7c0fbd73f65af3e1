"""The upscale service."""

from tensorhop.rpc.service import Service

SERVICE = Service(
    name="upscale",
    port=50057,
    summary="Make pictures 2 or 4 times as large.",
    contract="tensorhop.v1.upscale_pb2:UpscaleService",
    servicer="tensorhop.services.upscale.servicer:UpscaleServicer",
    page="tensorhop.rpc.oip.pages.upscale:PAGE",
    models={
        "embedded": "tensorhop.services.upscale.embedded:EmbeddedUpscaler",
        "onnx": "tensorhop.services.upscale.network:NetworkUpscaler",
        "oip": "tensorhop.services.upscale.network:NetworkUpscaler",
        "transformers": "tensorhop.services.upscale.families:load",
        "osediff": "tensorhop.services.upscale.osediff:OseDiff",
    },
)
