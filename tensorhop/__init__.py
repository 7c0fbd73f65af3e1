"""What every process of Tensorhop shares: the contract, tensors, images, errors, serving and the client."""
