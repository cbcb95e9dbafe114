"""Why mail does not leave: explanations, DNS checks, counter-probes and the header reader."""
