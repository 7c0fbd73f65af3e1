"""Element types of tensors, by the names of the Open Inference Protocol."""

import ml_dtypes
import numpy as np

# The Open Inference Protocol's names; BF16 is Triton's.
DTYPES: dict[str, np.dtype] = {
    "BOOL": np.dtype(np.bool_),
    **{
        f"{kind}INT{bits}": np.dtype(f"<{kind.lower()}i{bits // 8}".replace("ui", "u"))
        for kind in ("U", "")
        for bits in (8, 16, 32, 64)
    },
    "FP16": np.dtype("<f2"),
    "BF16": np.dtype(ml_dtypes.bfloat16),
    "FP32": np.dtype("<f4"),
    "FP64": np.dtype("<f8"),
}


NAMES = {dtype: name for name, dtype in DTYPES.items()}


def dtype_name(array: np.ndarray) -> str:
    """The name of an array's dtype in the protocol, such as "FP32"; numpy's name if the protocol has none.

    Args:
        array: of any shape and byte order.
    """
    return NAMES.get(array.dtype) or NAMES.get(array.dtype.newbyteorder("<"), str(array.dtype))
