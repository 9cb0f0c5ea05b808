"""The ground floor: transitions, batches, averaged networks, and what of Stable-Baselines3 and Gymnasium has to be known."""
