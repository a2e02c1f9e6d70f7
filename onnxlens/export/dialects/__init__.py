"""What a tool does not take, written in the operators that it takes."""
