"""What Amplitude expects and what its answers mean: no await, no clock, no chance, no I/O."""
