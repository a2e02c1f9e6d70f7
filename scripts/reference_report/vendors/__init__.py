"""What the compilers and simulators of chips say of five networks: recorded, and set beside our counts."""
