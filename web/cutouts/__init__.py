"""POST /process: the chain of cut-outs over HTTP."""
