"""One module for each Amplitude API: its types, its calls, and the methods that run them."""
