"""From bytes on the wire to a validated call, and from its answer back to bytes."""
