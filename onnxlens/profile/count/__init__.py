"""From a Graph to its costs: counting rules, other counters' conventions, repeats, liveness, the report."""
