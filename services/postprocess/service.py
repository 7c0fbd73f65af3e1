"""PostprocessService: an object's pixels and mask in, a finished cut-out out."""

import grpc

from services.postprocess.finish import finish
from tensorhop.image import check_size, read_image
from tensorhop.messages import read_finish, read_mask, read_size, write_layer, write_placement
from tensorhop.server import Service
from tensorhop.v1 import postprocess_pb2 as pb
from tensorhop.v1 import postprocess_pb2_grpc as rpc
from tensorhop.v1.fault_pb2 import STEP_POSTPROCESS


class PostprocessServicer(rpc.PostprocessServiceServicer):
    def Postprocess(self, request: pb.PostprocessRequest, context: grpc.ServicerContext) -> pb.PostprocessResponse:
        options = read_finish(request.finish)
        photo = read_size(request.photo)
        check_size(photo.width, photo.height, "photo")
        mask = read_mask(request.mask, photo)
        cutout = finish(read_image(request.crop, "crop"), mask, photo, options)
        return pb.PostprocessResponse(
            cutout=write_layer(cutout.cutout),
            shadow=write_layer(cutout.shadow) if cutout.shadow else None,
            placement=write_placement(cutout.placement),
        )


SERVICE = Service(
    name="postprocess",
    descriptor=pb.DESCRIPTOR.services_by_name["PostprocessService"],
    register=rpc.add_PostprocessServiceServicer_to_server,
    servicer=PostprocessServicer,
    step=STEP_POSTPROCESS,
)
