"""The service and the chain, as Tensorhop finds them. What they import is named as text."""

from tensorhop import Service

PALETTE = Service(
    name="palette",
    port=50080,
    summary="Find the colours of an object.",
    contract="swatches.v1.palette_pb2:PaletteService",
    servicer="swatches.palette:PaletteServicer",
    models={"embedded": "swatches.median_cut:MedianCut"},
)
SWATCHES = Service(
    name="swatches",
    port=50081,
    summary="Find the colours of what photos show: the chain of the services that it calls.",
    contract="swatches.v1.swatches_pb2:SwatchesService",
    servicer="swatches.chain:SwatchesServicer",
    calls=("segment", "palette"),
)
