"""The pages of the contracts in protos/, a file each: their tensors in the Open Inference Protocol."""
