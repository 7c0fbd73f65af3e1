"""The service of jobs: requests of any chain that run later, or for long."""

from tensorhop.rpc.service import Service

SERVICE = Service(
    name="jobs",
    port=50060,
    summary="Keep requests of chains as jobs: queue them, run them, and keep what they answer.",
    contract="tensorhop.v1.jobs_pb2:JobService",
    servicer="tensorhop.orchestrator.jobs.servicer:JobServicer",
)
