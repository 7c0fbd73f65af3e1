"""The describe service."""

from tensorhop.rpc.service import Service

SERVICE = Service(
    name="describe",
    port=50051,
    summary="Name the central object of a photo.",
    contract="tensorhop.v1.describe_pb2:DescribeService",
    servicer="tensorhop.services.describe.servicer:DescribeServicer",
    page="tensorhop.rpc.oip.pages.describe:PAGE",
    models={
        "embedded": "tensorhop.services.describe.embedded:EmbeddedDescriber",
        "transformers": "tensorhop.services.describe.families:load",
    },
)
