"""What a person types. No logic: every command goes through `clary.sdk`."""
