"""The quality service."""

from tensorhop.rpc.service import Service

SERVICE = Service(
    name="quality",
    port=50058,
    summary="Score pictures and pairs of views.",
    contract="tensorhop.v1.quality_pb2:QualityService",
    servicer="tensorhop.services.quality.servicer:QualityServicer",
    page="tensorhop.rpc.oip.pages.quality:PAGE",
    models={
        "embedded": "tensorhop.services.quality.embedded:EmbeddedScorer",
        "transformers": "tensorhop.services.quality.families:load",
    },
    settings=("quality_prompt", "quality_scale"),
)
