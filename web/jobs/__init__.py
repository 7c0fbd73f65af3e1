"""/jobs: requests that are kept and run later, over HTTP; a client of JobService."""
