"""The detect service."""

from tensorhop.rpc.service import Service

SERVICE = Service(
    name="detect",
    port=50052,
    summary="Find the objects that phrases name.",
    contract="tensorhop.v1.detect_pb2:DetectService",
    servicer="tensorhop.services.detect.servicer:DetectServicer",
    page="tensorhop.rpc.oip.pages.detect:PAGE",
    models={
        "embedded": "tensorhop.services.detect.embedded:EmbeddedDetector",
        "transformers": "tensorhop.services.detect.families:load",
        "groundingdino": "tensorhop.services.detect.grounding_dino_py:GroundingDinoPy",
    },
)
