"""What of a graph a compiler takes, by a table: of a user, or made from real runs of the compiler."""
