"""The reference model's pipeline: its graphs run one after another, and what all of it costs."""
