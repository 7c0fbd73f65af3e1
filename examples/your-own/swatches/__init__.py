"""The colours of what photos show: a service, palette, and a chain, swatches."""
