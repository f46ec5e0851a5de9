"""Raw data out of Amplitude."""
