"""What Serve's gRPC proxy is told of our services: `grpc_servicer_functions: [tensorhop_ray.proxy.add_services]`.

The proxy would parse each request with the generated class, and Ray would carry it as an object. Without a
deserializer it hands on the bytes as they came, and a replica reads its tensors in place.
"""

from typing import Any

import grpc
from google.protobuf.descriptor import ServiceDescriptor

from tensorhop.rpc.channel import INFO
from tensorhop.rpc.registry import services


def add_services(servicer: Any, server: Any) -> None:
    """Register every service that runs a model or a step, and InfoService; the proxy puts its own methods in place."""
    for service in services().values():
        if not service.calls:
            add_service(service.descriptor, server)
    add_service(INFO, server)


def add_service(service: ServiceDescriptor, server: Any) -> None:
    """Register the methods of one service."""
    methods = {}
    for method in service.methods:
        make = grpc.unary_stream_rpc_method_handler if method.server_streaming else grpc.unary_unary_rpc_method_handler
        methods[method.name] = make(lambda request, context: None)
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service.full_name, methods),))
