"""What `clary doctor` finds out: what this machine offers, and what that means for Clary."""
