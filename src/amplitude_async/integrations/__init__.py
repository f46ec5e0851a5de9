"""What joins this library with others; each module is imported by its users alone."""
