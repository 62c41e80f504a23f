"""Which tasks train when, beyond a sampler's probabilities; which layers, at what rate; which weights count.

phases        the weighted sum of all tasks until its score is flat, then task by task; N:1 cycles
holding       tasks that have plateaued or are far ahead step only now and then
uncertainty   of many candidates, the examples that the model is least sure of
depth         learning rates that decay towards the embeddings; layers thawed from the top
averaging     an average of the weights instead of the last ones
"""
